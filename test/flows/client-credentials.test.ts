import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { write } from '../../src/store/commit.ts'
import { statement } from '../../src/store/statement.ts'
import { expectClientRefused, expectTokenError, expectTokenRefused, unchanged } from '../security/outcomes.ts'
import { changeClient, disable } from '../support/changes.ts'
import { basic, claimsIn, getWithToken, post } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { clientCredentials, introspect, revoke, tokenRequest, tokensIn } from '../support/tokens.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
  await server.createResource()
  await server.createResource({ identifier: 'https://other.test', scopes: ['other:read'] })
})
afterEach(() => server.stop())

const makeService = (more: Record<string, unknown> = {}): Promise<TestClient> =>
  server.createClient({
    client_id: 'service',
    grant_types: ['client_credentials'],
    redirect_uris: undefined,
    scope: 'openid offline_access profile api:read api:write other:read',
    ...more,
  })

const refused = (client: TestClient, fields: Record<string, string>, error: string): Promise<void> =>
  unchanged(server, async () => {
    expectTokenError(await clientCredentials(server, client, fields), error, JSON.stringify(fields))
  })

describe('client_credentials is refused', () => {
  it('to a public client, even to one whose metadata was written past us: unauthorized_client', async () => {
    const spa = await server.createClient({ client_id: 'spa', token_endpoint_auth_method: 'none' })
    await refused(spa, {}, 'unauthorized_client')
    // As if an older version had let it pass.
    const granting = statement<{ metadata: string }>('test.grant', (knex, { metadata }) =>
      knex('client').where({ id: 'spa' }).update({ metadata }),
    )
    const metadata = JSON.stringify({ ...spa.metadata, grant_types: ['client_credentials'] })
    await server.services.store.commit([write(granting, { metadata })])
    server.services.clients.forget()
    await refused(spa, {}, 'unauthorized_client')
  })

  it('to a client that is not registered for it: unauthorized_client', async () => {
    await refused(await server.createClient(), {}, 'unauthorized_client')
  })

  it('without authentication, and with a wrong secret: invalid_client', async () => {
    const service = await makeService()
    const fields = { grant_type: 'client_credentials' }
    expectClientRefused(await post(server, '/token', { ...fields, client_id: service.id }), false)
    expectClientRefused(
      await post(server, '/token', fields, basic({ ...service, secret: `${service.secret}0` })),
      true,
    )
  })

  it('to a disabled client: invalid_client', async () => {
    const service = await makeService()
    const tokens = tokensIn(await clientCredentials(server, service, { scope: 'api:read' }))
    await disable(server, service)
    expectClientRefused(await clientCredentials(server, service), true)
    expectTokenRefused(await getWithToken(server, '/userinfo', tokens.access_token))
  })

  it('for any scope that is unknown, not the client’s, or about a person: invalid_scope', async () => {
    const service = await makeService({ scope: 'openid offline_access profile api:read ghost:read' })
    for (const scope of [
      'openid',
      'profile',
      'offline_access',
      'openid api:read',
      'api:read profile',
      'api:write',
      'other:read',
      'unknown',
      'ghost:read',
      'API:READ',
      'api:read "',
      'api:read\\',
      'api:read\u0000',
    ])
      await refused(service, { scope }, 'invalid_scope')
  })

  it('for scopes of two APIs with none named: invalid_scope', async () => {
    const service = await makeService()
    await refused(service, { scope: 'api:read other:read' }, 'invalid_scope')
  })

  it('for an API that is not registered, or with a fragment: invalid_target', async () => {
    const service = await makeService()
    for (const resource of [
      'https://unknown.test',
      'https://api.test#x',
      'https://api.test/x',
      'https://API.test',
      'api.test',
      server.issuer,
    ])
      await refused(service, { resource }, 'invalid_target')
  })
})

describe('client_credentials gives a token of the client alone', () => {
  it('by RFC 9068, with sub and client_id the client, and neither refresh token nor ID token', async () => {
    const service = await makeService()
    const answer = await clientCredentials(server, service, { scope: 'api:read' })
    expect(answer.status).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(Object.keys(answer.json).sort()).toEqual(['access_token', 'expires_in', 'scope', 'token_type'])
    expect(answer.json).toMatchObject({ token_type: 'Bearer', expires_in: 900, scope: 'api:read' })
    const token = String(answer.json['access_token'])
    const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as object
    expect(header).toEqual({ typ: 'at+jwt', alg: 'ES256', kid: expect.any(String) })
    const claims = claimsIn(token)
    expect(claims).toEqual({
      iss: server.issuer,
      sub: 'service',
      client_id: 'service',
      aud: 'https://api.test',
      scope: 'api:read',
      iat: expect.any(Number),
      exp: Number(claims['iat']) + 900,
      jti: expect.any(String),
    })
  })

  it('even where the client is registered for refresh tokens too; no row is written for it', async () => {
    const service = await makeService({ grant_types: ['client_credentials', 'refresh_token'] })
    const answer = await unchanged(server, () => clientCredentials(server, service, { scope: 'api:read' }))
    expect(answer.json).not.toHaveProperty('refresh_token')
  })

  it('with every scope of its API where it names none, less those about a person', async () => {
    const service = await makeService({ scope: 'openid profile api:write api:read' })
    expect(
      tokensIn(await clientCredentials(server, service))
        .scope.split(' ')
        .sort(),
    ).toEqual(['api:read', 'api:write'])
  })

  it('with the scopes of the API that it names', async () => {
    const service = await makeService()
    const tokens = tokensIn(await clientCredentials(server, service, { resource: 'https://other.test' }))
    expect(tokens.scope).toBe('other:read')
    expect(claimsIn(tokens.access_token)['aud']).toBe('https://other.test')
    await refused(service, {}, 'invalid_scope')
  })

  it('with no scope at all where the client has none: for the issuer, and good for nothing there', async () => {
    const service = await makeService({ scope: undefined })
    const tokens = tokensIn(await clientCredentials(server, service))
    expect(tokens.scope).toBe('')
    expect(claimsIn(tokens.access_token)['aud']).toBe(server.issuer)
    const answer = await getWithToken(server, '/userinfo', tokens.access_token)
    expect(answer.status).toBe(403)
  })

  it('that UserInfo refuses: for an API it is not meant for it, for the issuer there is no person', async () => {
    const service = await makeService()
    for (const fields of [{ scope: 'api:read' }, { resource: 'https://api.test' }]) {
      const { access_token: token } = tokensIn(await clientCredentials(server, service, fields))
      expectTokenRefused(await getWithToken(server, '/userinfo', token))
    }
    await changeClient(server, service, { scope: 'openid profile', redirect_uris: undefined })
    const { access_token: token } = tokensIn(await clientCredentials(server, service))
    const answer = await getWithToken(server, '/userinfo', token)
    expect(answer.status).toBe(403)
    expect(answer.json['error']).toBe('insufficient_scope')
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer error="insufficient_scope"/)
    expect(answer.json).not.toHaveProperty('sub')
  })

  it('that introspects for itself and for the server of its API, without a username', async () => {
    const service = await makeService()
    const api = await server.createClient({ client_id: 'api', resource_server_for: ['https://api.test'] })
    const { access_token: token } = tokensIn(await clientCredentials(server, service, { scope: 'api:read' }))
    for (const client of [service, api]) {
      const { json } = await introspect(server, client, token)
      expect(json).toMatchObject({ active: true, sub: 'service', client_id: 'service', scope: 'api:read' })
      expect(json).not.toHaveProperty('username')
    }
    expect((await revoke(server, service, token)).status).toBe(200)
    for (const client of [service, api])
      expect((await introspect(server, client, token)).json).toEqual({ active: false })
  })

  it('that ends after 15 minutes, or earlier where the API says so', async () => {
    await server.createResource({ identifier: 'https://short.test', scopes: ['short:read'], lifetime: 60 })
    const service = await makeService({ scope: 'api:read short:read' })
    const long = tokensIn(await clientCredentials(server, service, { scope: 'api:read' }))
    const short = tokensIn(await clientCredentials(server, service, { scope: 'short:read' }))
    expect([long.expires_in, short.expires_in]).toEqual([900, 60])
    const active = async (token: string) => (await introspect(server, service, token)).json['active']
    server.sleep(59)
    expect([await active(long.access_token), await active(short.access_token)]).toEqual([true, true])
    server.sleep(2)
    expect([await active(long.access_token), await active(short.access_token)]).toEqual([true, false])
    server.sleep(840)
    expect(await active(long.access_token)).toBe(false)
  })

  it('that is not given any more once the grant is taken away', async () => {
    const service = await makeService()
    await changeClient(server, service, {
      grant_types: ['authorization_code'],
      redirect_uris: ['https://web.test/cb'],
    })
    await refused(service, { scope: 'api:read' }, 'unauthorized_client')
  })
})

describe('grant_type', () => {
  it('that is missing is invalid_request, that is unknown unsupported_grant_type; the client comes first', async () => {
    const service = await makeService()
    expectTokenError(await post(server, '/token', {}, basic(service)), 'invalid_request')
    for (const grantType of ['password', 'implicit', 'constructor', '__proto__', 'Client_credentials'])
      expectTokenError(await tokenRequest(server, service, grantType), 'unsupported_grant_type')
    expectClientRefused(await post(server, '/token', { grant_type: 'x', client_id: 'nobody' }), false)
  })
})
