// @ts-check
import { createServer } from 'node:net'

/**
 * Why nobody can listen there, or undefined.
 * @param {number} port
 * @param {string} host
 * @returns {Promise<string | undefined>}
 */
export function problemWith(port, host) {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', (/** @type {NodeJS.ErrnoException} */ { code }) => {
      if (code === 'EADDRINUSE') resolve('taken by another program')
      else if (code === 'EACCES') resolve('not allowed for this user')
      else resolve(undefined) // this machine has no such address, so nobody is there
    })
    probe.listen(port, host, () => probe.close(() => resolve(undefined)))
  })
}
