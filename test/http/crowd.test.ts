import { connect, type Socket } from 'node:net'
import { Agent, request } from 'undici'
import { expect, it, onTestFinished } from 'vitest'
import { until } from '../store/support.ts'
import { basic } from '../support/flow.ts'
import { startServer } from '../support/server.ts'
import { introspect } from '../support/tokens.ts'

it('REL-24 a thousand requests are answered at once, those on top are 503 at once; health is answered, and it is over when it is over', async () => {
  let held: (() => void)[] | undefined
  const server = await startServer({
    wrapStore: store => ({
      ...store,
      one: async (statement, values) => {
        const now = held
        if (now && statement.name.startsWith('presented-token.')) await new Promise<void>(go => now.push(go))
        return store.one(statement, values)
      },
    }),
  })
  onTestFinished(() => server.stop())
  const client = await server.createClient({ client_id: 'web', grant_types: ['client_credentials'] })
  const agent = new Agent({ connections: 1200 })
  onTestFinished(() => agent.destroy())
  const token = String(
    (
      await request(`${server.origin}/token`, {
        method: 'POST',
        dispatcher: agent,
        headers: { ...basic(client), 'content-type': 'application/x-www-form-urlencoded' },
        body: 'grant_type=client_credentials',
      }).then(answer => answer.body.json() as Promise<Record<string, unknown>>)
    )['access_token'],
  )
  const ask = async () => {
    const answer = await request(`${server.origin}/introspect`, {
      method: 'POST',
      dispatcher: agent,
      headers: { ...basic(client), 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ token }).toString(),
    })
    await answer.body.dump()
    return { status: answer.statusCode, headers: answer.headers }
  }
  expect((await ask()).status).toBe(200)
  const gate: (() => void)[] = []
  held = gate
  onTestFinished(() => {
    for (const go of gate) go()
  })
  const crowd = Array.from({ length: 1000 }, ask)
  // A thousand are under way.
  await until(async () => gate.length === 1000)
  for (let n = 0; n < 50; n++) {
    const { status, headers } = await ask()
    expect(status).toBe(503)
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
  }
  expect((await fetch(`${server.origin}/livez`)).status).toBe(200)
  expect((await fetch(`${server.origin}/readyz`)).status).toBe(200)
  const page = await server.browser().send('/logout')
  expect(page.status).toBe(503)
  expect(page.body).toContain('data-error="temporarily_unavailable"')
  held = undefined
  for (const go of gate) go()
  expect((await Promise.all(crowd)).filter(({ status }) => status !== 200)).toEqual([])
  expect((await introspect(server, client, token)).json['active']).toBe(true)
})

it('a thousand requests that arrive slowly keep nobody out', async () => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const sockets: Socket[] = []
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  const head = `POST /token HTTP/1.1\r\nHost: ${new URL(server.issuer).host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ngrant_type=`
  const port = Number(new URL(server.origin).port)
  await Promise.all(
    Array.from(
      { length: 1100 },
      () =>
        new Promise<void>((resolve, reject) => {
          const socket = connect(port, '127.0.0.1', () => socket.write(head, () => resolve()))
          socket.on('error', reject)
          sockets.push(socket)
        }),
    ),
  )
  for (let n = 0; n < 20; n++) expect((await server.browser().send('/jwks')).status).toBe(200)
})
