import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deleteUser, disableUser, endAccessOf } from '../../src/identity/user.ts'
import { deleteClient, updateClient } from '../../src/oauth/client/client.ts'
import { withdrawConsent } from '../../src/oauth/grant/consent.ts'
import type { Write } from '../../src/store/commit.ts'
import { databaseKind, freshDatabase } from '../support/databases.ts'
import {
  basic,
  claimsIn,
  getCode,
  getWithToken,
  type JsonAnswer,
  pkcePair,
  post,
  redeem,
} from '../support/flow.ts'
import { freePort, startServer, type TestClient, type TestServer } from '../support/server.ts'
import { makeExempt, makeSpa, makeWeb, makeWeb2 } from './fixtures.ts'
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

const withRefresh = { grant_types: ['authorization_code', 'refresh_token'] }

const refresh = (client: TestClient, token: unknown, at = server): Promise<JsonAnswer> =>
  post(
    at,
    '/token',
    {
      grant_type: 'refresh_token',
      refresh_token: String(token),
      ...(client.secret === undefined ? { client_id: client.id } : {}),
    },
    basic(client),
  )

const introspect = (client: TestClient, token: unknown): Promise<JsonAnswer> =>
  post(server, '/introspect', { token: String(token) }, basic(client))

const userinfo = (answer: JsonAnswer, at = server): Promise<JsonAnswer> =>
  getWithToken(at, '/userinfo', String(answer.json['access_token']))

describe('a code is used once', () => {
  it('SEC-013 a second use, 5 seconds later, is invalid_grant and ends everything the first one gave', async () => {
    const web = await makeWeb(server, withRefresh)
    const { code, verifier } = await getCode(server.browser(), web, await server.createUser())
    const first = await redeem(server, web, { code, verifier })
    expect(first.status).toBe(200)
    expect((await userinfo(first)).status).toBe(200)
    expect((await introspect(web, first.json['access_token'])).json['active']).toBe(true)

    server.sleep(5)
    const second = await redeem(server, web, { code, verifier })
    expectTokenError(second, 'invalid_grant')
    await expectAudited(server, second, 'code.replayed', { client: web, reason: 'already_used' })
    await expectAudited(server, second, 'grant.revoked', { client: web, reason: 'code_replayed' })

    expectTokenRefused(await userinfo(first))
    expect((await introspect(web, first.json['access_token'])).json).toEqual({ active: false })
    expect((await introspect(web, first.json['refresh_token'])).json).toEqual({ active: false })
    expectTokenError(await refresh(web, first.json['refresh_token']), 'invalid_grant')
    await expectNowhere(server, [code, verifier, String(first.json['refresh_token'])])
  })

  it('SEC-013 a second use is recognised after the code has expired, and without the verifier', async () => {
    const web = await makeWeb(server, withRefresh)
    const { code, verifier } = await getCode(server.browser(), web, await server.createUser())
    const first = await redeem(server, web, { code, verifier })
    server.sleep(120)
    expectTokenError(await redeem(server, web, { code }), 'invalid_grant')
    expectTokenRefused(await userinfo(first))
    expectTokenError(await refresh(web, first.json['refresh_token']), 'invalid_grant')
  })

  it('SEC-013 another authorization of the same person is left alone', async () => {
    const web = await makeWeb(server, withRefresh)
    const alice = await server.createUser()
    const browser = server.browser()
    const one = await getCode(browser, web, alice)
    const other = await getCode(browser, web, alice)
    const kept = await redeem(server, web, other)
    await redeem(server, web, one)
    expectTokenError(await redeem(server, web, one), 'invalid_grant')
    expect((await userinfo(kept)).status).toBe(200)
    expect((await refresh(web, kept.json['refresh_token'])).status).toBe(200)
  })

  it('SEC-014 of 20 parallel calls exactly one gets tokens, none fails otherwise, and the tokens end', async () => {
    const alice = await server.createUser()
    for (const client of [await makeSpa(server, withRefresh), await makeWeb(server, withRefresh)]) {
      const { code, verifier } = await getCode(server.browser(), client, alice)
      const before = await stateOf(server)
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => redeem(server, client, { code, verifier })),
      )
      const good = answers.filter(answer => answer.status === 200)
      expect(good).toHaveLength(1)
      for (const answer of answers) if (answer.status !== 200) expectTokenError(answer, 'invalid_grant')
      const after = await stateOf(server)
      expect(after['refresh_family']).toHaveLength((before['refresh_family'] ?? []).length + 1)
      for (const answer of good) {
        expectTokenRefused(await userinfo(answer))
        expectTokenError(await refresh(client, answer.json['refresh_token']), 'invalid_grant')
      }
    }
  })

  it('SEC-014 the same over two processes on one database: within a second the tokens end in both', async () => {
    const database = await freshDatabase(databaseKind())
    const issuer = `http://localhost:${await freePort()}`
    const one = await startServer({ database, issuer })
    const two = await startServer({ database: { ...database, remove: async () => undefined }, issuer })
    try {
      const web = await makeWeb(one, withRefresh)
      const alice = await one.createUser()
      for (let round = 0; round < 5; round++) {
        const { code, verifier } = await getCode(one.browser(), web, alice)
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, index) => redeem(index % 2 ? one : two, web, { code, verifier })),
        )
        expect(answers.map(answer => answer.status).sort()).toEqual([200, ...Array(19).fill(400)])
        const good = answers.find(answer => answer.status === 200)
        if (!good) throw new Error('unreachable')
        for (const at of [one, two]) {
          expectTokenRefused(await userinfo(good, at))
          expectTokenError(await refresh(web, good.json['refresh_token'], at), 'invalid_grant')
        }
      }
    } finally {
      await two.stop()
      await one.stop()
    }
  })

  it('SEC-015 an expired code is refused when it is read: clean-up has nothing to do with it', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    const fresh = await getCode(browser, web, alice)
    server.sleep(57)
    expect((await redeem(server, web, fresh)).status).toBe(200)
    const late = await getCode(browser, web, alice)
    server.sleep(61)
    const answer = await unchanged(server, () => redeem(server, web, late))
    expectTokenError(answer, 'invalid_grant')
    await expectAudited(server, answer, 'token.rejected', { client: web, reason: 'code_expired' })
    // Long after, whatever clean-up has taken away by then.
    for (const age of [3600, 86_400, 86_400 * 400]) {
      server.sleep(age)
      expectTokenError(await redeem(server, web, late), 'invalid_grant', `${age}`)
    }
  })

  it('a code has at least 128 bits, and enough different characters to show it', async () => {
    const web = await makeWeb(server)
    const { code } = await getCode(server.browser(), web, await server.createUser())
    const counts = new Map<string, number>()
    for (const letter of code) counts.set(letter, (counts.get(letter) ?? 0) + 1)
    const shannon = [...counts.values()].reduce(
      (sum, count) => sum - count * Math.log2(count / code.length),
      0,
    )
    expect(shannon).toBeGreaterThan(128)
  })
})

describe('a code belongs to its client', () => {
  it('SEC-016 another client cannot redeem it, with the verifier or without, and does not burn it', async () => {
    const [web, web2, spa] = [await makeWeb(server), await makeWeb2(server), await makeSpa(server)]
    const { code, verifier } = await getCode(server.browser(), web, await server.createUser())
    for (const thief of [web2, spa])
      for (const proof of [verifier, undefined, pkcePair().verifier])
        for (const redirect_uri of [web.redirectUri, thief.redirectUri]) {
          const answer = await unchanged(server, () =>
            redeem(server, thief, { code, verifier: proof }, { redirect_uri }),
          )
          expectTokenError(answer, 'invalid_grant')
          await expectAudited(server, answer, 'token.rejected', { client: thief, reason: 'client_mismatch' })
        }
    expect((await redeem(server, web, { code, verifier })).status).toBe(200)
    // Nor can it end what the code gave.
    const late = await unchanged(server, () => redeem(server, web2, { code, verifier }))
    expectTokenError(late, 'invalid_grant')
  })

  it('SEC-016 a failed client authentication does not touch it', async () => {
    const web = await makeWeb(server)
    const { code, verifier } = await getCode(server.browser(), web, await server.createUser())
    for (const secret of ['wrong', '', undefined]) {
      const answer = await unchanged(server, () => redeem(server, { ...web, secret }, { code, verifier }))
      expectClientRefused(answer, secret !== undefined)
      await expectAudited(server, answer, 'client_auth.failed', { client: web })
    }
    expect((await redeem(server, web, { code, verifier })).status).toBe(200)
  })

  it('a redirect_uri other than that of the request is invalid_grant (RFC 6749 section 4.1.3)', async () => {
    const web = await makeWeb(server, { redirect_uris: ['https://web.test/cb', 'https://web.test/other'] })
    const { code, verifier } = await getCode(server.browser(), web, await server.createUser())
    for (const redirect_uri of ['https://web.test/other', 'https://web.test/cb/', 'https://evil.test/cb']) {
      const answer = await unchanged(server, () => redeem(server, web, { code, verifier }, { redirect_uri }))
      expectTokenError(answer, 'invalid_grant')
      await expectAudited(server, answer, 'token.rejected', { client: web, reason: 'redirect_mismatch' })
    }
  })

  it('without a challenge redirect_uri must be sent', async () => {
    const exempt = await makeExempt(server)
    const stripped = { code_challenge: undefined, code_challenge_method: undefined }
    const { code } = await getCode(server.browser(), exempt, await server.createUser(), stripped)
    const answer = await redeem(server, exempt, { code }, { redirect_uri: '' })
    expectTokenError(answer, 'invalid_grant')
  })

  it('SEC-017 what is no code is no code, wherever it comes from, and nothing is consumed', async () => {
    const web = await makeWeb(server, withRefresh)
    const opaque = await makeWeb2(server, { ...withRefresh, access_token_format: 'opaque' })
    const alice = await server.createUser()
    const browser = server.browser()
    const tokens = await redeem(server, web, await getCode(browser, web, alice))
    const opaqueTokens = await redeem(server, opaque, await getCode(browser, opaque, alice))
    const { code, verifier } = await getCode(browser, web, alice)
    const setUp = new URL(server.announced.join(' ').match(/http\S+/)?.[0] ?? '').searchParams.get('token')
    const values = {
      code,
      refresh: String(tokens.json['refresh_token']),
      access: String(tokens.json['access_token']),
      opaque: String(opaqueTokens.json['access_token']),
      id: String(tokens.json['id_token']),
      cookie: String([...browser.cookies.values()][0]),
      session: String(claimsIn(tokens.json['id_token'])['sid']),
      setUp: String(setUp),
      secret: String(web.secret),
    }
    type Name = keyof typeof values
    const cookieName = String([...browser.cookies.keys()][0])
    const names = Object.keys(values) as Name[]
    const tokenError = (client: TestClient, fields: Record<string, string>) => async () =>
      expectTokenError(await post(server, '/token', fields, basic(client)), 'invalid_grant')
    const slots: { name: string; fits: Name[]; present: (value: string) => () => Promise<void> }[] = [
      {
        name: 'code',
        fits: ['code'],
        present: value =>
          tokenError(web, { grant_type: 'authorization_code', code: value, code_verifier: verifier }),
      },
      {
        name: 'refresh_token',
        fits: ['refresh'],
        present: value => tokenError(web, { grant_type: 'refresh_token', refresh_token: value }),
      },
      {
        name: 'bearer',
        fits: ['access', 'opaque'],
        present: value => async () => expectTokenRefused(await getWithToken(server, '/userinfo', value)),
      },
      {
        name: 'introspect',
        fits: ['access', 'refresh'],
        present: value => async () => expect((await introspect(web, value)).json).toEqual({ active: false }),
      },
      {
        name: 'revoke',
        fits: ['access', 'refresh'],
        present: value => async () => {
          const answer = await post(server, '/revoke', { token: value }, basic(web))
          expect(answer).toMatchObject({ status: 200, json: {} })
        },
      },
      {
        name: 'set-up',
        fits: ['setUp'],
        present: value => async () => {
          const answer = await server.browser().send(`/setup?token=${value}`)
          expect(answer.status).toBe(400)
          expect(answer.body).toContain('data-error="invalid_link"')
        },
      },
      {
        name: 'cookie',
        fits: ['cookie'],
        present: value => async () => {
          const answer = await server.browser().send('/', { headers: { cookie: `${cookieName}=${value}` } })
          expect(answer.status).toBe(200)
          expect(answer.body).not.toContain(alice.username)
        },
      },
    ]
    for (const { name, fits, present } of slots)
      for (const value of names)
        if (!fits.includes(value)) await unchanged(server, present(values[value]), `${value} as ${name}`)
    // Each still works where it belongs.
    expect((await redeem(server, web, { code, verifier })).status).toBe(200)
    expect((await refresh(web, values.refresh)).status).toBe(200)
    expect((await getWithToken(server, '/userinfo', values.opaque)).status).toBe(200)
    expect((await browser.send('/')).body).toContain(alice.username)
    expect((await server.browser().send(`/setup?token=${values.setUp}`)).status).toBe(200)
  })
})

describe('a code hangs on what allowed it', () => {
  type Between = (ids: { userId: string; client: TestClient }) => Write[]
  const ends: [string, Between][] = [
    ['the user was disabled', ({ userId }) => [disableUser(userId, server.services.now())]],
    ['the user was deleted', ({ userId }) => [deleteUser(userId)]],
    ['all access of the user was ended', ({ userId }) => [endAccessOf(userId, server.services.now())]],
    [
      'the consent was withdrawn',
      ({ userId, client }) => [withdrawConsent(userId, client.id, server.services.now())],
    ],
  ]

  it.each(ends)('SEC-018 between the two steps %s: invalid_grant, no token', async (_, between) => {
    const web = await makeWeb(server, withRefresh)
    const alice = await server.createUser()
    const { code, verifier } = await getCode(server.browser(), web, alice)
    server.sleep(1)
    await server.services.store.commit(between({ userId: alice.id, client: web }))
    const answer = await unchanged(server, () => redeem(server, web, { code, verifier }))
    expectTokenError(answer, 'invalid_grant')
    await expectAudited(server, answer, 'token.rejected', { client: web })
  })

  it('SEC-018 between the two steps the person signed out: invalid_grant, no token', async () => {
    const web = await makeWeb(server, withRefresh)
    const browser = server.browser()
    const { code, verifier } = await getCode(browser, web, await server.createUser())
    await browser.submit(await browser.open('/logout'), { decision: 'yes' })
    const answer = await unchanged(server, () => redeem(server, web, { code, verifier }))
    expectTokenError(answer, 'invalid_grant')
  })

  it('SEC-018 between the two steps the client was deleted, or lost the grant', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const { services } = server
    const { code, verifier } = await getCode(server.browser(), web, alice)
    await services.store.commit(
      updateClient(
        { id: web.id, version: 0 },
        { redirect_uris: ['https://web.test/cb'], grant_types: ['client_credentials'] },
        services.now(),
      ),
    )
    services.clients.forget()
    expectTokenError(await redeem(server, web, { code, verifier }), 'unauthorized_client')
    await services.store.commit(deleteClient(web.id))
    services.clients.forget()
    expectClientRefused(await redeem(server, web, { code, verifier }), true)
  })

  it('SEC-018 a user disabled at the same moment has no token that works afterwards', async () => {
    const web = await makeWeb(server, withRefresh)
    for (let round = 0; round < 5; round++) {
      const user = await server.createUser({ username: `user-${round}` })
      const { code, verifier } = await getCode(server.browser(), web, user)
      const [answer] = await Promise.all([
        redeem(server, web, { code, verifier }),
        server.services.store.commit([disableUser(user.id, server.services.now())]),
      ])
      expect([200, 400]).toContain(answer.status)
      if (answer.status !== 200) continue
      expectTokenRefused(await userinfo(answer))
      expectTokenError(await refresh(web, answer.json['refresh_token']), 'invalid_grant')
    }
  })
})

describe('guessing codes', () => {
  const guess = (number: number): string => `lnc${String(number).padStart(72, '0')}`

  it('the 101st different wrong code within a minute is answered with 429 and Retry-After', async () => {
    const [web, web2] = [await makeWeb(server), await makeWeb2(server)]
    const alice = await server.createUser()
    const browser = server.browser()
    const used = await getCode(browser, web, alice)
    await redeem(server, web, used)
    const good = await getCode(browser, web, alice)

    for (let number = 1; number <= 100; number++)
      expectTokenError(await redeem(server, web, { code: guess(number) }), 'invalid_grant', `${number}`)
    const locked = await redeem(server, web, { code: guess(101) })
    expect(locked.status).toBe(429)
    expect(Number(locked.headers['retry-after'])).toBeGreaterThan(0)
    expect(Number(locked.headers['retry-after'])).toBeLessThanOrEqual(60)

    // What is known is no guess: a replay stays invalid_grant, a good code stays good; others are not concerned.
    expectTokenError(await redeem(server, web, used), 'invalid_grant')
    expect((await redeem(server, web, good)).status).toBe(200)
    expectTokenError(await redeem(server, web2, { code: guess(102) }), 'invalid_grant')
    server.sleep(61)
    expectTokenError(await redeem(server, web, { code: guess(103) }), 'invalid_grant')
  })

  it('the same wrong code over and over is one guess', async () => {
    const web = await makeWeb(server)
    for (let number = 0; number < 110; number++)
      expectTokenError(await redeem(server, web, { code: guess(1) }), 'invalid_grant', `${number}`)
    expectTokenError(await redeem(server, web, { code: guess(2) }), 'invalid_grant')
  })

  it('whatever stands in place of a code is invalid_grant, and in no log', async () => {
    const web = await makeWeb(server)
    const wrongs = [
      'x',
      'lnc',
      `lnc${'é'.repeat(72)}`,
      `lnc${'0'.repeat(71)}\0`,
      '../../etc/passwd',
      `' or 1=1--`,
      'x'.repeat(40_000),
    ]
    for (const code of wrongs) {
      const answer = await unchanged(server, () => redeem(server, web, { code }))
      expectTokenError(answer, 'invalid_grant', code.slice(0, 50))
      await expectAudited(server, answer, 'token.rejected', { client: web, reason: 'unknown_code' })
    }
    expectTokenError(await redeem(server, web, { code: '' }), 'invalid_request')
  })
})
