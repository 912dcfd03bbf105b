/** How the clients of this process authenticate at /token: seen on the wire, so that they run unmodified. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ClientRequest } from 'node:http'
import { onTestFinished } from 'vitest'

/** What undici says of a request, in the parts that are read here. */
type UndiciRequest = { path: string; headers: string | string[] }

/** The `Authorization` header of every request to /token from now on; undefined where there was none. */
export const watchTokenRequests = (): (string | undefined)[] => {
  const seen: (string | undefined)[] = []
  const byFetch = (message: unknown): void => {
    const { path, headers } = (message as { request: UndiciRequest }).request
    if (path !== '/token') return
    const lines = typeof headers === 'string' ? headers.split('\r\n') : pairsOf(headers)
    seen.push(/^authorization: ?(.*)$/i.exec(lines.find(line => /^authorization:/i.test(line)) ?? '')?.[1])
  }
  const byHttp = (message: unknown): void => {
    const { request } = message as { request: ClientRequest }
    if (request.path === '/token') seen.push(request.getHeader('authorization')?.toString())
  }
  subscribe('undici:request:create', byFetch)
  subscribe('http.client.request.start', byHttp)
  onTestFinished(() => {
    unsubscribe('undici:request:create', byFetch)
    unsubscribe('http.client.request.start', byHttp)
  })
  return seen
}

const pairsOf = (headers: string[]): string[] =>
  headers.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${headers[index + 1]}`] : []))
