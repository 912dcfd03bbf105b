/** Listening at an address or a socket file, and stopping without cutting anybody off. */
import { chmodSync, rmSync } from 'node:fs'
import type http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ListenAddress } from '../config.ts'

/** Starts to listen. */
export const listen = (server: http.Server, where: ListenAddress): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    if ('port' in where) {
      server.listen(where.port, where.host, resolve)
      return
    }
    const { path } = where
    rmSync(path, { force: true })
    server.listen(path, () => {
      chmodSync(path, 0o660)
      resolve()
    })
  })

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
  // A kept-alive connection becomes idle only when its last answer is out.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  const cut = setTimeout(() => server.closeAllConnections(), timeout)
  await closed
  clearInterval(sweep)
  clearTimeout(cut)
}
