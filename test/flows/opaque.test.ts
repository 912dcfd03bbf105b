import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { randomText } from '../../src/store/text-key.ts'
import { expectNowhere, expectTokenError, expectTokenRefused, unchanged } from '../security/outcomes.ts'
import { disable, endSessionOf } from '../support/changes.ts'
import { getCode, getWithToken, post, redeem } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { clientCredentials, introspect, obtain, refresh, revoke, tokensIn } from '../support/tokens.ts'

let server: TestServer
let web: TestClient
let alice: { id: string; username: string; password: string; sub: string }
beforeEach(async () => {
  server = await startServer()
  web = await server.createClient({
    client_id: 'web',
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    scope: 'openid profile api:read secret:read',
    first_party: true,
    access_token_format: 'opaque',
  })
  alice = await server.createUser({ name: 'Alice' })
})
afterEach(() => server.stop())

const form = /^lna[0-9a-z]{72}$/
const userinfo = (token: unknown) => getWithToken(server, '/userinfo', String(token))
const rows = async () => (await server.counts())['opaque_token']

describe('an opaque access token', () => {
  it('is what a client gets that chose it: from a code, at every refresh, and for itself', async () => {
    await server.createResource()
    const first = await obtain(server, web, alice, { scope: 'openid profile' })
    const next = tokensIn(await refresh(server, web, first.refresh_token))
    const own = tokensIn(await clientCredentials(server, web, { scope: 'api:read' }))
    for (const { access_token } of [first, next, own]) expect(access_token).toMatch(form)
    expect(new Set([first, next, own].map(one => one.access_token)).size).toBe(3)
    expect(await rows()).toBe(3)
    expect(first.id_token.split('.')).toHaveLength(3)
  })

  it('is what a resource gets that chose it, alone or beside others, whatever the client says', async () => {
    await server.createResource()
    await server.createResource({
      identifier: 'https://secret.test',
      scopes: ['secret:read'],
      tokenFormat: 'opaque',
      lifetime: 60,
    })
    const plain = await server.createClient({
      client_id: 'plain',
      scope: 'openid api:read secret:read',
      first_party: true,
    })
    const forJwt = await obtain(server, plain, alice, { scope: 'openid api:read' })
    expect(forJwt.access_token.split('.')).toHaveLength(3)
    const alone = await obtain(server, plain, alice, { scope: 'openid secret:read' })
    expect(alone.access_token).toMatch(form)
    expect(alone.expires_in).toBe(60)
    const named = await obtain(server, plain, alice, { scope: 'openid', resource: 'https://secret.test' })
    expect(named.access_token).toMatch(form)
  })

  it('works at UserInfo, by GET, by POST and in the body, as a JWT does', async () => {
    const { access_token: token } = await obtain(server, web, alice, { scope: 'openid profile' })
    expect((await userinfo(token)).json).toMatchObject({ sub: alice.sub, name: 'Alice' })
    expect((await post(server, '/userinfo', { access_token: token })).json).toMatchObject({ sub: alice.sub })
    expect((await post(server, '/userinfo', {}, { authorization: `Bearer ${token}` })).json).toMatchObject({
      sub: alice.sub,
    })
  })

  it('introspects like a JWT, for its client and the server of its API alone', async () => {
    await server.createResource()
    const api = await server.createClient({ client_id: 'api', resource_server_for: ['https://api.test'] })
    const other = await server.createClient({ client_id: 'other' })
    const { access_token: token } = await obtain(server, web, alice, { scope: 'openid api:read' })
    for (const client of [web, api])
      expect((await introspect(server, client, token)).json).toMatchObject({
        active: true,
        token_type: 'Bearer',
        iss: server.issuer,
        sub: alice.sub,
        username: 'alice',
        client_id: 'web',
        scope: 'openid api:read',
        aud: ['https://api.test', server.issuer],
        exp: expect.any(Number),
        iat: expect.any(Number),
        jti: expect.any(String),
      })
    expect((await introspect(server, other, token)).json).toEqual({ active: false })
  })

  it('ends with its time, its authorization, its session, its client, and when it is revoked', async () => {
    const timed = await obtain(server, web, alice)
    server.sleep(901)
    expectTokenRefused(await userinfo(timed.access_token))

    const single = await obtain(server, web, alice)
    const sibling = tokensIn(await refresh(server, web, single.refresh_token))
    expect((await revoke(server, web, single.access_token)).json).toEqual({})
    expectTokenRefused(await userinfo(single.access_token))
    expect((await userinfo(sibling.access_token)).status).toBe(200)

    await revoke(server, web, sibling.refresh_token)
    expectTokenRefused(await userinfo(sibling.access_token))

    const bound = await obtain(server, web, alice)
    await endSessionOf(server, bound.id_token, alice)
    expectTokenRefused(await userinfo(bound.access_token))
    expect((await introspect(server, web, bound.access_token)).json).toEqual({ active: false })

    const last = await obtain(server, web, alice)
    await disable(server, web)
    expectTokenRefused(await userinfo(last.access_token))
  })

  it('dies when its code is used a second time, or its refresh token is reused', async () => {
    const { code, verifier } = await getCode(server.browser(), web, alice)
    const first = tokensIn(await redeem(server, web, { code, verifier }))
    expectTokenError(await redeem(server, web, { code, verifier }), 'invalid_grant')
    expectTokenRefused(await userinfo(first.access_token))

    const one = await obtain(server, web, alice)
    const two = tokensIn(await refresh(server, web, one.refresh_token))
    const three = tokensIn(await refresh(server, web, two.refresh_token))
    expectTokenError(await refresh(server, web, one.refresh_token), 'invalid_grant')
    for (const { access_token } of [one, two, three]) expectTokenRefused(await userinfo(access_token))
  })

  it('cannot be forged: another secret for the same id is refused, and nothing is kept that would be one', async () => {
    const { access_token: token } = await obtain(server, web, alice)
    const forged = [
      ...Array.from({ length: 20 }, () => token.slice(0, 23) + randomText(52)),
      token.slice(0, -1),
      `${token}0`,
      token.toUpperCase(),
      token.replace(/^lna/, 'lnr'),
      token.slice(0, 3) + randomText(20) + token.slice(23),
    ]
    await unchanged(server, async () => {
      for (const one of forged) {
        expectTokenRefused(await userinfo(one), one)
        expect((await introspect(server, web, one)).json).toEqual({ active: false })
      }
    })
    const stored = await server.services.store.search<{ secret_hash: string; claims: string }>(knex =>
      knex('opaque_token').select('*'),
    )
    expect(JSON.stringify(stored)).not.toContain(token.slice(23))
    for (const { secret_hash: hash } of stored) {
      expectTokenRefused(await userinfo(hash))
      expectTokenRefused(await userinfo(token.slice(0, 23) + hash))
    }
    await expectNowhere(server, [token, token.slice(23)])
  })

  it('a refused grant writes no row for it', async () => {
    const { code, verifier } = await getCode(server.browser(), web, alice)
    expectTokenError(await redeem(server, web, { code, verifier: `${verifier}x` }), 'invalid_grant')
    expectTokenError(await clientCredentials(server, web, { scope: 'openid' }), 'invalid_scope')
    expect(await rows()).toBe(0)
    // Nor do parallel redemptions leave one behind for those that lost.
    const again = await getCode(server.browser(), web, alice)
    const answers = await Promise.all(Array.from({ length: 10 }, () => redeem(server, web, again)))
    expect(answers.filter(answer => answer.status === 200)).toHaveLength(1)
    expect(await rows()).toBe(1)
  })
})
