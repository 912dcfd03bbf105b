/** `lintel healthcheck`: asks the server of this configuration whether it is ready, for slim images without curl. */
import http from 'node:http'
import https from 'node:https'
import { type Config, readConfig } from '../config.ts'
import { listenText } from '../http/listener.ts'
import { Refusal } from '../http/refusal.ts'
import type { Describe } from './command.ts'
import { addSettingFlags, environmentWith } from './setting-flags.ts'
import { answer } from './terminal.ts'

const patience = 3_000
const everywhere: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

const addressOf = ({ listen }: Config): http.RequestOptions =>
  'path' in listen
    ? { socketPath: listen.path }
    : { host: everywhere[listen.host] ?? listen.host, port: listen.port }

/** The status and the body of `/readyz`. */
const ask = (config: Config): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const { host } = new URL(config.issuer)
    const options = {
      ...addressOf(config),
      path: `${config.basePath}/readyz?verbose`,
      headers: { Host: host },
      timeout: patience,
    }
    const read = (response: http.IncomingMessage): void => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      )
    }
    // Its own certificate names the public host; this asks the machine itself whether it is alive, and sends nothing.
    const request =
      config.tls.cert === undefined
        ? http.get(options, read)
        : https.get({ ...options, rejectUnauthorized: false }, read)
    request.on('timeout', () => request.destroy(new Error(`no answer within ${patience / 1000} seconds`)))
    request.on('error', reject)
  })

export const healthcheckCommand: Describe = (command, terminal) => {
  addSettingFlags(command, { shown: false })
    .description('ask the running server whether it is ready: exit 0, or 1')
    .action(async () => {
      const config = readConfig(environmentWith(terminal.environment, command))
      const { status, body } = await ask(config).catch((cause: NodeJS.ErrnoException) => {
        throw new Refusal(
          'unreachable',
          `no server answers at ${listenText(config.listen)}: ${cause.code ?? cause.message}`,
          503,
          { cause },
        )
      })
      if (status !== 200)
        throw new Refusal(
          'not_ready',
          `the server at ${listenText(config.listen)} is not ready (${status}): ${body.slice(0, 500)}`,
          503,
        )
      answer(terminal, { value: { status: 'ok' }, text: 'ok' })
    })
}
