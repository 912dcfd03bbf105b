import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { newSetUpLink } from '../../src/admin/set-up-page.ts'
import { fromOutside } from '../support/databases.ts'
import { authorizeUrl, basic, claimsIn, getCode, getWithToken, redeem } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { clientCredentials, introspect, obtain, refresh, revoke, send, tokensIn } from '../support/tokens.ts'
import { makeApi, makeSpa, makeWeb, makeWeb2 } from './fixtures.ts'
import {
  expectAudited,
  expectClientRefused,
  expectNowhere,
  expectTokenError,
  expectTokenRefused,
  stateOf,
  unchanged,
} from './outcomes.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const scope = 'openid profile email offline_access api1:read api2:read'
const withRefresh = { grant_types: ['authorization_code', 'refresh_token'], first_party: true, scope }

const userinfo = (token: unknown) => getWithToken(server, '/userinfo', String(token))

describe('a token shown to somebody it is not for', () => {
  it('SEC-057 an access token for an API at UserInfo: B401, and a client’s own token has no person', async () => {
    const api1 = await makeApi(server, 'api1')
    const web = await makeWeb(server, {
      ...withRefresh,
      grant_types: ['authorization_code', 'client_credentials'],
    })
    const alice = await server.createUser()
    for (const asked of [
      { scope: 'openid', resource: api1.identifier },
      { scope: 'openid api1:read', resource: api1.identifier },
      { scope: 'api1:read' },
    ])
      expectTokenRefused(await userinfo((await obtain(server, web, alice, asked)).access_token))
    const own = tokensIn(await clientCredentials(server, web, { scope: 'api1:read' }))
    const answer = await userinfo(own.access_token)
    expect([401, 403]).toContain(answer.status)
    expect(Object.keys(answer.json).sort()).toEqual(['error', 'error_description'])

    const bare = await makeWeb2(server, {
      grant_types: ['authorization_code', 'client_credentials'],
      scope: 'openid',
    })
    const forIssuer = tokensIn(await clientCredentials(server, bare))
    const refused = await userinfo(forIssuer.access_token)
    expect({ status: refused.status, error: refused.json['error'] }).toEqual({
      status: 403,
      error: 'insufficient_scope',
    })
  })

  it('SEC-058 introspection by others is {"active":false} and nothing else, in whatever form it is asked for', async () => {
    const api1 = await makeApi(server, 'api1')
    await makeApi(server, 'api2')
    const web = await makeWeb(server, withRefresh)
    const web2 = await makeWeb2(server)
    const ofApi2 = await server.createClient({
      client_id: 'of-api2',
      resource_server_for: ['https://api2.test'],
    })
    const ofApi1 = await server.createClient({ client_id: 'of-api1', resource_server_for: [api1.identifier] })
    const odd = await server.createClient({
      client_id: 'odd',
      resource_server_for: ['https://api1.test.evil.test', 'https://api1', 'web', '*', 'https://api1.test/x'],
    })
    const alice = await server.createUser()
    const tokens = await obtain(server, web, alice, { scope: 'openid api1:read', resource: api1.identifier })
    for (const client of [web2, ofApi2, odd])
      for (const token of [tokens.access_token, tokens.refresh_token, tokens.id_token])
        for (const accept of ['application/json', 'application/token-introspection+jwt', '*/*']) {
          const answer = await unchanged(server, () =>
            send(server, '/introspect', { token }, { ...basic(client), accept }),
          )
          expect(answer.status).toBe(200)
          expect(answer.headers['content-type']).toMatch(/^application\/json/)
          expect(answer.json).toEqual({ active: false })
        }
    for (const client of [web, ofApi1])
      expect((await introspect(server, client, tokens.access_token)).json).toMatchObject({
        active: true,
        aud: api1.identifier,
      })
  })

  it('SEC-060 aud names exactly the requested resource, never a client, and the type is at+jwt', async () => {
    const [api1, api2] = [await makeApi(server, 'api1'), await makeApi(server, 'api2')]
    const web = await makeWeb(server, withRefresh)
    const alice = await server.createUser()
    const { code, verifier } = await getCode(server.browser(), web, alice, {
      scope: 'openid api1:read offline_access',
      resource: api1.identifier,
    })
    for (const resource of [api2.identifier, `${api1.identifier}#f`])
      expectTokenError(
        await redeem(server, web, { code, verifier }, { resource }),
        'invalid_target',
        resource,
      )
    const first = tokensIn(await redeem(server, web, { code, verifier }))
    for (const resource of [api2.identifier, `${api1.identifier}#f`])
      expectTokenError(
        await refresh(server, web, first.refresh_token, { resource }),
        'invalid_target',
        resource,
      )
    const next = tokensIn(await refresh(server, web, first.refresh_token))
    for (const { access_token: token } of [first, next]) {
      const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as Record<
        string,
        unknown
      >
      expect(header['typ']).toBe('at+jwt')
      expect(claimsIn(token)).toMatchObject({ aud: 'https://api1.test', client_id: 'web', sub: alice.sub })
      for (const personal of ['name', 'email', 'preferred_username', 'groups', 'nonce', 'sid'])
        expect(claimsIn(token)).not.toHaveProperty(personal)
    }
  })
})

describe('SEC-059 revocation while the database fails', () => {
  /** Makes every write of a table fail, by a trigger that raises. */
  const breakTables = (tables: string[]): Promise<void> =>
    server.database.kind === 'postgres'
      ? fromOutside(
          server.database,
          `create or replace function broken() returns trigger language plpgsql as
             $$ begin raise exception 'no space left'; end $$`,
          ...tables.map(
            table =>
              `create trigger broken before insert or update or delete on "${table}" for each row execute function broken()`,
          ),
        )
      : fromOutside(
          server.database,
          ...tables.flatMap(table =>
            ['insert', 'update', 'delete'].map(
              what =>
                `create trigger broken_${table}_${what} before ${what} on "${table}" begin select raise(abort, 'no space left'); end`,
            ),
          ),
        )
  const mendTables = (tables: string[]): Promise<void> =>
    fromOutside(
      server.database,
      ...tables.flatMap(table =>
        server.database.kind === 'postgres'
          ? [`drop trigger broken on "${table}"`]
          : ['insert', 'update', 'delete'].map(what => `drop trigger broken_${table}_${what}`),
      ),
    )

  const tables = ['authorization', 'revoked_access_token']

  it('is 503 with Retry-After and never 200; nothing has changed; a retry afterwards works', async () => {
    const web = await makeWeb(server, withRefresh)
    const tokens = await obtain(server, web, await server.createUser())
    await breakTables(tables)
    for (const token of [tokens.access_token, tokens.refresh_token]) {
      const answer = await unchanged(server, () => revoke(server, web, token))
      expect({ status: answer.status, error: answer.json['error'] }).toEqual({
        status: 503,
        error: 'temporarily_unavailable',
      })
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      expect(answer.headers['cache-control']).toBe('no-store')
      expect(JSON.stringify(answer.json)).not.toMatch(/no space left|trigger|authorization_/)
    }
    expect((await server.audit()).filter(row => row.event === 'token.revoked')).toEqual([])
    await mendTables(tables)
    expect((await userinfo(tokens.access_token)).status).toBe(200)
    for (const token of [tokens.access_token, tokens.refresh_token])
      expect((await revoke(server, web, token)).status).toBe(200)
    expectTokenRefused(await userinfo(tokens.access_token))
    expectTokenError(await refresh(server, web, tokens.refresh_token), 'invalid_grant')
  })

  it('so it is while the audit cannot be written: the revocation and its row come together', async () => {
    const web = await makeWeb(server, withRefresh)
    const tokens = await obtain(server, web, await server.createUser())
    await breakTables(['audit'])
    const answer = await unchanged(server, () => revoke(server, web, tokens.refresh_token))
    expect(answer.status).toBe(503)
    await mendTables(['audit'])
    expect((await refresh(server, web, tokens.refresh_token)).status).toBe(200)
  })

  it('a refresh that cannot be written gives nothing, and the token works afterwards (REL-02)', async () => {
    const web = await makeWeb(server, withRefresh)
    const tokens = await obtain(server, web, await server.createUser())
    await breakTables(['refresh_family'])
    const answer = await unchanged(server, () => refresh(server, web, tokens.refresh_token))
    expect([500, 503]).toContain(answer.status)
    expect(Object.keys(answer.json).sort()).toEqual(['error', 'error_description'])
    await mendTables(['refresh_family'])
    expect((await refresh(server, web, tokens.refresh_token)).status).toBe(200)
  })
})

describe('SEC-017 a secret of one kind in the place of every other', () => {
  /** One of each kind, fresh and unused. */
  const makeSecrets = async (web: TestClient, opaque: TestClient) => {
    const alice = await server.createUser()
    const browser = server.browser()
    const { code, verifier } = await getCode(browser, web, alice)
    const tokens = await obtain(server, web, alice, {}, browser)
    const ofOpaque = await obtain(server, opaque, alice, {}, browser)
    const cookie = [...browser.cookies.values()].find(value => value.startsWith('lnb'))
    const link = await newSetUpLink(server.services)
    return {
      alice,
      verifier,
      browser,
      kinds: {
        code,
        'refresh token': tokens.refresh_token,
        'opaque access token': ofOpaque.access_token,
        'JWT access token': tokens.access_token,
        'ID token': tokens.id_token,
        'browser cookie': String(cookie),
        'set-up token': String(new URL(String(link)).searchParams.get('token')),
        'client secret': String(web.secret),
      },
    }
  }

  type Kind = keyof Awaited<ReturnType<typeof makeSecrets>>['kinds']

  /** Every place that takes one of them, with what it says to what is none. */
  const places = (
    web: TestClient,
    verifier: string,
  ): { name: string; takes: Kind[]; show: (secret: string) => Promise<void> }[] => [
    {
      name: 'code at /token',
      takes: ['code'],
      show: async secret =>
        expectTokenError(await redeem(server, web, { code: secret, verifier }), 'invalid_grant'),
    },
    {
      name: 'refresh_token at /token',
      takes: ['refresh token'],
      show: async secret => expectTokenError(await refresh(server, web, secret), 'invalid_grant'),
    },
    {
      name: 'UserInfo, in the header',
      takes: ['JWT access token', 'opaque access token'],
      show: async secret => expectTokenRefused(await userinfo(secret)),
    },
    {
      name: 'UserInfo, in the body',
      takes: ['JWT access token', 'opaque access token'],
      show: async secret => expectTokenRefused(await send(server, '/userinfo', { access_token: secret })),
    },
    {
      name: 'token at /introspect',
      takes: ['JWT access token', 'opaque access token', 'refresh token'],
      show: async secret => expect((await introspect(server, web, secret)).json).toEqual({ active: false }),
    },
    {
      name: 'token at /revoke',
      takes: ['JWT access token', 'opaque access token', 'refresh token'],
      show: async secret => {
        const answer = await revoke(server, web, secret)
        expect({ status: answer.status, json: answer.json }).toEqual({ status: 200, json: {} })
      },
    },
    {
      name: 'client secret, by Basic',
      takes: ['client secret'],
      show: async secret => expectClientRefused(await introspect(server, { ...web, secret }, 'x'), true),
    },
    {
      name: 'client secret, by post',
      takes: ['client secret'],
      show: async secret =>
        expectClientRefused(
          await send(server, '/introspect', { token: 'x', client_id: web.id, client_secret: secret }),
          false,
        ),
    },
    {
      name: 'client assertion',
      takes: [],
      show: async secret =>
        expectClientRefused(
          await send(server, '/introspect', {
            token: 'x',
            client_id: web.id,
            client_assertion: secret,
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          }),
          false,
        ),
    },
    {
      name: 'the browser’s cookie',
      takes: ['browser cookie'],
      show: async secret => {
        const browser = server.browser()
        const name = `lintel-${new URL(server.issuer).port}`
        browser.cookies.set(name, secret)
        const answer = await browser.send(
          authorizeUrl(web, {
            code_challenge: 'a'.repeat(43),
            code_challenge_method: 'S256',
            prompt: 'none',
          }),
        )
        expect(new URL(String(answer.location)).searchParams.get('error')).toBe('login_required')
      },
    },
    {
      name: 'id_token_hint',
      takes: ['ID token'],
      show: async secret => {
        const answer = await server.browser().send(
          authorizeUrl(web, {
            code_challenge: 'a'.repeat(43),
            code_challenge_method: 'S256',
            prompt: 'none',
            id_token_hint: secret,
          }),
        )
        expect(new URL(String(answer.location)).searchParams.get('error')).toBe('login_required')
      },
    },
    {
      name: 'the set-up link',
      takes: ['set-up token'],
      show: async secret => {
        const answer = await server.browser().send(`/setup?token=${encodeURIComponent(secret)}`)
        expect(answer.status).toBeGreaterThanOrEqual(400)
        expect(answer.status).toBeLessThan(500)
        expect(answer.body).not.toContain('name="password"')
      },
    },
  ]

  it('is refused as that place refuses, and nothing of any kind is consumed', async () => {
    const web = await makeWeb(server, { ...withRefresh, client_secret: undefined })
    const opaque = await makeSpa(server, {
      grant_types: ['authorization_code'],
      first_party: true,
      access_token_format: 'opaque',
    })
    const { alice, verifier, browser, kinds } = await makeSecrets(web, opaque)
    for (const [kind, secret] of Object.entries(kinds)) expect(secret.length, kind).toBeGreaterThan(40)
    const before = await stateOf(server)
    for (const place of places(web, verifier)) {
      const foreign = Object.entries(kinds).filter(([kind]) => !place.takes.some(taken => taken === kind))
      for (const [kind, secret] of foreign) {
        server.sleep(5)
        await place.show(secret).catch(cause => {
          throw new Error(`${kind} as ${place.name}`, { cause })
        })
      }
      expect(await stateOf(server), place.name).toEqual(before)
    }
    await expectNowhere(server, [
      kinds.code,
      kinds['refresh token'],
      kinds['opaque access token'],
      kinds['browser cookie'],
      kinds['client secret'],
    ])

    // Each still works in its own place.
    expect((await userinfo(kinds['JWT access token'])).json['sub']).toBe(alice.sub)
    expect((await userinfo(kinds['opaque access token'])).json['sub']).toBe(alice.sub)
    expect((await refresh(server, web, kinds['refresh token'])).status).toBe(200)
    expect((await browser.open(`/setup?token=${kinds['set-up token']}`)).body).toContain('name="password"')
    const silent = await browser.send(
      authorizeUrl(web, { code_challenge: 'a'.repeat(43), code_challenge_method: 'S256', prompt: 'none' }),
    )
    expect(new URL(String(silent.location)).searchParams.has('code')).toBe(true)
  })

  it('a prefix that is exchanged makes no kind into another', async () => {
    const web = await makeWeb(server, withRefresh)
    const opaque = await makeSpa(server, {
      grant_types: ['authorization_code'],
      first_party: true,
      access_token_format: 'opaque',
    })
    const { verifier, kinds } = await makeSecrets(web, opaque)
    const prefixes = {
      code: 'lnc',
      'opaque access token': 'lna',
      'browser cookie': 'lnb',
      'set-up token': 'lnu',
      'client secret': 'lns',
    } as const
    const all = places(web, verifier)
    const before = await stateOf(server)
    for (const [kind, secret] of Object.entries(kinds).filter(([kind]) => kind in prefixes))
      for (const [target, prefix] of Object.entries(prefixes)) {
        if (target === kind) continue
        for (const place of all.filter(one => one.takes.some(taken => taken === target))) {
          server.sleep(5)
          await place.show(prefix + secret.slice(3)).catch(cause => {
            throw new Error(`${kind} with ${prefix} as ${place.name}`, { cause })
          })
        }
      }
    expect(await stateOf(server)).toEqual(before)
  })

  it('a code of one client, shown as its refresh token by another, is no hint to a thief: the audit tells it', async () => {
    const web = await makeWeb(server, withRefresh)
    const web2 = await makeWeb2(server, { grant_types: ['authorization_code', 'refresh_token'] })
    const { code, verifier } = await getCode(server.browser(), web, await server.createUser())
    const answer = await unchanged(server, () => refresh(server, web2, code))
    expectTokenError(answer, 'invalid_grant')
    await expectAudited(server, answer, 'token.rejected', { client: web2, reason: 'unknown_refresh_token' })
    expect((await redeem(server, web, { code, verifier })).status).toBe(200)
  })
})
