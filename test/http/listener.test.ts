import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { startServer } from '../support/server.ts'

/** A connection that a browser opens ahead, in case it needs one. */
const openAhead = async (port: number, said = ''): Promise<{ ended: Promise<unknown> }> => {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  const ended = new Promise(resolve => socket.once('close', resolve))
  await new Promise(resolve => socket.once('connect', resolve))
  if (said) socket.write(said)
  await wait(50)
  return { ended }
}

it('a server that stops does not wait for connections on which nothing was asked', async () => {
  const server = await startServer()
  const port = Number(new URL(server.origin).port)
  const silent = await openAhead(port)
  const slow = await openAhead(port, 'GET /livez HTTP/1.1\r\n')
  const startedAt = performance.now()
  await server.stop()
  expect(performance.now() - startedAt).toBeLessThan(3000)
  await Promise.all([silent.ended, slow.ended])
})
