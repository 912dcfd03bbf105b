/** A small reverse proxy with https, as well or as badly set up as a test wants it. */
import http, { type IncomingHttpHeaders } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { type Certificate, makeAuthority, makeServerCertificate } from './certificates.ts'

type Canned = { status: number; headers?: Record<string, string>; body?: string }

export type ProxyHabits = {
  /** The path and query as they are forwarded. */
  url?: (url: string) => string
  /** The headers as they are forwarded; by default the address of whoever asked is added. */
  headers?: (headers: IncomingHttpHeaders, from: string) => IncomingHttpHeaders
  /** Answers by itself. */
  answer?: (url: string) => Canned | undefined
  /** Longest request line, and largest header of an answer; bytes. */
  longestUrl?: number
  largestAnswerHeader?: number
}

export type ReverseProxy = {
  port: number
  /** Changes how it behaves. */
  behave: (habits: ProxyHabits) => void
  close: () => Promise<void>
}

/** Adds the address of whoever asked, as nginx does when it is told to. */
export const addsAddress = (headers: IncomingHttpHeaders, from: string): IncomingHttpHeaders => ({
  ...headers,
  'x-forwarded-for': [headers['x-forwarded-for'], from].filter(one => one !== undefined).join(', '),
  'x-forwarded-proto': 'https',
})

/** Starts a proxy before the server at `target()`; it is asked for each request. */
export const startReverseProxy = async (
  target: () => { port: number },
  certificate: Certificate,
): Promise<ReverseProxy> => {
  let habits: ProxyHabits = {}
  const server = https.createServer(certificate, (request, response) => {
    const { url = '/', method, socket } = request
    const canned = url.length > (habits.longestUrl ?? 20_000) ? { status: 414 } : habits.answer?.(url)
    if (canned) {
      response.writeHead(canned.status, canned.headers).end(canned.body)
      return
    }
    const from = (socket.remoteAddress ?? '').replace('::ffff:', '')
    const onward = http.request(
      {
        host: '127.0.0.1',
        port: target().port,
        method,
        path: habits.url?.(url) ?? url,
        headers: (habits.headers ?? addsAddress)(request.headers, from),
      },
      answer => {
        if (answer.rawHeaders.join('').length > (habits.largestAnswerHeader ?? 20_000)) {
          answer.destroy()
          response.writeHead(502).end()
          return
        }
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      },
    )
    onward.on('error', () => response.writeHead(502).end())
    request.pipe(onward)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    behave: next => {
      habits = next
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** An authority and a certificate of it for a host. */
export const certificateFor = (host: string): Certificate & { authority: string } => {
  const authority = makeAuthority()
  return { ...makeServerCertificate([host], authority), authority: authority.cert }
}
