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

/**
 * Sends bytes and reads what comes until the server closes. A server that answered and keeps the connection has said
 * what it had to say when it is quiet.
 *
 * @param limit milliseconds for the first byte
 * @throws when nothing comes
 */
export const sendRaw = (server: TestServer, bytes: Buffer | string, limit = 10_000): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.origin)
    const startedAt = performance.now()
    const chunks: Buffer[] = []
    let took = 0
    const socket = connect(Number(port), hostname)
    const nothing = (): void => {
      socket.destroy()
      reject(new Error(`nothing within ${limit} ms: ${String(bytes).slice(0, 200)}`))
    }
    let timer = setTimeout(nothing, limit)
    socket.on('data', chunk => {
      if (chunks.length === 0) took = performance.now() - startedAt
      chunks.push(chunk)
      clearTimeout(timer)
      timer = setTimeout(() => socket.destroy(), quiet)
    })
    // A server that has answered may cut off what is still being sent.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(timer)
      resolve({ ...partsOf(Buffer.concat(chunks).toString('utf8')), took })
    })
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  })

/** Milliseconds. */
const quiet = 250

const partsOf = (all: string): Omit<RawAnswer, 'took'> => {
  // What comes before the answer proper (RFC 9110 section 15.2) is none.
  const text = all.replace(/^HTTP\/1\.1 1\d\d [^\r]*\r\n\r\n/, '')
  const end = text.indexOf('\r\n\r\n')
  const [head, body] = end < 0 ? [text, ''] : [text.slice(0, end), text.slice(end + 4)]
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), head, body }
}
