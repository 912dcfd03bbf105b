import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  expectAudited,
  expectClientRefused,
  expectTokenError,
  expectTokenRefused,
  unchanged,
} from '../security/outcomes.ts'
import { basic, getWithToken, post } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { clientCredentials, introspect, obtain, refresh, revoke, tokensIn } from '../support/tokens.ts'
import { startTwoServers } from '../support/two-servers.ts'

let server: TestServer
let alice: { id: string; username: string; password: string }
beforeEach(async () => {
  server = await startServer()
  alice = await server.createUser()
})
afterEach(() => server.stop())

const grantTypes = ['authorization_code', 'refresh_token']
const makeWeb = (at = server, more: Record<string, unknown> = {}): Promise<TestClient> =>
  at.createClient({ client_id: 'web', grant_types: grantTypes, first_party: true, ...more })
const makeSpa = (): Promise<TestClient> =>
  server.createClient({
    client_id: 'spa',
    grant_types: grantTypes,
    token_endpoint_auth_method: 'none',
    redirect_uris: ['https://spa.test/cb'],
  })

const userinfo = (token: unknown, at = server) => getWithToken(at, '/userinfo', String(token))

const revoked = async (client: TestClient, token: unknown, more: Record<string, string> = {}) => {
  const answer = await revoke(server, client, token, more)
  expect(answer.status).toBe(200)
  expect(answer.headers['content-type']).toMatch(/^application\/json/)
  expect(answer.json).toEqual({})
  return answer
}

describe('revocation', () => {
  it('wants the client first: a wrong one is invalid_client, and the token lives', async () => {
    const web = await makeWeb()
    const { refresh_token: token } = await obtain(server, web, alice)
    await unchanged(server, async () => {
      expectClientRefused(await post(server, '/revoke', { token, client_id: web.id }), false)
      expectClientRefused(await post(server, '/revoke', { token }, basic({ ...web, secret: 'wrong' })), true)
      expectTokenError(await post(server, '/revoke', { token }), 'invalid_request')
      expectTokenError(await post(server, '/revoke', {}, basic(web)), 'invalid_request')
      expectTokenError(await revoke(server, web, token, [['token', token]]), 'invalid_request')
    })
    expect((await refresh(server, web, token)).status).toBe(200)
  })

  it('a token of another client is answered like an unknown one, and lives (RFC 7009 §2.1)', async () => {
    const web = await makeWeb()
    const other = await server.createClient({ client_id: 'other' })
    const spa = await makeSpa()
    const tokens = await obtain(server, web, alice)
    for (const client of [other, spa])
      await unchanged(server, async () => {
        await revoked(client, tokens.access_token)
        await revoked(client, tokens.refresh_token)
      })
    expect((await userinfo(tokens.access_token)).status).toBe(200)
    expect((await refresh(server, web, tokens.refresh_token)).status).toBe(200)
    expect((await server.audit()).filter(row => row.event === 'token.revoked')).toEqual([])
  })

  it('"invalid tokens do not cause an error response" (RFC 7009 §2.2)', async () => {
    const web = await makeWeb()
    const tokens = await obtain(server, web, alice)
    await unchanged(server, async () => {
      for (const token of [
        'x',
        '..',
        'a.b.c',
        '\u0000',
        'é',
        tokens.id_token,
        web.secret,
        'x'.repeat(30_000),
      ])
        await revoked(web, token)
    })
    expect((await userinfo(tokens.access_token)).status).toBe(200)
  })

  it('of an access token ends that one alone, at once', async () => {
    for (const client of [await makeWeb(), await makeSpa()]) {
      const first = await obtain(server, client, alice)
      const second = tokensIn(await refresh(server, client, first.refresh_token))
      const answer = await revoked(client, first.access_token)
      await expectAudited(server, answer, 'token.revoked', { client, reason: 'access_token' })
      expectTokenRefused(await userinfo(first.access_token))
      expect((await userinfo(second.access_token)).status).toBe(200)
      expect((await refresh(server, client, second.refresh_token)).status).toBe(200)
      // Twice is as good as once.
      await revoked(client, first.access_token)
    }
  })

  it('of a refresh token ends all of its authorization (RFC 7009 §2.1), and no other', async () => {
    for (const client of [await makeWeb(), await makeSpa()]) {
      const other = await obtain(server, client, alice)
      const first = await obtain(server, client, alice)
      const second = tokensIn(await refresh(server, client, first.refresh_token))
      const answer = await revoked(client, second.refresh_token)
      await expectAudited(server, answer, 'token.revoked', { client, reason: 'refresh_token' })
      for (const { access_token } of [first, second]) expectTokenRefused(await userinfo(access_token))
      for (const { refresh_token } of [second, first])
        expectTokenError(await refresh(server, client, refresh_token), 'invalid_grant')
      expect((await userinfo(other.access_token)).status).toBe(200)
      expect((await refresh(server, client, other.refresh_token)).status).toBe(200)
    }
  })

  it('of any refresh token that was genuine does so: a client may still hold an older one', async () => {
    const web = await makeWeb()
    const first = await obtain(server, web, alice)
    const second = tokensIn(await refresh(server, web, first.refresh_token))
    const third = tokensIn(await refresh(server, web, second.refresh_token))
    await revoked(web, first.refresh_token)
    expectTokenError(await refresh(server, web, third.refresh_token), 'invalid_grant')
  })

  it('finds the token whatever token_type_hint says', async () => {
    const web = await makeWeb()
    for (const hint of ['access_token', 'refresh_token', 'pat', '__proto__']) {
      const tokens = await obtain(server, web, alice)
      await revoked(web, tokens.access_token, { token_type_hint: hint })
      expectTokenRefused(await userinfo(tokens.access_token))
      expect((await introspect(server, web, tokens.refresh_token)).json['active']).toBe(true)
      await revoked(web, tokens.refresh_token, { token_type_hint: hint })
      expect((await introspect(server, web, tokens.refresh_token)).json).toEqual({ active: false })
    }
  })

  it('of a client’s own token ends it', async () => {
    await server.createResource()
    const service = await server.createClient({
      client_id: 'service',
      grant_types: ['client_credentials'],
      redirect_uris: undefined,
      scope: 'api:read',
    })
    const [one, two] = [
      tokensIn(await clientCredentials(server, service)),
      tokensIn(await clientCredentials(server, service)),
    ]
    await revoked(service, one.access_token)
    expect((await introspect(server, service, one.access_token)).json).toEqual({ active: false })
    expect((await introspect(server, service, two.access_token)).json['active']).toBe(true)
  })

  it('holds until the token would have expired anyway, and the entry goes with it', async () => {
    const web = await makeWeb()
    const { access_token: token } = await obtain(server, web, alice)
    await revoked(web, token)
    const entries = async () => (await server.counts())['revoked_access_token']
    expect(await entries()).toBe(1)
    server.sleep(880)
    expectTokenRefused(await userinfo(token))
    expect(await entries()).toBe(1)
  })

  it('is honoured by the other server of the database within a second, and after a restart', async () => {
    const { one, other, stop } = await startTwoServers()
    try {
      const web = await makeWeb(one)
      const person = await one.createUser()
      const tokens = await obtain(one, web, person)
      expect((await userinfo(tokens.access_token, other)).status).toBe(200)
      expect((await revoke(one, web, tokens.access_token)).status).toBe(200)
      expectTokenRefused(await userinfo(tokens.access_token, other))
      const more = await obtain(one, web, person)
      expect((await userinfo(more.access_token, other)).status).toBe(200)
      expect((await revoke(other, web, more.refresh_token)).status).toBe(200)
      expectTokenRefused(await userinfo(more.access_token, one))
      expectTokenError(await refresh(one, web, more.refresh_token), 'invalid_grant')
    } finally {
      await stop()
    }
  })
})
