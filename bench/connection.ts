/**
 * One keep-alive connection to a server on this machine, one request at a time. Over `node:net`, because `node:http` costs the load
 * generator more than most answers cost the server, and then the server idles and looks dearer than it is.
 */
import { connect, type Socket } from 'node:net'

export type Answer = { status: number; head: string; body: string }

type Waiting = { resolve: (answer: Answer) => void; reject: (error: Error) => void; timer: NodeJS.Timeout }

const longest = 30_000

export class Connection {
  readonly #socket: Socket
  readonly #host: string
  #received = ''
  #waiting: Waiting | undefined

  constructor(port: number) {
    this.#host = `localhost:${port}`
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (chunk: string) => this.#receive(chunk))
    this.#socket.on('error', error => this.#fail(error))
    this.#socket.on('close', () => this.#fail(new Error(`${this.#host} closed the connection`)))
  }

  get(path: string, headers = ''): Promise<Answer> {
    return this.#send(`GET ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n${headers}\r\n`)
  }

  /** Posts a form. Its text must be ASCII already, as URL encoding makes it. */
  post(path: string, form: string, headers = ''): Promise<Answer> {
    const type = 'Content-Type: application/x-www-form-urlencoded\r\n'
    return this.#send(
      `POST ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n${type}Content-Length: ${form.length}\r\n${headers}\r\n${form}`,
    )
  }

  close() {
    this.#socket.destroy()
  }

  #send(request: string) {
    return new Promise<Answer>((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error(`${this.#host} is not connected`))
      const timer = setTimeout(
        () =>
          this.#fail(
            new Error(`no answer within ${longest / 1000} s: ${request.slice(0, request.indexOf('\r'))}`),
          ),
        longest,
      )
      this.#waiting = { resolve, reject, timer }
      this.#socket.write(request, 'latin1')
    })
  }

  #receive(chunk: string) {
    this.#received += chunk
    const answer = parseAnswer(this.#received)
    const waiting = this.#waiting
    if (!answer || !waiting) return
    this.#received = ''
    this.#waiting = undefined
    clearTimeout(waiting.timer)
    waiting.resolve(answer)
  }

  #fail(error: Error) {
    const waiting = this.#waiting
    this.#waiting = undefined
    this.#socket.destroy()
    if (waiting) {
      clearTimeout(waiting.timer)
      waiting.reject(error)
    }
  }
}

/** The value of a header; of several with this name the first. */
export function header({ head }: Answer, name: string) {
  const start = head.toLowerCase().indexOf(`\r\n${name}:`)
  if (start < 0) return undefined
  const from = start + name.length + 3
  const end = head.indexOf('\r\n', from)
  return head.slice(from, end < 0 ? undefined : end).trim()
}

function parseAnswer(text: string): Answer | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const answer = { status: Number(text.slice(9, 12)), head: text.slice(0, end), body: '' }
  if (answer.status === 204 || answer.status === 304) return answer
  const length = /\r\ncontent-length: *(\d+)/i.exec(answer.head)?.[1]
  if (length === undefined) return withChunks(answer, text.slice(end + 4))
  if (text.length < end + 4 + Number(length)) return undefined
  answer.body = text.slice(end + 4, end + 4 + Number(length))
  return answer
}

function withChunks(answer: Answer, rest: string): Answer | undefined {
  let [body, at] = ['', 0]
  for (;;) {
    const lineEnd = rest.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(rest.slice(at, lineEnd), 16)
    at = lineEnd + 2 + size + 2
    if (rest.length < at) return undefined
    if (size === 0) return { ...answer, body }
    body += rest.slice(lineEnd + 2, lineEnd + 2 + size)
  }
}
