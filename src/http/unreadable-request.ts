/** What Node's parser refuses never reaches the application; it is answered all the same, with an id. */
import { randomUUID } from 'node:crypto'
import { type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'

const statuses: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/** An answer that has begun must not get another one into its middle. */
const hasBegunToAnswer = (socket: Duplex): boolean =>
  (socket as { _httpMessage?: { headersSent?: boolean } })._httpMessage?.headersSent === true

/**
 * Answers unreadable requests of a server.
 *
 * @param onRefused told the id and the parser's code, for the log
 */
export const answerUnreadable = (
  server: Server,
  onRefused: (requestId: string, status: number, code: string) => void,
): void => {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (!socket.writable || error.code === 'ECONNRESET' || hasBegunToAnswer(socket)) {
      socket.destroy()
      return
    }
    const requestId = randomUUID()
    const status = statuses[error.code ?? ''] ?? 400
    onRefused(requestId, status, error.code ?? error.name)
    socket.end(
      [
        `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
        `X-Request-Id: ${requestId}`,
        'X-Content-Type-Options: nosniff',
        'Cache-Control: no-store',
        'Content-Length: 0',
        'Connection: close',
        '',
        '',
      ].join('\r\n'),
    )
  })
}
