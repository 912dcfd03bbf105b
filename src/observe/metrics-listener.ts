/** GET /metrics on a listener of its own: behind a proxy on the same machine, everybody is loopback. */
import http from 'node:http'
import { ConfigError, type ListenAddress } from '../config.ts'
import { addressText, closeServer, listen } from '../http/listener.ts'
import type { Services } from '../services.ts'
import { type Gauge, renderGauges } from './gauges.ts'

type Needs = Pick<Services, 'metrics' | 'log'>

/** Milliseconds that a scrape in flight has to finish when the server stops. */
const drain = 1000

/**
 * Starts it.
 *
 * @throws ConfigError when it cannot listen there
 */
export const serveMetrics = async (
  where: ListenAddress,
  { metrics, log }: Needs,
  gauges: readonly Gauge[],
): Promise<{ address: string; stop: () => Promise<void> }> => {
  const text = async (): Promise<string> =>
    metrics.render() +
    (await renderGauges(gauges, (gauge, cause) =>
      log.warn('gauge.failed', { gauge, cause: cause instanceof Error ? cause : String(cause) }),
    ))
  const server = http.createServer(
    { headersTimeout: 10_000, requestTimeout: 10_000 },
    (request, response) => {
      const status = statusOf(request)
      if (status !== 200) {
        response.writeHead(status, status === 405 ? { Allow: 'GET, HEAD' } : {}).end()
        return
      }
      text().then(
        body => {
          response.writeHead(200, {
            'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
            'Cache-Control': 'no-store',
          })
          response.end(body)
        },
        (cause: unknown) => {
          log.error('metrics.failed', { cause: cause instanceof Error ? cause : String(cause) })
          response.writeHead(500).end()
        },
      )
    },
  )
  server.maxConnections = 20
  try {
    await listen(server, where)
  } catch (cause) {
    throw new ConfigError(
      `LINTEL_METRICS_LISTEN: cannot listen there: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    )
  }
  return { address: addressText(server), stop: () => closeServer(server, drain) }
}

const statusOf = ({ method, url = '' }: http.IncomingMessage): number =>
  url.split('?')[0] !== '/metrics' ? 404 : method === 'GET' || method === 'HEAD' ? 200 : 405
