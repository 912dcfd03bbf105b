/** An address that leads to one of several servers, as a virtual address does that moves at a fail-over. */
import { connect, createServer, type Socket } from 'node:net'

export type Switch = {
  port: number
  /** From now on it leads there; what is connected is cut off. */
  leadTo: (port: number) => void
  stop: () => Promise<void>
}

export const startSwitch = async (first: number): Promise<Switch> => {
  let target = first
  const open = new Set<Socket>()
  const server = createServer(incoming => {
    const outgoing = connect(target, '127.0.0.1')
    for (const [socket, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      open.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        open.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const cut = (): void => {
    for (const socket of open) socket.destroy()
  }
  return {
    port: address.port,
    leadTo: port => {
      target = port
      cut()
    },
    stop: async () => {
      cut()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
