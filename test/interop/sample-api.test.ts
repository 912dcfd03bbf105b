/** The sample API (examples/api), in a process of its own as it is shipped: it believes a token by itself, or says why not. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { claimsIn, getCode, post, redeem } from '../support/flow.ts'
import { eventually, freePort, startServer } from '../support/server.ts'

const board = 'http://board.localhost:4103'

const begin = async () => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const resource = { identifier: url, name: 'Tasks', scopes: ['tasks:read', 'tasks:write', 'tasks:count'] }
  await server.createResource(resource)
  await server.createResource()
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../examples/api/server.js')], {
    env: { ISSUER: server.issuer, PORT: String(port), BASE_URL: url, ALLOWED_ORIGINS: board },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  await eventually(() => said.includes(url), 'the API listens')
  const machine = await server.createClient({
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: 'tasks:count tasks:read api:read',
  })
  const tokenFor = async (scope: string): Promise<string> => {
    const basic = Buffer.from(`${machine.id}:${machine.secret}`).toString('base64')
    const form = { grant_type: 'client_credentials', scope }
    return String(
      (await post(server, '/token', form, { authorization: `Basic ${basic}` })).json['access_token'],
    )
  }
  const call = async (path: string, authorization?: string, init: RequestInit = {}) => {
    const headers = { ...init.headers, ...(authorization === undefined ? {} : { authorization }) }
    const answer = await fetch(url + path, { ...init, headers })
    const json = (await answer.json().catch(() => undefined)) as unknown
    return {
      status: answer.status,
      challenge: answer.headers.get('www-authenticate'),
      headers: answer.headers,
      json,
    }
  }
  const metadata = `resource_metadata="${url}/.well-known/oauth-protected-resource"`
  return { server, url, machine, tokenFor, call, metadata }
}

it('401 names what is wrong with a token, and nothing where there was none (RFC 6750 §3.1)', async () => {
  const { server, tokenFor, call, metadata } = await begin()
  for (const none of [undefined, 'Basic YTpi'])
    expect(await call('/tasks', none)).toMatchObject({ status: 401, challenge: `Bearer ${metadata}` })
  expect(await call('/tasks', 'Bearer ')).toMatchObject({
    status: 400,
    challenge: expect.stringMatching(/^Bearer error="invalid_request"/),
  })

  const good = await tokenFor('tasks:count')
  const [head = '', payload = '', signature = ''] = good.split('.')
  const unsigned = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')
  const more = { ...claimsIn(good), scope: 'tasks:read tasks:write' }
  const forged = Buffer.from(JSON.stringify(more)).toString('base64url')
  const alice = await server.createUser()
  const app = await server.createClient()
  const signedIn = await redeem(server, app, await getCode(server.browser(), app, alice))
  server.sleep(-2000)
  const expired = await tokenFor('tasks:count')
  server.sleep(2000)
  const refused = {
    garbage: 'x.y.z',
    unsigned: `${unsigned}.${payload}.`,
    'other claims under the signature': `${head}.${forged}.${signature}`,
    expired,
    'for another API': await tokenFor('api:read'),
    'an ID token': String(signedIn.json['id_token']),
  }
  for (const [what, token] of Object.entries(refused)) {
    const { status, challenge } = await call('/count', `Bearer ${token}`)
    expect({ what, status }).toEqual({ what, status: 401 })
    expect(challenge, what).toMatch(/^Bearer error="invalid_token", error_description="[^"]+", /)
    expect(challenge).toContain(metadata)
  }
  expect((await call('/count', `bearer ${good}`)).status).toBe(200)
})

it('403 names the scope that would do, and 200 comes with it (RFC 6750 §3.1)', async () => {
  const { url, machine, tokenFor, call } = await begin()
  const counts = `Bearer ${await tokenFor('tasks:count')}`
  for (const [path, init, scope] of [
    ['/tasks', {}, 'tasks:read'],
    ['/tasks', { method: 'POST', body: '{"text":"no"}' }, 'tasks:write'],
    ['/tasks/1', { method: 'PUT', body: '{"done":true}' }, 'tasks:write'],
  ] as const) {
    const answer = await call(path, counts, init)
    expect(answer).toMatchObject({ status: 403, json: { error: 'insufficient_scope' } })
    expect(answer.challenge).toContain(`error="insufficient_scope"`)
    expect(answer.challenge).toContain(`scope="${scope}"`)
  }
  expect(await call('/count', counts)).toMatchObject({ status: 200, json: { people: 0 } })
  expect(await call('/tasks', `Bearer ${await tokenFor('tasks:read')}`)).toMatchObject({ status: 200 })
  expect(await call('/me', counts)).toMatchObject({
    json: { asked_the_provider: false, claims: { aud: url, client_id: machine.id, scope: 'tasks:count' } },
  })
  expect(await call('/tasks', counts, { method: 'DELETE' })).toMatchObject({ status: 405 })
  expect((await call('/count/1/2', counts)).status).toBe(404)
})

it('its metadata leads to the provider (RFC 9728), and only the named app may read answers in a browser', async () => {
  const { server, url, call } = await begin()
  const found = await call('/.well-known/oauth-protected-resource')
  expect(found.json).toMatchObject({
    resource: url,
    authorization_servers: [server.issuer],
    scopes_supported: ['tasks:read', 'tasks:write', 'tasks:count'],
    bearer_methods_supported: ['header'],
  })
  const corsOf = async (origin: string, method: string) => {
    const { headers } = await call('/tasks', undefined, { method, headers: { origin } })
    return [headers.get('access-control-allow-origin'), headers.get('access-control-allow-credentials')]
  }
  for (const method of ['GET', 'OPTIONS']) {
    expect(await corsOf(board, method)).toEqual([board, null])
    expect(await corsOf('http://evil.localhost:4103', method)).toEqual([null, null])
  }
})
