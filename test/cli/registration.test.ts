import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { freePort } from '../support/server.ts'
import { build, makePlace, type Place } from './lintel-process.ts'

let place: Place
beforeAll(build, 120_000)
beforeEach(() => {
  place = makePlace()
})
afterEach(() => place.remove())

it('an operator invites an app, sees that it registered itself, and takes its token away', async () => {
  const port = await freePort()
  const env = { LINTEL_ISSUER: `http://localhost:${port}`, LINTEL_REGISTRATION: 'token' }
  await place.serve(port, env)
  const run = (...words: string[]) => place.json(['client', ...words], { env })
  const invitation = (await run('initial-access-token', '--expires-in', '1h')) as Record<string, unknown>
  expect(invitation).toEqual({
    initial_access_token: expect.stringMatching(/^lni[0-9a-z]{72}$/),
    expires_at: expect.any(Number),
  })
  expect(Number(invitation['expires_at']) - Date.now() / 1000).toBeGreaterThan(3500)

  const send = (url: string, token: unknown, body?: unknown) =>
    fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const metadata = { client_name: 'Invited', redirect_uris: ['https://app.example/cb'] }
  const register = `http://localhost:${port}/register`
  const answer = await send(register, invitation['initial_access_token'], metadata)
  expect(answer.status).toBe(201)
  const made = (await answer.json()) as Record<string, string>
  expect((await send(register, invitation['initial_access_token'], metadata)).status).toBe(401)

  const id = String(made['client_id'])
  expect(await run('show', id)).toMatchObject({ client_name: 'Invited', registered_itself: true })
  const renewed = (await run('rotate-secret', id, '--registration-token')) as Record<string, string>
  expect(renewed).toEqual({
    client_id: id,
    registration_access_token: expect.stringMatching(/^lng/),
    registration_client_uri: made['registration_client_uri'],
  })
  const own = String(made['registration_client_uri'])
  expect((await send(own, made['registration_access_token'])).status).toBe(401)
  expect((await send(own, renewed['registration_access_token'])).status).toBe(200)

  const byOperator = (await run('create', '--json-metadata', JSON.stringify(metadata))) as Record<
    string,
    string
  >
  const none = await place.run(
    ['client', 'rotate-secret', String(byOperator['client_id']), '--registration-token', '--json'],
    { env },
  )
  expect([none.code, JSON.parse(none.stdout)]).toEqual([
    1,
    { error: 'not_registered', message: expect.stringContaining('did not register itself') },
  ])
}, 60_000)

it('where registration is off it warns; a time that is none is a wrong call', async () => {
  const [off, odd, none] = await Promise.all([
    place.run(['client', 'initial-access-token', '--json']),
    place.run(['client', 'initial-access-token', '--expires-in', 'soon', '--json']),
    place.run(['client', 'initial-access-token', '--expires-in', 'now', '--json']),
  ])
  expect(off.code).toBe(0)
  expect(off.stderr).toContain('LINTEL_REGISTRATION is off')
  for (const { code, stdout } of [odd, none]) {
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({
      error: 'usage',
      message: expect.stringContaining('--expires-in'),
    })
  }
}, 60_000)
