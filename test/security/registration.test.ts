import { afterEach, describe, expect, it } from 'vitest'
import { replaceRegistrationToken } from '../../src/admin/registration-operations.ts'
import { readConfig } from '../../src/config.ts'
import { jobs } from '../../src/jobs.ts'
import { write } from '../../src/store/commit.ts'
import { statement } from '../../src/store/statement.ts'
import { getCode, getWithToken, post, redeem } from '../support/flow.ts'
import {
  asRegistered,
  invite,
  manage,
  register,
  registered,
  sendJson,
  webMetadata,
} from '../support/registration.ts'
import { type ServerOptions, startServer, type TestServer } from '../support/server.ts'
import { startTwoServers } from '../support/two-servers.ts'
import { disableClient, makeWeb } from './fixtures.ts'
import { expectAudited, expectNowhere, expectTokenError, expectTokenRefused, unchanged } from './outcomes.ts'

let server: TestServer
const begin = async (settings: Record<string, string> = {}, options: ServerOptions = {}): Promise<void> => {
  server = await startServer({
    ...options,
    settings: { LINTEL_REGISTRATION: 'open', LINTEL_REGISTRATION_PER_HOUR: '1000', ...settings },
  })
}
afterEach(() => server.stop())

const runJob = (name: string, settings: Record<string, string> = {}): Promise<unknown> | undefined =>
  jobs
    .find(job => job.name === name)
    ?.run(server.services, readConfig({ LINTEL_LOG_LEVEL: 'error', ...settings }))

describe('who may register', () => {
  it('SEC-141 nobody by default: 404 with any token, and not in discovery', async () => {
    server = await startServer()
    const token = await invite(server)
    const answers = await unchanged(server, () =>
      Promise.all([
        register(server),
        register(server, webMetadata, { token }),
        sendJson(server, '/register/web', { method: 'GET', token }),
        sendJson(server, '/.well-known/openid-configuration', { method: 'GET' }),
      ]),
    )
    expect(answers.map(answer => answer.status)).toEqual([404, 404, 404, 200])
    expect(answers[3]?.json).not.toHaveProperty('registration_endpoint')
  })

  it('SEC-141 with a token once: none, a used, an expired, a forged one and tokens of other kinds are 401', async () => {
    await begin({ LINTEL_REGISTRATION: 'token' })
    const bare = await unchanged(server, () => register(server))
    expect(bare.status).toBe(401)
    expect(bare.headers['www-authenticate']).toBe('Bearer')
    const token = await invite(server)
    const made = asRegistered(server, await register(server, webMetadata, { token }))
    const fresh = await invite(server)
    const wrong = [
      token,
      `${fresh.slice(0, -1)}${fresh.endsWith('a') ? 'b' : 'a'}`,
      `${fresh}a`,
      made.token,
      String(made.secret),
      'lni',
    ]
    for (const one of wrong)
      expectTokenRefused(await unchanged(server, () => register(server, webMetadata, { token: one })), one)
    const basic = await register(server, webMetadata, { headers: { authorization: 'Basic bG5pOmxuaQ==' } })
    expectTokenRefused(basic)
    expect((await register(server, webMetadata, { token: fresh })).status).toBe(201)
    const short = await invite(server, 60)
    server.sleep(61)
    expectTokenRefused(await register(server, webMetadata, { token: short }))
    expect((await server.counts())['client']).toBe(2)
  })

  it('SEC-141 metadata that is refused does not use the token up', async () => {
    await begin({ LINTEL_REGISTRATION: 'token' })
    const token = await invite(server)
    const refused = await unchanged(server, () => register(server, {}, { token }))
    expectTokenError(refused, 'invalid_redirect_uri')
    expect((await register(server, webMetadata, { token })).status).toBe(201)
  })

  it('SEC-141 one initial access token used 20 times at once, at two servers, gives one client', async () => {
    const { one, other, stop } = await startTwoServers({ settings: { LINTEL_REGISTRATION: 'token' } })
    server = { ...one, stop }
    const token = await invite(one)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => register(n % 2 ? one : other, webMetadata, { token })),
    )
    expect(answers.map(answer => answer.status).sort()).toEqual([201, ...Array<number>(19).fill(401)])
    const counts = await one.counts()
    expect([counts['client'], counts['registration'], counts['client_secret']]).toEqual([1, 1, 1])
  })

  it('SEC-141 where it is open an address may register so many in an hour, at once or one by one; then 429', async () => {
    await begin({ LINTEL_REGISTRATION_PER_HOUR: '4', LINTEL_TRUSTED_PROXIES: '127.0.0.1' })
    const from = (ip: string) => register(server, webMetadata, { headers: { 'x-forwarded-for': ip } })
    for (let n = 0; n < 4; n++) expect((await from('198.51.100.1')).status).toBe(201)
    const refused = await unchanged(server, () => from('198.51.100.1'))
    expect(refused).toMatchObject({ status: 429, json: { error: 'too_many_requests' } })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(60)
    const crowd = await Promise.all(Array.from({ length: 20 }, () => from('2001:db8::1')))
    expect(crowd.filter(answer => answer.status === 201).length).toBeLessThanOrEqual(4)
    expect(crowd.every(answer => [201, 429].includes(answer.status))).toBe(true)
    // An initial access token is a way past the crowd; a bad one is not.
    const headers = { 'x-forwarded-for': '198.51.100.1' }
    expect((await register(server, webMetadata, { token: 'lni', headers })).status).toBe(401)
    expect((await register(server, webMetadata, { token: await invite(server), headers })).status).toBe(201)
    server.sleep(3601)
    expect((await from('198.51.100.1')).status).toBe(201)
  })

  it('SEC-141 a thousand that nobody uses are enough', async () => {
    await begin()
    const adding = statement<{ id: string }>('test.add-registration', (knex, { id }) =>
      knex('registration').insert({ client_id: id, token_hash: '', created_at: 1 }),
    )
    for (let n = 0; n < 1000; n += 250)
      await server.services.store.commit(
        Array.from({ length: 250 }, (_, k) => write(adding, { id: `gone-${n + k}` })),
      )
    const full = await unchanged(server, () => register(server))
    expect(full).toMatchObject({ status: 429, json: { error: 'too_many_requests' } })
  })

  it('SEC-141 a client that nobody used is deleted after the set time; one that was used stays', async () => {
    await begin({ LINTEL_REGISTRATION_UNUSED_TTL: '1h' })
    const alice = await server.createUser()
    const used = await registered(server)
    const unused = await registered(server)
    const byOperator = await makeWeb(server)
    expect((await redeem(server, used, await getCode(server.browser(), used, alice))).status).toBe(200)
    server.sleep(3500)
    const young = await registered(server)
    await runJob('forget-unused-clients', { LINTEL_REGISTRATION_UNUSED_TTL: '1h' })
    expect((await manage(server, unused)).status).toBe(200)
    server.sleep(200)
    await runJob('forget-unused-clients', { LINTEL_REGISTRATION_UNUSED_TTL: '1h' })
    expectTokenRefused(await manage(server, unused))
    expect((await manage(server, used)).status).toBe(200)
    expect((await manage(server, young)).status).toBe(200)
    const left = await server.services.store.search<{ id: string }>(knex => knex('client').select('id'))
    expect(left.map(row => row.id).sort()).toEqual([used.id, young.id, byOperator.id].sort())
    expect((await server.audit()).filter(row => row.event === 'client.deleted')).toMatchObject([
      { client_id: unused.id, reason: 'never_used' },
    ])
  })

  it('whoever sends too much that is refused must wait: the audit is not for strangers to fill', async () => {
    await begin()
    const answers: number[] = []
    for (let n = 0; n < 62; n++) answers.push((await register(server, {})).status)
    expect(answers.slice(0, 60)).toEqual(Array<number>(60).fill(400))
    expect(answers.slice(60)).toEqual([429, 429])
    expect((await server.audit()).filter(row => row.event === 'client.rejected')).toHaveLength(60)
    expect((await register(server)).status).toBe(429)
  })
})

const dangerous = [
  'javascript:alert(1)',
  'JaVaScRiPt:alert(1)',
  'java\nscript:x',
  'data:text/html,x',
  'vbscript:x',
]

describe('what may be registered', () => {
  it('SEC-008 no scheme that runs something, in no member', async () => {
    await begin()
    // Refusals do not use it up, and are not counted against an address.
    const token = await invite(server)
    const members = [
      'redirect_uris',
      'post_logout_redirect_uris',
      'client_uri',
      'logo_uri',
      'tos_uri',
      'policy_uri',
      'initiate_login_uri',
    ]
    for (const member of members)
      for (const uri of dangerous)
        for (const more of [{}, { application_type: 'native', token_endpoint_auth_method: 'none' }]) {
          const value = member.endsWith('uris') ? [uri] : uri
          const metadata = { ...webMetadata, ...more, [member]: value }
          const answer = await register(server, metadata, { token })
          expectTokenErrorOf(answer, ['invalid_redirect_uri', 'invalid_client_metadata'], `${member} ${uri}`)
          await expectAudited(server, answer, 'client.rejected', { what: uri })
        }
    expect((await server.counts())['client']).toBe(0)
  })

  it('SEC-006 SEC-007 no redirect URI with a fragment, plain http, or a parameter of the answer', async () => {
    await begin()
    const uris = [
      'https://web.test/cb#f',
      'http://web.test/cb',
      'https://web.test/cb?code=x&iss=https://evil.test',
      'https://web.test/cb?state=x',
      'https://web.test/cb?error=x',
      'https://web.test/cb?response=x',
      'https://web.test/cb#code=x',
      'https://user@web.test/cb',
      'notes:/cb',
    ]
    for (const uri of uris) {
      const answer = await unchanged(server, () => register(server, { redirect_uris: [uri] }))
      expectTokenErrorOf(answer, ['invalid_redirect_uri'], uri)
    }
    const native = { application_type: 'native', redirect_uris: ['notes:/cb'] }
    expectTokenErrorOf(await register(server, native), ['invalid_redirect_uri'])
    native.redirect_uris = ['com.example.notes:/cb', 'http://127.0.0.1/cb']
    expect((await register(server, native)).status).toBe(201)
  })

  it('SEC-044 no address of ours: refused, or blocked before anything is sent, and told', async () => {
    await begin()
    const addresses = [
      'http://169.254.169.254/',
      'https://127.0.0.1/',
      'https://[::1]/',
      'https://[::ffff:10.0.0.1]/',
      'https://2130706433/',
      'https://①②⑦.0.0.1/',
      'https://localhost/',
      'file:///etc/passwd',
      'gopher://x',
    ]
    for (const address of addresses) {
      const sector = await register(server, { ...webMetadata, sector_identifier_uri: address })
      expectTokenErrorOf(sector, ['invalid_client_metadata'], address)
      const answer = await register(server, {
        ...webMetadata,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks_uri: address,
      })
      if (answer.status === 400) continue
      const client = asRegistered(server, answer)
      const assertion = [{ alg: 'ES256' }, { sub: client.id, iss: client.id }]
        .map(part => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.')
      const tried = await post(server, '/token', {
        grant_type: 'authorization_code',
        client_id: client.id,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: `${assertion}.AAAA`,
      })
      expect(tried.status, address).toBe(401)
      const blocked = (await server.audit()).filter(
        row => row.event === 'outbound.blocked' && row.client_id === client.id,
      )
      expect(blocked, address).toMatchObject([{ reason: 'jwks_uri' }])
    }
  })

  it('SEC-101 SEC-142 what only the operator sets is dropped: no client chooses who it is, or what it may skip', async () => {
    await begin({ LINTEL_REGISTRATION_SCOPES: 'api:read' })
    await server.createResource()
    const web = await makeWeb(server)
    const before = await server.services.store.search(knex => knex('client').select('*'))
    const wishes = {
      client_id: web.id,
      client_secret: 'a'.repeat(40),
      first_party: true,
      skip_consent: true,
      profile: 'oidc',
      require_pkce: false,
      resource_server_for: ['https://api.test'],
      allowed_origins: ['https://evil.test'],
      scope_claims_in_id_token: true,
      access_token_format: 'opaque',
      backchannel_logout_on_idle: true,
      enabled: true,
      role: 'admin',
      is_admin: true,
      user_id: 'root',
      id: web.id,
      tenant_id: 'x',
      registration_access_token: 'mine',
      grant_types: [
        'authorization_code',
        'client_credentials',
        'urn:ietf:params:oauth:grant-type:token-exchange',
      ],
      response_types: ['code', 'id_token token'],
      scope: 'openid api:read api:write admin admin:write',
    }
    const { json } = await register(server, { ...webMetadata, ...wishes })
    expect(json).toMatchObject({
      grant_types: ['authorization_code'],
      response_types: ['code'],
      scope: 'openid api:read',
    })
    const client = await server.services.clients.find(String(json['client_id']))
    expect(client?.id).toMatch(/^[0-9a-z]{20}$/)
    expect(client?.id).not.toBe(web.id)
    expect(json['client_secret']).toMatch(/^lns/)
    expect(json['registration_access_token']).toMatch(/^lng/)
    expect(client).toMatchObject({ isFirstParty: false, profile: 'oauth21', policy: { requirePkce: true } })
    expect(Object.keys(client?.metadata ?? {}).sort()).toEqual(
      ['client_name', 'grant_types', 'redirect_uris', 'response_types', 'scope'].sort(),
    )
    const after = await server.services.store.search(knex => knex('client').select('*').where({ id: web.id }))
    expect(after).toEqual(before)
  })

  it('SEC-142 what cannot be had is refused, rather than a default that allows more', async () => {
    await begin()
    await server.createResource()
    const cases: [string, Record<string, unknown>][] = [
      ['a client of its own', { grant_types: ['client_credentials'] }],
      ['no grant of a person’s', { grant_types: ['refresh_token'] }],
      ['nothing that exists', { grant_types: [] }],
      ['another response type', { response_types: ['token'] }],
      ['no scope that it may have', { scope: 'admin' }],
      ['an API that is not for everybody', { scope: 'api:write' }],
      ['an unknown way to authenticate', { token_endpoint_auth_method: 'tls_client_auth' }],
      ['pairwise subjects', { subject_type: 'pairwise' }],
      ['unsigned ID tokens', { id_token_signed_response_alg: 'none' }],
      ['an unknown algorithm', { id_token_signed_response_alg: 'HS256' }],
      [
        'private keys',
        { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [{ kty: 'EC', d: 'x' }] } },
      ],
      ['keys twice', { jwks: { keys: [] }, jwks_uri: 'https://web.test/jwks' }],
      ['no keys', { token_endpoint_auth_method: 'private_key_jwt' }],
      ['a plain logout address', { backchannel_logout_uri: 'http://localhost/out' }],
    ]
    for (const [what, metadata] of cases) {
      const answer = await register(server, { ...webMetadata, ...metadata })
      expectTokenErrorOf(answer, ['invalid_client_metadata'], what)
      await expectAudited(server, answer, 'client.rejected', { what })
    }
    expect((await server.counts())['client']).toBe(0)
  })

  it('SEC-109 a body of another shape is 400, never 500', async () => {
    await begin()
    const shapes: unknown[] = [
      { redirect_uris: 'https://web.test/cb' },
      { redirect_uris: { 0: 'https://web.test/cb' } },
      { redirect_uris: 7 },
      { redirect_uris: [null, 'https://web.test/cb'] },
      { redirect_uris: Array<string>(10_000).fill('a:b') },
      { redirect_uris: [] },
      {},
      [],
      'null',
      '"x"',
      '7',
      { ...webMetadata, client_name: ['a'] },
      { ...webMetadata, client_name: 'a\u202eb' },
      { ...webMetadata, jwks: 'x' },
      { ...webMetadata, contacts: Array<string>(100).fill('a@b.test') },
    ]
    for (const body of shapes) {
      const answer = await unchanged(server, () => register(server, body))
      const what = JSON.stringify(body).slice(0, 60)
      expectTokenErrorOf(answer, ['invalid_client_metadata', 'invalid_redirect_uri'], what)
    }
  })

  it('SEC-110 SEC-113 what is no sound JSON is invalid_request: members twice, __proto__, depth, bytes, media types', async () => {
    await begin()
    const good = JSON.stringify(webMetadata)
    const bodies = [
      '',
      '{',
      'redirect_uris=https://web.test/cb',
      good.replace('{', '{"client_name":"Other",'),
      good.replace('{', '{"\\u0063lient_name":"Other",'),
      good.replace('{', '{"__proto__":{"first_party":true},'),
      good.replace('{', '{"jwks":{"keys":[{"kty":"EC","__proto__":{}}]},'),
      `${good.slice(0, -1)},"x":${'['.repeat(30)}${']'.repeat(30)}}`,
      '['.repeat(50_000),
      `${good}\0`,
      '\ufeff\ufeff{}',
    ]
    for (const body of bodies) {
      const answer = await unchanged(server, () => register(server, body))
      expectTokenErrorOf(answer, ['invalid_request'], body.slice(0, 50))
    }
    for (const type of [
      'application/x-www-form-urlencoded',
      'text/plain',
      'application/json; charset=utf-16',
      '',
    ]) {
      const answer = await register(server, good, { headers: { 'content-type': type } })
      expectTokenErrorOf(answer, ['invalid_request'], type)
    }
    const large = await unchanged(server, () => register(server, `{"x":"${'a'.repeat(101 * 1024)}"}`))
    expect(large.status).toBe(413)
    // Names of what every object has are names like others.
    const odd = await register(server, { ...webMetadata, constructor: { prototype: {} }, toString: 'x' })
    expect(odd.status).toBe(201)
    const twoOfAKind = await register(server, {
      ...webMetadata,
      jwks: { keys: [{ kty: 'EC' }, { kty: 'EC' }] },
    })
    expect(twoOfAKind.status).toBe(201)
  })
})

describe('managing a registration', () => {
  it('SEC-143 the token of another client, a wrong one, none, or of no client: 401, the same for all', async () => {
    await begin()
    const mine = await registered(server)
    const other = await registered(server)
    const operators = await makeWeb(server)
    const initial = await invite(server)
    const tries: [string, string | undefined][] = [
      [mine.path, other.token],
      [mine.path, `${mine.token.slice(0, -1)}${mine.token.endsWith('a') ? 'b' : 'a'}`],
      [mine.path, String(mine.secret)],
      [mine.path, initial],
      [`/register/${operators.id}`, mine.token],
      ['/register/nobody', mine.token],
      [`/register/${'x'.repeat(20)}`, mine.token.replace(mine.id, 'x'.repeat(20))],
      [`/register/${mine.id.toUpperCase()}`, mine.token],
    ]
    const said = new Set<string>()
    for (const [path, token] of tries)
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const body = method === 'PUT' ? { ...webMetadata, client_id: mine.id } : undefined
        const answer = await unchanged(server, () => sendJson(server, path, { method, token, body }))
        expectTokenRefused(answer, `${method} ${path}`)
        said.add(String(answer.json['error_description']))
      }
    expect([...said]).toHaveLength(1)
    const bare = await sendJson(server, mine.path, { method: 'GET' })
    expect([bare.status, bare.headers['www-authenticate']]).toEqual([401, 'Bearer'])
    const inQuery = await sendJson(server, `${mine.path}?access_token=${mine.token}`, { method: 'GET' })
    expect(inQuery.status).toBe(400)
  })

  it('SEC-143 a disabled client stays disabled, whatever it sends; a replaced token has ended', async () => {
    await begin()
    const client = await registered(server)
    const body = { ...webMetadata, client_id: client.id, enabled: true, disabled_at: null }
    await disableClient(server, client)
    for (const method of ['GET', 'PUT', 'DELETE'])
      expectTokenRefused(
        await unchanged(server, () =>
          manage(server, client, { method, ...(method === 'PUT' ? { body } : {}) }),
        ),
      )
    expect((await server.services.clients.find(client.id))?.disabledAt).toEqual(expect.any(Number))

    const other = await registered(server)
    const { token } = await replaceRegistrationToken(server.services, other.id, { kind: 'cli' })
    expectTokenRefused(await manage(server, other))
    expect(await manage(server, { ...other, token })).toMatchObject({
      status: 200,
      json: { registration_access_token: token },
    })
  })

  it('SEC-142 a change cannot take more than a registration, and loses nothing that the operator set', async () => {
    await begin()
    await server.createResource()
    const client = await registered(server, { scope: 'openid' })
    const narrow = { ...webMetadata, client_id: client.id }
    for (const [metadata, error] of [
      [{ grant_types: ['client_credentials'] }, 'invalid_client_metadata'],
      [{ scope: 'api:read' }, 'invalid_client_metadata'],
      [{ redirect_uris: ['javascript:alert(1)'] }, 'invalid_redirect_uri'],
      [{ client_id: 'web' }, 'invalid_request'],
      [{ client_id: undefined }, 'invalid_request'],
      [{ client_secret: 'a'.repeat(40) }, 'invalid_request'],
      [{ client_secret: null }, 'invalid_request'],
      [{ registration_access_token: client.token }, 'invalid_request'],
      [{ client_id_issued_at: 1 }, 'invalid_request'],
    ] as const) {
      const answer = await unchanged(server, () =>
        manage(server, client, { method: 'PUT', body: { ...narrow, ...metadata } }),
      )
      expectTokenErrorOf(answer, [error], JSON.stringify(metadata))
      await expectAudited(server, answer, 'client.rejected', { client })
    }
    // Left out, the scope is no wider than it was.
    const changed = await manage(server, client, {
      method: 'PUT',
      body: { ...narrow, first_party: true, require_pkce: false, profile: 'oidc' },
    })
    expect(changed).toMatchObject({ status: 200, json: { scope: 'openid' } })
    server.services.clients.forget()
    expect(await server.services.clients.find(client.id)).toMatchObject({
      isFirstParty: false,
      profile: 'oauth21',
      policy: { requirePkce: true },
    })
  })

  it('a deleted client and its tokens are nothing any more', async () => {
    await begin()
    const alice = await server.createUser()
    const client = await registered(server, { grant_types: ['authorization_code', 'refresh_token'] })
    const tokens = await redeem(server, client, await getCode(server.browser(), client, alice))
    const code = await getCode(server.browser(), client, alice)
    const gone = await manage(server, client, { method: 'DELETE' })
    expect([gone.status, gone.json, gone.headers['content-type']]).toEqual([204, null, undefined])
    server.services.clients.forget()
    expectTokenRefused(await getWithToken(server, '/userinfo', String(tokens.json['access_token'])))
    expect((await redeem(server, client, code)).status).toBe(401)
    expectTokenRefused(await manage(server, client))
    expectTokenRefused(await manage(server, client, { method: 'DELETE' }))
    const counts = await server.counts()
    expect([counts['client'], counts['client_secret'], counts['registration']]).toEqual([0, 0, 0])
    await expectAudited(server, gone, 'client.deleted', { client, reason: null })
  })
})

describe('what is told and kept', () => {
  it('SEC-118 SEC-120 only hashes are stored; no token or secret is in the audit or the log', async () => {
    await begin()
    const token = await invite(server)
    const client = asRegistered(server, await register(server, webMetadata, { token }))
    await manage(server, client)
    await manage(server, client, {
      method: 'PUT',
      body: { ...webMetadata, client_id: client.id, client_secret: client.secret },
    })
    const secrets = [token, client.token, String(client.secret)].flatMap(text => [text, text.slice(23)])
    await expectNowhere(server, secrets)
    for (const table of ['client', 'client_secret', 'registration', 'initial_access_token']) {
      const rows = await server.services.store.search<Record<string, unknown>>(knex =>
        knex(table).select('*'),
      )
      for (const secret of secrets) expect(JSON.stringify(rows), table).not.toContain(secret)
      // What is stored is good for nothing.
      for (const value of rows.flatMap(row => Object.values(row)).filter(one => typeof one === 'string')) {
        expect((await manage(server, { ...client, token: value.slice(0, 200) || 'x' })).status).toBe(401)
        expect(
          (await register(server, webMetadata, { token: value.replaceAll(/[^\w.~+/-]/g, '') || 'x' })).status,
        ).toBe(401)
      }
    }
  })

  it('SEC-124 no answer is stored by a cache', async () => {
    await begin()
    const answer = await register(server)
    const client = asRegistered(server, answer)
    for (const { headers } of [answer, await manage(server, client), await register(server, {})]) {
      expect(headers['cache-control']).toBe('no-store')
      expect(headers['etag']).toBeUndefined()
      expect(headers['content-type']).toMatch(/^application\/json/)
      expect(headers['set-cookie']).toBeUndefined()
    }
  })

  it('SEC-125 another site may not read the secrets of a client; the client’s own may', async () => {
    await begin()
    const from = (origin: string) => ({ headers: { origin } })
    const own = await register(server, webMetadata, from('https://web.test'))
    expect(own.headers['access-control-allow-origin']).toBe('https://web.test')
    expect(own.headers['access-control-allow-credentials']).toBeUndefined()
    const client = asRegistered(server, own)
    for (const origin of ['https://evil.test', 'null', 'https://web.test.evil.test']) {
      expect(
        (await register(server, webMetadata, from(origin))).headers['access-control-allow-origin'],
      ).toBeUndefined()
      expect(
        (await manage(server, client, from(origin))).headers['access-control-allow-origin'],
      ).toBeUndefined()
    }
    const preflight = await sendJson(server, client.path, { method: 'OPTIONS', ...from('https://evil.test') })
    expect(preflight.status).toBe(204)
    expect(preflight.headers['access-control-allow-methods']).toMatch(/GET.*PUT.*DELETE/)
    const refused = await register(server, {}, from('https://evil.test'))
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([
      400,
      'https://evil.test',
    ])
  })

  it('other methods are 405', async () => {
    await begin()
    const client = await registered(server)
    for (const [path, method] of [
      ['/register', 'GET'],
      ['/register', 'PUT'],
      ['/register', 'DELETE'],
      [client.path, 'POST'],
      [client.path, 'PATCH'],
    ] as const)
      expect(
        (await sendJson(server, path, { method, token: client.token })).status,
        `${method} ${path}`,
      ).toBe(405)
    expect((await sendJson(server, `${client.path}/`, { method: 'GET', token: client.token })).status).toBe(
      404,
    )
  })
})

function expectTokenErrorOf(
  answer: Awaited<ReturnType<typeof register>>,
  errors: readonly string[],
  what = '',
): void {
  expect(errors, `${what} ${JSON.stringify(answer.json)}`).toContain(answer.json['error'])
  expect(answer.status, what).toBe(400)
  expect(answer.headers['cache-control'], what).toBe('no-store')
  // RFC 7591 section 3.2.2: ASCII.
  expect(answer.json['error_description'], what).toMatch(/^[\x20-\x7e]+$/)
}
