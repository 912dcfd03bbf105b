/** A web site of somebody else: an origin of its own on loopback, with handlers by method and path. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

export type SiteVisit = {
  method: string
  url: URL
  headers: IncomingHttpHeaders
  cookies: ReadonlyMap<string, string>
  form: URLSearchParams
}

export type SiteAnswer = {
  status?: number
  /** Sends the browser on with a 303. */
  to?: string
  html?: string
  cookies?: string[]
}

/** By `METHOD /path`. */
export type SiteHandlers = Record<string, (visit: SiteVisit) => SiteAnswer | Promise<SiteAnswer>>

export type Site = {
  origin: string
  port: number
  /** Everything that came, the newest last. */
  visits: SiteVisit[]
  /** What was thrown by a handler. */
  failures: unknown[]
  close: () => Promise<void>
}

/** A page of it, with no icon to be asked for. */
export const htmlPage = (body: string, title = 'Test site'): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title><link rel="icon" href="data:,"></head><body>${body}</body></html>`

/** Starts a site. `*.localhost` names reach this machine in every browser, and are different sites to it. */
export const startSite = async (hostname: string, handlers: SiteHandlers): Promise<Site> => {
  const visits: SiteVisit[] = []
  const failures: unknown[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const visit: SiteVisit = {
      method: request.method ?? '',
      url: new URL(request.url ?? '/', origin),
      headers: request.headers,
      cookies: readCookies(request.headers.cookie),
      form: new URLSearchParams(body),
    }
    visits.push(visit)
    let answer: SiteAnswer
    try {
      answer = (await handlers[`${visit.method} ${visit.url.pathname}`]?.(visit)) ?? {
        status: 404,
        html: htmlPage('nothing here'),
      }
    } catch (error) {
      failures.push(error)
      answer = { status: 500, html: htmlPage('failed') }
    }
    const { to, status = to === undefined ? 200 : 303, html = '', cookies = [] } = answer
    response.writeHead(status, {
      ...(to === undefined ? { 'content-type': 'text/html; charset=utf-8' } : { location: to }),
      ...(cookies.length > 0 ? { 'set-cookie': cookies } : {}),
      'cache-control': 'no-store',
    })
    response.end(html)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const origin = `http://${hostname}:${port}`
  return {
    origin,
    port,
    visits,
    failures,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const readCookies = (header = ''): Map<string, string> =>
  new Map(
    header
      .split(/; */)
      .filter(pair => pair.includes('='))
      .map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  )
