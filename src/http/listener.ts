/** Listening at an address or a socket file, and stopping without cutting anybody off. */
import { chmodSync, lstatSync, rmSync } from 'node:fs'
import type http from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { ListenAddress } from '../config.ts'

/**
 * The connections of a server on which nothing has been asked yet. Browsers open some ahead, and Node, which knows
 * idle ones only after their first request, would wait for them until the time to stop is up.
 */
const unasked = new WeakMap<http.Server, Set<Socket>>()

/** How long a request that has begun to arrive may still take to arrive, when the server stops. */
const arrivalGrace = 1000

const watchConnections = (server: http.Server): void => {
  const sockets = new Set<Socket>()
  unasked.set(server, sockets)
  server.on('setSecureContext' in server ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('request', ({ socket }) => sockets.delete(socket))
}

/** Starts to listen. */
export const listen = (server: http.Server, where: ListenAddress): Promise<void> =>
  new Promise((resolve, reject) => {
    watchConnections(server)
    server.once('error', reject)
    if ('port' in where) {
      server.listen(where.port, where.host, resolve)
      return
    }
    const { path } = where
    removeLeft(path).then(() => {
      server.listen(path, () => {
        chmodSync(path, 0o660)
        resolve()
      })
    }, reject)
  })

/** Removes the socket file of a process that was killed; never another file, and never one that is listened at. */
const removeLeft = async (path: string): Promise<void> => {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return
  if (!(await isServed(path))) rmSync(path, { force: true })
}

const isServed = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(path, () => {
      resolve(true)
      socket.destroy()
    })
    socket.on('error', () => resolve(false))
  })

/** Where it is to listen, as the setting says it. */
export const listenText = (where: ListenAddress): string =>
  'path' in where
    ? `unix:${where.path}`
    : `${where.host.includes(':') ? `[${where.host}]` : where.host}:${where.port}`

/** Where it listens, as a setting would say it. */
export const addressText = (server: http.Server): string => {
  const address = server.address() as AddressInfo | string | null
  if (address === null || typeof address === 'string') return `unix:${address ?? ''}`
  return address.family === 'IPv6'
    ? `[${address.address}]:${address.port}`
    : `${address.address}:${address.port}`
}

/** Lets what is in flight finish; whatever has not after `timeout` milliseconds is cut off. */
export const closeServer = async (server: http.Server, timeout: number): Promise<void> => {
  const closed = new Promise<void>(resolve => server.close(() => resolve()))
  server.closeIdleConnections()
  const sockets = unasked.get(server) ?? new Set()
  for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
  const leave = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, arrivalGrace)
  // A kept-alive connection becomes idle only when its last answer is out.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  const cut = setTimeout(() => server.closeAllConnections(), timeout)
  await closed
  clearInterval(sweep)
  clearTimeout(leave)
  clearTimeout(cut)
}
