import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Resource } from '../../src/oauth/client/resource-server.ts'
import { deleteResource } from '../../src/oauth/client/resource-server.ts'
import { expectTokenError, unchanged } from '../security/outcomes.ts'
import { change } from '../support/changes.ts'
import {
  answerOf,
  authorizeUrl,
  basic,
  claimsIn,
  getWithToken,
  passPages,
  pkcePair,
} from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { clientCredentials, introspect, refresh, send, tokensIn } from '../support/tokens.ts'

const api1 = 'https://api1.test'
const api2 = 'https://api2.test'

let server: TestServer
let web: TestClient
let resources: Resource[]
let alice: { username: string; password: string; sub: string }
beforeEach(async () => {
  server = await startServer()
  resources = [
    await server.createResource({ identifier: api1, scopes: ['one:read', 'one:write'] }),
    await server.createResource({ identifier: api2, scopes: ['two:read'] }),
  ]
  web = await server.createClient({
    client_id: 'web',
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    scope: 'openid profile one:read one:write two:read',
    first_party: true,
  })
  alice = await server.createUser()
})
afterEach(() => server.stop())

type Asked = { scope: string; resource?: string[] }

const authorize = async ({ scope, resource = [] }: Asked) => {
  const { verifier, challenge } = pkcePair()
  const more = new URLSearchParams(resource.map((one): [string, string] => ['resource', one]))
  const url = authorizeUrl(web, { scope, code_challenge: challenge, code_challenge_method: 'S256' })
  const browser = server.browser()
  const answer = await passPages(browser, await browser.open(`${url}&${more}`), alice)
  return { verifier, parameters: answerOf(answer) }
}

const codeFor = async (asked: Asked): Promise<[string, string][]> => {
  const { verifier, parameters } = await authorize(asked)
  expect(parameters.get('error'), JSON.stringify(asked)).toBeNull()
  return [
    ['grant_type', 'authorization_code'],
    ['code', String(parameters.get('code'))],
    ['code_verifier', verifier],
    ['redirect_uri', web.redirectUri],
  ]
}

const redeemFor = async (fields: [string, string][], resource: string[] = []) =>
  send(
    server,
    '/token',
    [...fields, ...resource.map((one): [string, string] => ['resource', one])],
    basic(web),
  )

describe('SEC-060 resource (RFC 8707)', () => {
  it('at /authorize: not registered, with a fragment, or fifty of them goes back as invalid_target', async () => {
    for (const resource of [
      ['https://unknown.test'],
      [api1, 'https://unknown.test'],
      [`${api1}#x`],
      [`${api1}/x`],
      ['api1'],
      ['HTTPS://API1.TEST'],
      Array.from({ length: 50 }, () => api1),
    ]) {
      const { parameters } = await authorize({ scope: 'openid', resource })
      expect(parameters.get('error'), resource[0]).toBe('invalid_target')
      expect(parameters.get('iss')).toBe(server.issuer)
      expect(parameters.get('state')).toBe('state-1')
      expect(parameters.has('code')).toBe(false)
    }
  })

  it('at /token with a code: another API than was allowed is invalid_target, and the code is not used up', async () => {
    const fields = await codeFor({ scope: 'openid one:read', resource: [api1] })
    for (const resource of [
      [api2],
      [api1, api2],
      [`${api1}#x`],
      ['https://unknown.test'],
      [server.issuer],
      Array(50).fill(api1),
    ])
      expectTokenError(
        await unchanged(server, () => redeemFor(fields, resource)),
        'invalid_target',
        resource.join(' '),
      )
    const tokens = tokensIn(await redeemFor(fields, [api1]))
    expect(claimsIn(tokens.access_token)['aud']).toBe(api1)
  })

  it('at /token with a code: one of the APIs that were allowed is all of aud; the refresh may be for the other', async () => {
    const fields = await codeFor({ scope: 'openid one:read two:read', resource: [api1, api2] })
    const first = tokensIn(await redeemFor(fields, [api2]))
    expect(claimsIn(first.access_token)['aud']).toBe(api2)
    const next = tokensIn(await refresh(server, web, first.refresh_token, { resource: api1 }))
    expect(claimsIn(next.access_token)['aud']).toBe(api1)
    const both = tokensIn(await refresh(server, web, next.refresh_token))
    expect(claimsIn(both.access_token)['aud']).toEqual([api1, api2])
  })

  it('a token for one of the APIs has the scopes of that one; the refresh token keeps all', async () => {
    const asked = { scope: 'openid profile one:read one:write two:read', resource: [api1, api2] }
    const first = tokensIn(await redeemFor(await codeFor(asked), [api2]))
    expect([first.scope, claimsIn(first.access_token)['scope']]).toEqual(
      Array(2).fill('openid profile two:read'),
    )
    const next = tokensIn(await refresh(server, web, first.refresh_token, { resource: api1 }))
    expect([next.scope, claimsIn(next.access_token)['scope']]).toEqual(
      Array(2).fill('openid profile one:read one:write'),
    )
    const less = tokensIn(
      await refresh(server, web, next.refresh_token, { resource: api1, scope: 'one:read two:read' }),
    )
    expect(less.scope).toBe('one:read')
    expect(tokensIn(await refresh(server, web, less.refresh_token)).scope).toBe(asked.scope)
  })

  it('a scope of an API that was not named is in no token', async () => {
    const tokens = tokensIn(await redeemFor(await codeFor({ scope: 'openid one:read', resource: [api2] })))
    expect([tokens.scope, claimsIn(tokens.access_token)['scope']]).toEqual(['openid', 'openid'])
    expectTokenError(
      await clientCredentials(server, web, [
        ['scope', 'one:read'],
        ['resource', api2],
      ]),
      'invalid_scope',
    )
  })

  it('an API of which the client may have no scope is invalid_target, whatever scope it asks for', async () => {
    const secret = 'https://secret.test'
    await server.createResource({ identifier: secret, scopes: ['secret:read'] })
    for (const scope of ['openid', '', 'one:read'])
      for (const resource of [[secret], [api1, secret]]) {
        const { parameters } = await authorize({ scope, resource })
        expect([parameters.get('error'), parameters.has('code')], `${scope} ${resource}`).toEqual([
          'invalid_target',
          false,
        ])
      }
    expectTokenError(await clientCredentials(server, web, { resource: secret }), 'invalid_target')
    // One without scopes knows no difference between clients: whoever the operator registered may name it.
    await server.createResource({ identifier: 'https://plain.test', scopes: [] })
    const tokens = tokensIn(
      await redeemFor(await codeFor({ scope: 'openid', resource: ['https://plain.test'] })),
    )
    expect(claimsIn(tokens.access_token)['aud']).toBe('https://plain.test')
  })

  it('at /token with a code: an API that was deleted meanwhile is invalid_grant', async () => {
    const fields = await codeFor({ scope: 'openid one:read', resource: [api1] })
    await change(server, ...deleteResource(resources[0]?.id ?? ''))
    expectTokenError(await redeemFor(fields), 'invalid_grant')
  })

  it('scopes of two APIs with none named: invalid_scope, at /authorize and for the client itself', async () => {
    const { parameters } = await authorize({ scope: 'openid one:read two:read' })
    expect(parameters.get('error')).toBe('invalid_scope')
    expectTokenError(await clientCredentials(server, web, { scope: 'one:read two:read' }), 'invalid_scope')
  })
})

describe('aud (contracts: Audience)', () => {
  const issuer = 'the issuer'
  const cases: (Asked & { aud: string | string[] })[] = [
    { scope: 'openid', aud: issuer },
    { scope: 'openid profile', aud: issuer },
    { scope: 'profile', aud: issuer },
    { scope: '', aud: issuer },
    { scope: 'one:read', aud: api1 },
    { scope: 'one:read one:write', aud: api1 },
    { scope: 'one:read profile', aud: api1 },
    { scope: 'openid one:read', aud: [api1, issuer] },
    { scope: 'openid two:read profile', aud: [api2, issuer] },
    { scope: 'openid', resource: [api1], aud: api1 },
    { scope: 'openid one:read', resource: [api1], aud: api1 },
    { scope: 'openid one:read', resource: [api2], aud: api2 },
    { scope: 'openid one:read two:read', resource: [api1], aud: api1 },
    { scope: 'openid one:read two:read', resource: [api1, api2], aud: [api1, api2] },
    { scope: 'openid', resource: [api2, api1], aud: [api2, api1] },
    { scope: 'openid', resource: [api1, api1], aud: api1 },
    { scope: 'one:read', resource: [`${api1}/`], aud: api1 },
    { scope: '', resource: [api1], aud: api1 },
  ]
  for (const { scope, resource, aud } of cases)
    it(`scope "${scope}"${resource ? `, resource ${resource.join(' ')}` : ''}: ${JSON.stringify(aud)}`, async () => {
      const expected = [aud].flat().map(one => (one === issuer ? server.issuer : one))
      const asked = { scope, ...(resource ? { resource } : {}) }
      const tokens = tokensIn(await redeemFor(await codeFor(asked)))
      const claims = claimsIn(tokens.access_token)
      expect(claims['aud']).toEqual(Array.isArray(aud) ? expected : expected[0])
      expect(claims['client_id']).toBe('web')
      expect([claims['aud']].flat()).not.toContain('web')
      // UserInfo wants openid, and the issuer in aud.
      const userinfo = await getWithToken(server, '/userinfo', tokens.access_token)
      const mayAsk = scope.split(' ').includes('openid') && expected.includes(server.issuer)
      if (mayAsk) expect(userinfo.json['sub']).toBe(alice.sub)
      else {
        expect([401, 403]).toContain(userinfo.status)
        expect(userinfo.json).not.toHaveProperty('sub')
      }
      // A refresh says the same.
      const next = tokensIn(await refresh(server, web, tokens.refresh_token))
      expect(claimsIn(next.access_token)['aud']).toEqual(claims['aud'])
    })

  const own: { fields: [string, string][]; aud: string | string[] }[] = [
    { fields: [['scope', 'one:read']], aud: api1 },
    { fields: [['scope', 'two:read']], aud: api2 },
    { fields: [['resource', api1]], aud: api1 },
    {
      fields: [
        ['scope', 'one:read'],
        ['resource', api1],
      ],
      aud: api1,
    },
    {
      fields: [
        ['resource', api1],
        ['resource', api2],
      ],
      aud: [api1, api2],
    },
    {
      fields: [
        ['scope', 'one:read two:read'],
        ['resource', api2],
        ['resource', api1],
      ],
      aud: [api2, api1],
    },
  ]
  for (const { fields, aud } of own)
    it(`of a client’s own token, ${new URLSearchParams(fields)}: ${JSON.stringify(aud)}`, async () => {
      const tokens = tokensIn(await clientCredentials(server, web, fields))
      expect(claimsIn(tokens.access_token)['aud']).toEqual(aud)
    })
})

describe('what belongs to the API', () => {
  it('its algorithm, type and lifetime are the token’s; a token for two has the common ones', async () => {
    await server.createResource({
      identifier: 'https://old.test',
      scopes: ['old:read'],
      alg: 'RS256',
      tokenTyp: 'JWT',
      lifetime: 120,
    })
    const service = await server.createClient({
      client_id: 'service',
      grant_types: ['client_credentials'],
      redirect_uris: undefined,
      scope: 'one:read old:read',
    })
    const headerOf = (token: string): unknown =>
      JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
    const old = tokensIn(await clientCredentials(server, service, { scope: 'old:read' }))
    expect(headerOf(old.access_token)).toMatchObject({ alg: 'RS256', typ: 'JWT' })
    expect(old.expires_in).toBe(120)
    const both = tokensIn(
      await clientCredentials(server, service, [
        ['resource', api1],
        ['resource', 'https://old.test'],
      ]),
    )
    expect(headerOf(both.access_token)).toMatchObject({ alg: 'ES256', typ: 'at+jwt' })
    expect(both.expires_in).toBe(120)
    for (const { access_token } of [old, both])
      expect((await introspect(server, service, access_token)).json['active']).toBe(true)
  })

  it('a lifetime longer than the server’s own does not count', async () => {
    await server.createResource({ identifier: 'https://long.test', scopes: ['long:read'], lifetime: 86_400 })
    const service = await server.createClient({
      client_id: 'service',
      grant_types: ['client_credentials'],
      redirect_uris: undefined,
      scope: 'long:read',
    })
    expect(tokensIn(await clientCredentials(server, service)).expires_in).toBe(900)
  })
})
