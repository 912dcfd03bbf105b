/**
 * A small balancer before the instances of one issuer, as operators have one: round robin among those that say they are
 * ready, connections kept alive, and another one is tried only where the first refused the connection, for then nothing
 * of the request was sent.
 */
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'

export type Balancer = {
  /** Whether an instance is asked for anything now. */
  isReady: (port: number) => boolean
  stop: () => Promise<void>
}

/** Between two questions whether an instance is ready; milliseconds. */
const pause = 50

/**
 * Starts one.
 *
 * @param port where it listens, the issuer's
 * @param backends the ports of the instances, whether they run or not
 */
export const startBalancer = async (port: number, backends: readonly number[]): Promise<Balancer> => {
  const agent = new Agent({ keepAlive: true })
  const ready = new Set<number>()
  let turn = 0
  let stopped = false

  const ask = (backend: number): Promise<boolean> =>
    new Promise(resolve => {
      const asked = request({ port: backend, host: '127.0.0.1', path: '/readyz', agent: false }, answer => {
        answer.resume()
        resolve(answer.statusCode === 200)
      })
      asked.setTimeout(2000, () => asked.destroy())
      asked.on('error', () => resolve(false))
      asked.end()
    })
  const watch = async (backend: number): Promise<void> => {
    while (!stopped) {
      if (await ask(backend)) ready.add(backend)
      else ready.delete(backend)
      await new Promise(resolve => setTimeout(resolve, pause))
    }
  }

  /** Sends a request on. @returns whether it was sent, however that ended */
  const forward = (
    backend: number,
    { method, url, headers }: IncomingMessage,
    body: Buffer,
    response: ServerResponse,
  ): Promise<boolean> =>
    new Promise(resolve => {
      const sent = request(
        { port: backend, host: '127.0.0.1', method, path: url, headers, agent },
        answer => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(response)
          answer.on('error', () => response.destroy())
          resolve(true)
        },
      )
      sent.on('error', error => {
        if ('code' in error && error.code === 'ECONNREFUSED') return resolve(false)
        if (response.headersSent) response.destroy()
        else response.writeHead(502).end(`the instance at ${backend}: ${error.message}`)
        resolve(true)
      })
      sent.end(body)
    })
  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await buffer(incoming)
    const live = [...ready].sort()
    turn += 1
    for (let tries = 0; tries < live.length; tries++) {
      const backend = live[(turn + tries) % live.length] ?? 0
      if (await forward(backend, incoming, body, response)) return
    }
    response.writeHead(503).end('no instance is ready')
  }

  const server = createServer((incoming, response) => {
    answer(incoming, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const watching = backends.map(watch)
  return {
    isReady: backend => ready.has(backend),
    stop: async () => {
      stopped = true
      await Promise.all(watching)
      agent.destroy()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
