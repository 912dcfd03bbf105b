import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { disableUser } from '../../src/identity/user.ts'
import { expectClientRefused, expectTokenError, unchanged } from '../security/outcomes.ts'
import { change, endSessionOf, withdraw } from '../support/changes.ts'
import { basic, claimsIn, post } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { clientCredentials, introspect, obtain, refresh, tokensIn } from '../support/tokens.ts'

let server: TestServer
let web: TestClient
let alice: { id: string; username: string; password: string; sub: string }
beforeEach(async () => {
  server = await startServer()
  await server.createResource()
  web = await server.createClient({
    client_id: 'web',
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid profile api:read offline_access',
    first_party: true,
  })
  alice = await server.createUser()
})
afterEach(() => server.stop())

const inactive = { active: false }

const looks = async (client: TestClient, token: unknown): Promise<Record<string, unknown>> => {
  const answer = await unchanged(server, () => introspect(server, client, token))
  expect(answer.status).toBe(200)
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.headers['content-type']).toMatch(/^application\/json/)
  return answer.json
}

describe('introspection is refused', () => {
  it('to a client that does not authenticate (RFC 7662 §2.1)', async () => {
    const { access_token: token } = await obtain(server, web, alice)
    expectClientRefused(await post(server, '/introspect', { token, client_id: web.id }), false)
    expectTokenError(await post(server, '/introspect', { token }), 'invalid_request')
    expectClientRefused(
      await post(server, '/introspect', { token }, basic({ ...web, secret: 'x'.repeat(75) })),
      true,
    )
    // A token is no authentication here.
    expectClientRefused(
      await post(server, '/introspect', { token }, { authorization: `Bearer ${token}` }),
      true,
    )
  })

  it('to a public client, its own tokens included', async () => {
    const spa = await server.createClient({ client_id: 'spa', token_endpoint_auth_method: 'none' })
    const { access_token: token } = await obtain(server, spa, alice)
    expectTokenError(await introspect(server, spa, token), 'unauthorized_client')
    expectTokenError(await introspect(server, spa, 'x'), 'unauthorized_client')
  })

  it('without a token, or with two', async () => {
    expectTokenError(await post(server, '/introspect', {}, basic(web)), 'invalid_request')
    expectTokenError(await introspect(server, web, 'x', [['token', 'y']]), 'invalid_request')
  })

  it('by any method but POST', async () => {
    const answer = await server.browser().send('/introspect?token=x', { headers: basic(web) })
    expect(answer.status).toBe(405)
    expect(answer.headers['allow']).toContain('POST')
  })
})

describe('introspection of an access token', () => {
  it('says what RFC 7662 §2.2 names, to the client it was issued to', async () => {
    const tokens = await obtain(server, web, alice, { scope: 'openid profile api:read' })
    const claims = claimsIn(tokens.access_token)
    expect(await looks(web, tokens.access_token)).toEqual({
      active: true,
      token_type: 'Bearer',
      username: 'alice',
      ...claims,
    })
    expect(claims).toMatchObject({
      iss: server.issuer,
      sub: alice.sub,
      client_id: 'web',
      scope: 'openid profile api:read',
      aud: ['https://api.test', server.issuer],
    })
  })

  it('says it to the server of its API, by token_type_hint or not, and to no other', async () => {
    const api = await server.createClient({ client_id: 'api', resource_server_for: ['https://api.test'] })
    const other = await server.createClient({
      client_id: 'other',
      resource_server_for: ['https://other.test'],
    })
    const tokens = await obtain(server, web, alice, { scope: 'api:read' })
    for (const hint of [undefined, 'access_token', 'refresh_token', 'nonsense'])
      expect(
        (
          await introspect(
            server,
            api,
            tokens.access_token,
            hint === undefined ? {} : { token_type_hint: hint },
          )
        ).json,
      ).toMatchObject({ active: true, sub: alice.sub, aud: 'https://api.test', username: 'alice' })
    expect(await looks(other, tokens.access_token)).toEqual(inactive)
    // A token for the issuer is nobody's business there.
    const forIssuer = await obtain(server, web, alice)
    expect(await looks(api, forIssuer.access_token)).toEqual(inactive)
  })

  it('says active until it expires, to the second', async () => {
    const { access_token: token } = await obtain(server, web, alice, { scope: 'openid offline_access' })
    server.sleep(898)
    expect(await looks(web, token)).toMatchObject({ active: true })
    server.sleep(3)
    expect(await looks(web, token)).toEqual(inactive)
  })

  for (const [what, end] of [
    ['the session has ended', (token: string) => endSessionOf(server, token, alice)],
    ['the user is disabled', () => change(server, disableUser(alice.id, server.services.now()))],
    ['consent is withdrawn', () => withdraw(server, alice, web)],
  ] as const)
    it(`says inactive once ${what}`, async () => {
      const tokens = await obtain(server, web, alice)
      expect(await looks(web, tokens.access_token)).toMatchObject({ active: true })
      await end(tokens.id_token)
      expect(await looks(web, tokens.access_token)).toEqual(inactive)
      expect(await looks(web, tokens.refresh_token)).toEqual(inactive)
    })

  it('says inactive, and nothing else, of anything that is none', async () => {
    const tokens = await obtain(server, web, alice)
    const [header = '', claims = '', signature = ''] = tokens.access_token.split('.')
    const forged = Buffer.from(JSON.stringify({ ...claimsIn(tokens.access_token), sub: 'admin' })).toString(
      'base64url',
    )
    for (const token of [
      'x',
      '.',
      '..',
      'a.b.c',
      `${header}.${claims}.`,
      `${header}.${forged}.${signature}`,
      `${header}.${claims}.${signature}.`,
      ` ${tokens.access_token}`,
      tokens.id_token,
      web.secret,
      'é',
      '\u0000',
      '{}',
      'x'.repeat(20_000),
      '__proto__',
    ])
      expect(await looks(web, token), String(token).slice(0, 40)).toEqual(inactive)
  })
})

describe('introspection of a refresh token', () => {
  it('is for its own client: type-less, with the scope and when it ends', async () => {
    const tokens = await obtain(server, web, alice, { scope: 'openid offline_access' })
    const now = Math.floor(server.services.now().getTime() / 1000)
    const answer = await looks(web, tokens.refresh_token)
    expect(answer).toEqual({
      active: true,
      iss: server.issuer,
      client_id: 'web',
      sub: alice.sub,
      username: 'alice',
      scope: 'openid offline_access',
      exp: expect.any(Number),
    })
    expect(Math.abs(Number(answer['exp']) - now - 14 * 86_400)).toBeLessThan(5)
  })

  it('is inactive to everybody else, the server of its API included, and where it was used', async () => {
    const api = await server.createClient({
      client_id: 'api',
      resource_server_for: ['https://api.test', server.issuer],
    })
    const tokens = await obtain(server, web, alice, { scope: 'openid api:read' })
    expect(await looks(api, tokens.refresh_token)).toEqual(inactive)
    const next = tokensIn(await refresh(server, web, tokens.refresh_token))
    expect(await looks(web, tokens.refresh_token)).toEqual(inactive)
    expect(await looks(web, next.refresh_token)).toMatchObject({ active: true })
    // To look at an old one is no use of it.
    expect(tokensIn(await refresh(server, web, next.refresh_token)).refresh_token).toBeTruthy()
  })
})

it('of a token for several APIs each of their servers may know', async () => {
  await server.createResource({ identifier: 'https://two.test', scopes: ['two:read'] })
  const service = await server.createClient({
    client_id: 'service',
    grant_types: ['client_credentials'],
    redirect_uris: undefined,
    scope: 'api:read two:read',
  })
  const { access_token: token } = tokensIn(
    await clientCredentials(server, service, [
      ['resource', 'https://api.test'],
      ['resource', 'https://two.test'],
    ]),
  )
  for (const identifier of ['https://api.test', 'https://two.test']) {
    const api = await server.createClient({ resource_server_for: [identifier] })
    expect(await looks(api, token)).toMatchObject({ active: true })
  }
})
