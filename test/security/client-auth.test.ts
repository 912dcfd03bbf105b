import { request } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rotateClientSecret } from '../../src/oauth/client/secrets-of-clients.ts'
import { change, changeClient, disable } from '../support/changes.ts'
import {
  assertionClaims,
  makeAssertingClient,
  newClientKey,
  requestWith,
  signAssertion,
} from '../support/client-assertions.ts'
import { basic, getCode, type JsonAnswer, redeem } from '../support/flow.ts'
import { eventually, startServer, type TestClient, type TestServer } from '../support/server.ts'
import { obtain, refresh, send, tokensIn } from '../support/tokens.ts'
import { startTwoServers } from '../support/two-servers.ts'
import { makeSpa, makeWeb } from './fixtures.ts'
import { expectAudited, expectClientRefused, expectNowhere, expectTokenError, unchanged } from './outcomes.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const endpoints = ['/token', '/introspect', '/revoke']
const ask = { grant_type: 'client_credentials', token: 'x' }

const makeService = (more: Record<string, unknown> = {}, at = server): Promise<TestClient> =>
  at.createClient({
    client_id: 'service',
    grant_types: ['client_credentials'],
    redirect_uris: undefined,
    ...more,
  })

const byBasic = (
  client: TestClient,
  secret = client.secret,
  path = '/token',
  at = server,
): Promise<JsonAnswer> => send(at, path, ask, basic({ ...client, secret }))

const byPost = (client: TestClient, secret = client.secret, path = '/token'): Promise<JsonAnswer> =>
  send(server, path, { ...ask, client_id: client.id, client_secret: secret ?? '' })

const encodedBasic = (text: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(text).toString('base64')}`,
})

describe('a client secret', () => {
  it('that is wrong, cut, longer or in another case is T401 at every endpoint, with WWW-Authenticate where asked', async () => {
    const service = await makeService()
    const secret = String(service.secret)
    for (const path of endpoints) {
      for (const wrong of [
        secret.slice(0, -1),
        `${secret}0`,
        secret.toUpperCase(),
        ` ${secret}`,
        'x'.repeat(5000),
      ]) {
        expectClientRefused(await unchanged(server, () => byBasic(service, wrong, path)), true, wrong)
        expectClientRefused(await unchanged(server, () => byPost(service, wrong, path)), false, wrong)
      }
      server.sleep(61)
      expect((await byBasic(service, secret, path)).status, path).toBe(200)
      expect((await byPost(service, secret, path)).status, path).toBe(200)
    }
  })

  it('that is unknown and a client that is unknown say the same', async () => {
    const service = await makeService()
    const nobody = { ...service, id: 'nobody' }
    const answers = [await byBasic(service, 'x'.repeat(75)), await byBasic(nobody, 'x'.repeat(75))]
    expect(answers[0]?.json).toEqual(answers[1]?.json)
    for (const answer of answers) expectClientRefused(answer, true)
    await expectAudited(server, answers[0] as JsonAnswer, 'client_auth.failed', {
      client: service,
      reason: 'wrong_credentials',
    })
    await expectAudited(server, answers[1] as JsonAnswer, 'client_auth.failed', {
      client: 'nobody',
      reason: 'unknown_client',
    })
  })

  it('is in no log and no audit, right or wrong, and only as a hash in the database', async () => {
    const service = await makeService()
    const wrong = `${'wrong'.repeat(10)}-secret`
    await byBasic(service, wrong)
    await byPost(service, wrong)
    await byBasic(service)
    await byPost(service)
    await expectNowhere(server, [
      String(service.secret),
      wrong,
      Buffer.from(`${service.id}:${service.secret}`).toString('base64'),
    ])
    const rows = await server.services.store.search(knex => knex('client_secret').select('*'))
    expect(JSON.stringify(rows)).not.toContain(String(service.secret).slice(23))
    for (const { hash } of rows as { hash: string }[]) expectClientRefused(await byBasic(service, hash), true)
  })

  it('of another client is none', async () => {
    const service = await makeService()
    const web = await makeWeb(server)
    expectClientRefused(await byBasic({ ...service, secret: web.secret }), true)
    expectClientRefused(await byPost({ ...service, secret: web.secret }), false)
  })

  it('in the query of the URL is not read', async () => {
    const service = await makeService()
    const query = new URLSearchParams({ client_id: service.id, client_secret: String(service.secret) })
    expectTokenError(await send(server, `/token?${query}`, ask), 'invalid_request')
  })

  it('of a disabled client is none', async () => {
    const service = await makeService()
    await disable(server, service)
    const answer = await byBasic(service)
    expectClientRefused(answer, true)
    await expectAudited(server, answer, 'client_auth.failed', { client: service, reason: 'disabled' })
  })

  it('changes with an overlap: old and new both work until the old one has ended', async () => {
    const service = await makeService()
    const { secret, writes } = rotateClientSecret(service.id, server.services.now(), 24 * 3600)
    await change(server, ...writes)
    expect(secret).not.toBe(service.secret)
    for (const one of [service.secret, secret]) expect((await byBasic(service, one)).status).toBe(200)
    server.sleep(24 * 3600 - 5)
    for (const one of [service.secret, secret]) expect((await byPost(service, one)).status).toBe(200)
    server.sleep(6)
    expectClientRefused(await byBasic(service), true)
    expectClientRefused(await byPost(service), false)
    expect((await byBasic(service, secret)).status).toBe(200)
  })

  it('changed at once: the old one ends now, and a second rotation does not make the first one live longer', async () => {
    const service = await makeService()
    const first = rotateClientSecret(service.id, server.services.now(), 60)
    await change(server, ...first.writes)
    const second = rotateClientSecret(service.id, server.services.now(), 24 * 3600)
    await change(server, ...second.writes)
    for (const one of [service.secret, first.secret, second.secret])
      expect((await byBasic(service, one)).status).toBe(200)
    server.sleep(61)
    expectClientRefused(await byBasic(service), true)
    for (const one of [first.secret, second.secret]) expect((await byBasic(service, one)).status).toBe(200)
    const third = rotateClientSecret(service.id, server.services.now(), 0)
    await change(server, ...third.writes)
    for (const one of [service.secret, first.secret, second.secret])
      expectClientRefused(await byBasic(service, one), true)
    expect((await byBasic(service, third.secret)).status).toBe(200)
  })

  it('changed at one server is honoured by the other within a second', async () => {
    const { one, other, stop } = await startTwoServers()
    try {
      const service = await makeService({}, one)
      for (const at of [one, other])
        expect((await byBasic(service, service.secret, '/token', at)).status).toBe(200)
      const { secret, writes } = rotateClientSecret(service.id, one.services.now(), 0)
      await one.services.store.commit(writes)
      await new Promise(resolve => setTimeout(resolve, 1500))
      for (const at of [one, other]) {
        expectClientRefused(await byBasic(service, service.secret, '/token', at), true)
        expect((await byBasic(service, secret, '/token', at)).status).toBe(200)
      }
    } finally {
      await stop()
    }
  })

  it('is marked with its last use, at most once an hour', async () => {
    const service = await makeService()
    const lastUse = async () => {
      const [row] = await server.services.store.search<{ last_used_at: number | null }>(knex =>
        knex('client_secret').select('last_used_at').where({ client_id: service.id }),
      )
      return row?.last_used_at ?? null
    }
    expect(await lastUse()).toBeNull()
    await byBasic(service, 'wrong')
    expect(await lastUse()).toBeNull()
    await byBasic(service)
    // It is written beside the request.
    await eventually(async () => (await lastUse()) !== null, 'the first use is marked')
    const first = Number(await lastUse())
    expect(Math.abs(first - server.services.now().getTime() / 1000)).toBeLessThan(5)
    server.sleep(1800)
    await byBasic(service)
    expect(await lastUse()).toBe(first)
    server.sleep(1801)
    await byBasic(service)
    await eventually(async () => Number(await lastUse()) >= first + 3600, 'the use an hour later is marked')
  })
})

describe('the method of a client', () => {
  it('is Basic or post where the metadata names neither, and else only the one it names', async () => {
    const cases: { method: string | undefined; basic: boolean; post: boolean }[] = [
      { method: undefined, basic: true, post: true },
      { method: 'client_secret_basic', basic: true, post: false },
      { method: 'client_secret_post', basic: false, post: true },
    ]
    for (const one of cases) {
      const service = await makeService({
        client_id: `service-${one.method}`,
        ...(one.method === undefined ? {} : { token_endpoint_auth_method: one.method }),
      })
      for (const path of endpoints) {
        const answers = {
          basic: await byBasic(service, service.secret, path),
          post: await byPost(service, service.secret, path),
        }
        if (one.basic) expect(answers.basic.status, `${one.method} ${path}`).toBe(200)
        else expectClientRefused(answers.basic, true, `${one.method} ${path}`)
        if (one.post) expect(answers.post.status, `${one.method} ${path}`).toBe(200)
        else expectClientRefused(answers.post, false, `${one.method} ${path}`)
      }
      if (one.method !== undefined) {
        const refused = one.basic ? await byPost(service) : await byBasic(service)
        await expectAudited(server, refused, 'client_auth.failed', {
          client: service,
          reason: 'method_not_registered',
        })
      }
      expectClientRefused(await send(server, '/token', { ...ask, client_id: service.id }), false, 'none')
    }
  })

  it('SEC-043 two at once are invalid_request, right or wrong, and count as no guess', async () => {
    const service = await makeService()
    const secret = String(service.secret)
    const two: [Record<string, string>, Record<string, string>][] = [
      [{ client_id: service.id, client_secret: secret }, basic(service)],
      [{ client_secret: secret }, basic(service)],
      [{ client_secret: 'x' }, basic(service)],
      [{ client_id: service.id, client_secret: secret }, encodedBasic('nobody:x')],
      [
        { client_id: service.id, client_secret: secret, client_assertion: 'x', client_assertion_type: 'x' },
        {},
      ],
      [{ client_assertion: 'x' }, basic(service)],
      [{ client_id: service.id, client_assertion_type: 'x' }, basic(service)],
    ]
    for (let round = 0; round < 4; round++)
      for (const [fields, headers] of two) {
        const answer = await send(server, '/token', { ...ask, ...fields }, headers)
        expectTokenError(answer, 'invalid_request', JSON.stringify(fields))
      }
    expect((await byBasic(service)).status).toBe(200)
  })

  it('a client_id beside Basic may name the same client, and no other', async () => {
    const service = await makeService()
    await makeSpa(server)
    expect((await send(server, '/token', { ...ask, client_id: service.id }, basic(service))).status).toBe(200)
    for (const id of ['spa', 'nobody', 'Service'])
      expectTokenError(
        await send(server, '/token', { ...ask, client_id: id }, basic(service)),
        'invalid_request',
      )
  })

  it('changed by the operator counts at once', async () => {
    const service = await makeService()
    expect((await byPost(service)).status).toBe(200)
    await changeClient(server, service, { token_endpoint_auth_method: 'client_secret_basic' })
    expectClientRefused(await byPost(service), false)
    expect((await byBasic(service)).status).toBe(200)
  })

  it('none, of a client that becomes public: its old secret is no proof, and the client grant is gone', async () => {
    const web = await makeWeb(server)
    await changeClient(server, web, { token_endpoint_auth_method: 'none' })
    expectClientRefused(await byBasic(web), true)
    expectClientRefused(await byPost(web), false)
    expectTokenError(await send(server, '/token', { ...ask, client_id: web.id }), 'unauthorized_client')
  })
})

describe('a public client', () => {
  const withRefresh = { grant_types: ['authorization_code', 'refresh_token'] }

  it('may say who it is by client_id, by Basic with an empty password, or with an empty client_secret', async () => {
    const spa = await makeSpa(server, withRefresh)
    let { refresh_token: token } = await obtain(server, spa, await server.createUser())
    const ways: [Record<string, string>, Record<string, string>][] = [
      [{ client_id: spa.id }, {}],
      [{}, encodedBasic(`${spa.id}:`)],
      [{ client_id: spa.id }, encodedBasic(`${spa.id}:`)],
      [{ client_id: spa.id, client_secret: '' }, {}],
      [{ client_id: spa.id, client_secret: '', client_assertion: '' }, {}],
    ]
    for (const [fields, headers] of ways) {
      const answer = await send(
        server,
        '/token',
        { grant_type: 'refresh_token', refresh_token: token, ...fields },
        headers,
      )
      token = tokensIn(answer).refresh_token
    }
  })

  it('with any secret, or another Authorization, is refused', async () => {
    const spa = await makeSpa(server, withRefresh)
    const { refresh_token: token } = await obtain(server, spa, await server.createUser())
    const fields = { grant_type: 'refresh_token', refresh_token: token }
    await unchanged(server, async () => {
      for (const [more, headers, tried] of [
        [{ client_id: spa.id, client_secret: 'x' }, {}, false],
        [{}, encodedBasic(`${spa.id}:x`), true],
        [{}, encodedBasic(`${spa.id}: `), true],
        [{ client_id: spa.id }, { authorization: 'Bearer x' }, true],
        [{ client_id: spa.id }, { authorization: 'Basic' }, true],
        [{ client_id: spa.id }, { authorization: 'Digest username="spa"' }, true],
      ] as [Record<string, string>, Record<string, string>, boolean][])
        expectClientRefused(
          await send(server, '/token', { ...fields, ...more }, headers),
          tried,
          JSON.stringify([more, headers]),
        )
    })
    expect((await refresh(server, spa, token)).status).toBe(200)
  })
})

describe('encodings of Basic', () => {
  it('SEC-113 any secret works form-encoded, percent-encoded where that says the same, and raw; twice it does not', async () => {
    const secrets = [
      'a+b/c=d%e-and-the-rest-of-it-so-that-it-is-long',
      '%41%42%43-and-the-rest-of-it-so-that-it-is-long',
      '%%%-%2-%zz-and-the-rest-of-it-so-it-is-long-----',
      'a:b:c::-and-the-rest-of-it-so-that-it-is-long----',
      'été-ünï-ß-😀-and-the-rest-of-it-so-that-it-is-long',
      'a b  c-and-the-rest-of-it-so-that-it-is-long-----',
    ]
    for (const [index, secret] of secrets.entries()) {
      const service = await makeService({ client_id: `s${index}`, client_secret: secret })
      const form = new URLSearchParams({ s: secret }).toString().slice(2)
      const percent = encodeURIComponent(secret)
      const send_ = (text: string) => send(server, '/token', ask, encodedBasic(`${service.id}:${text}`))
      for (const text of new Set([form, percent, secret])) expect((await send_(text)).status, text).toBe(200)
      for (const text of [new URLSearchParams({ s: form }).toString().slice(2), encodeURIComponent(percent)])
        expectClientRefused(await send_(text), true, text)
      expect((await byPost(service)).status).toBe(200)
      if (form !== secret) expectClientRefused(await byPost(service, form), false)
    }
  })

  it('SEC-113 two Authorization lines are invalid_request, whichever is right', async () => {
    const service = await makeService()
    const right = String(basic(service)['authorization'])
    const wrong = encodedBasic('nobody:x')['authorization'] ?? ''
    for (const lines of [
      [right, wrong],
      [wrong, right],
      [right, right],
    ]) {
      const answer = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
        const outgoing = request(
          `${server.origin}/token`,
          {
            method: 'POST',
            headers: {
              Host: new URL(server.issuer).host,
              'Content-Type': 'application/x-www-form-urlencoded',
              Authorization: lines,
            },
          },
          incoming => {
            let body = ''
            incoming.setEncoding('utf8').on('data', (text: string) => {
              body += text
            })
            incoming.on('end', () => resolve({ status: incoming.statusCode, body }))
          },
        )
        outgoing.on('error', reject)
        outgoing.end(new URLSearchParams(ask).toString())
      })
      expect(answer.status).toBe(400)
      expect(JSON.parse(answer.body)).toMatchObject({ error: 'invalid_request' })
    }
  })
})

describe('guessing secrets', () => {
  it('after 20 failures within a minute it is 429 with Retry-After, until the minute is over', async () => {
    const service = await makeService()
    for (let failure = 0; failure < 20; failure++)
      expectClientRefused(
        failure % 2 ? await byBasic(service, `wrong-${failure}`) : await byPost(service, 'x'),
        failure % 2 === 1,
      )
    const rows = await server.counts()
    for (const answer of [await byBasic(service, 'wrong'), await byPost(service, 'wrong')]) {
      expect(answer.status).toBe(429)
      expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1)
      expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(60)
      expect(answer.headers['cache-control']).toBe('no-store')
      expect(answer.json).not.toHaveProperty('access_token')
    }
    // Every endpoint counts together.
    expect((await byBasic(service, 'wrong', '/introspect')).status).toBe(429)
    expect((await byBasic(service, 'wrong', '/revoke')).status).toBe(429)
    expect(await server.counts()).toEqual(rows)
    server.sleep(61)
    expectClientRefused(await byBasic(service, 'wrong'), true)
  })

  it('the right secret is not refused for the failures of others: nobody behind its address locks a client out', async () => {
    const service = await makeService()
    for (let failure = 0; failure < 21; failure++) await byBasic(service, 'wrong')
    expect((await byBasic(service, 'wrong')).status).toBe(429)
    expect((await byBasic(service)).status).toBe(200)
    expect((await byPost(service)).status).toBe(200)
    expect((await byBasic(service, 'wrong')).status).toBe(429)
  })

  it('an assertion is not even looked at after too many failures: each costs a signature', async () => {
    const key = await newClientKey()
    const client = await makeAssertingClient(server, key)
    const wrong = await newClientKey()
    for (let failure = 0; failure < 20; failure++)
      expectClientRefused(
        await requestWith(server, await signAssertion(wrong, assertionClaims(server, client))),
        false,
      )
    const right = await signAssertion(key, assertionClaims(server, client))
    expect((await requestWith(server, right)).status).toBe(429)
    server.sleep(61)
    const next = await signAssertion(key, assertionClaims(server, client))
    expect((await requestWith(server, next)).status).toBe(200)
  })

  it('of one client locks no other', async () => {
    const service = await makeService()
    const web = await makeWeb(server)
    for (let failure = 0; failure < 21; failure++) await byBasic(service, 'wrong')
    expect((await byBasic(service, 'wrong')).status).toBe(429)
    const alice = await server.createUser()
    expect((await redeem(server, web, await getCode(server.browser(), web, alice))).status).toBe(200)
  })

  it('from one address locks no other address; one IPv6 network is one', async () => {
    await server.stop()
    server = await startServer({ settings: { LINTEL_TRUSTED_PROXIES: '127.0.0.1/32' } })
    const service = await makeService()
    const from = (address: string, secret = service.secret) =>
      send(server, '/token', ask, { ...basic({ ...service, secret }), 'x-forwarded-for': address })
    for (let failure = 0; failure < 20; failure++) await from('203.0.113.7', 'wrong')
    expect((await from('203.0.113.7', 'wrong')).status).toBe(429)
    expect((await from('203.0.113.8', 'wrong')).status).toBe(401)
    for (let failure = 0; failure < 20; failure++) await from(`2001:db8:1:2::${failure + 1}`, 'wrong')
    expect((await from('2001:db8:1:2:ffff::1', 'wrong')).status).toBe(429)
    expect((await from('2001:db8:1:3::1', 'wrong')).status).toBe(401)
  })

  it('in parallel, at two servers: the count is exact', async () => {
    const { one, other, stop } = await startTwoServers()
    try {
      const service = await makeService({}, one)
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, index) =>
          byBasic(service, `wrong-${index}`, '/token', index % 2 ? one : other),
        ),
      )
      expect(answers.filter(answer => answer.status === 401).length).toBeGreaterThanOrEqual(20)
      expect(answers.filter(answer => ![401, 429].includes(answer.status))).toEqual([])
      for (const at of [one, other]) expect((await byBasic(service, 'wrong', '/token', at)).status).toBe(429)
    } finally {
      await stop()
    }
  })

  it('a success does not count, and does not set the count back', async () => {
    const service = await makeService()
    for (let failure = 0; failure < 19; failure++) await byBasic(service, 'wrong')
    for (let use = 0; use < 30; use++) expect((await byBasic(service)).status).toBe(200)
    expectClientRefused(await byBasic(service, 'wrong'), true)
    expect((await byBasic(service, 'wrong')).status).toBe(429)
  })
})
