/** Requests as bytes, for what no client library would send. */
import { connect } from 'node:net'
import type { TestServer } from '../support/server.ts'

export type RawAnswer = {
  /** 0 when nothing came back: the connection was cut. */
  status: number
  /** Status line and headers as they came. */
  head: string
  body: string
  /** Until the first byte of the answer, in milliseconds. */
  took: number
}

/** A header of a raw answer; several lines of one name are joined. */
export const rawHeader = (answer: RawAnswer, name: string): string | undefined => {
  const lines = answer.head
    .split('\r\n')
    .filter(line => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
    .map(line => line.slice(name.length + 1).trim())
  return lines.length === 0 ? undefined : lines.join(', ')
}

/** A request with its headers; the connection is closed after it. */
export const rawRequest = (
  server: TestServer,
  line: string,
  headers: readonly string[] = [],
  body: Buffer | string = '',
): Buffer =>
  Buffer.concat([
    Buffer.from(
      [line, `Host: ${new URL(server.issuer).host}`, ...headers, 'Connection: close', '', ''].join('\r\n'),
      'latin1',
    ),
    Buffer.from(body),
  ])

/** A form as a raw POST, as JSON clients of the endpoints send it. */
export const rawForm = (
  server: TestServer,
  path: string,
  body: Buffer | string,
  headers: readonly string[] = [],
): Buffer =>
  rawRequest(
    server,
    `POST ${path} HTTP/1.1`,
    [
      'Content-Type: application/x-www-form-urlencoded',
      'Accept: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...headers,
    ],
    body,
  )

/** Sends bytes and reads what comes until the server closes; `limit` in milliseconds. */
export const sendRaw = (server: TestServer, bytes: Buffer | string, limit = 10_000): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.origin)
    const startedAt = performance.now()
    const chunks: Buffer[] = []
    let took = 0
    const socket = connect(Number(port), hostname)
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no end within ${limit} ms: ${String(bytes).slice(0, 200)}`))
    }, limit)
    const done = (): void => {
      clearTimeout(timer)
      const text = Buffer.concat(chunks).toString('utf8')
      const end = text.indexOf('\r\n\r\n')
      const head = end < 0 ? text : text.slice(0, end)
      const body = end < 0 ? '' : text.slice(end + 4)
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), head, body, took })
    }
    socket.on('data', chunk => {
      if (chunks.length === 0) took = performance.now() - startedAt
      chunks.push(chunk)
    })
    // A server that has answered may cut off what is still being sent.
    socket.on('error', () => undefined)
    socket.on('close', done)
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  })
