/** One request as lines on a socket, and all that came back, for servers that a test made itself. */
import { connect } from 'node:net'

export const sendBytes = (port: number, lines: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1')
    socket.on('data', chunk => {
      text += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
    socket.write([...lines, 'Connection: close', '', ''].join('\r\n'), 'latin1')
  })
