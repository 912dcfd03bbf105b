import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseClientMetadata } from '../../src/oauth/client/client-metadata.ts'
import { type Answer, type Browser, formOn } from '../support/browser.ts'
import { sized } from '../support/databases.ts'
import {
  type AuthorizeOptions,
  answerOf,
  authorizeUrl,
  basic,
  claimsIn,
  getCode,
  passPages,
  pkcePair,
  post,
  redeem,
} from '../support/flow.ts'
import { startServer, type TestClient, type TestServer, testPassword } from '../support/server.ts'
import { makeApi, makeExempt, makeSpa, makeWeb, makeWeb2 } from './fixtures.ts'
import { expectAudited, expectErrorPage, expectErrorRedirect, stateOf, unchanged } from './outcomes.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer({ settings: { LINTEL_TRUSTED_PROXIES: '127.0.0.1/32' } })
})
afterEach(() => server.stop())

const withRefresh = { grant_types: ['authorization_code', 'refresh_token'] }

const { challenge, verifier } = pkcePair()
const ask = (client: TestClient, parameters: AuthorizeOptions = {}): string =>
  authorizeUrl(client, { code_challenge: challenge, code_challenge_method: 'S256', ...parameters })

let visits = 0
/** An address of its own each time: at most 100 requests may be under way from one. */
const from = (): { headers: Record<string, string> } => {
  visits += 1
  return {
    headers: { 'x-forwarded-for': `10.${(visits >> 16) & 255}.${(visits >> 8) & 255}.${visits & 255}` },
  }
}

/** What a request leads to: a page of ours, a code, or an error at the app. */
const outcomeOf = (answer: Answer, client: TestClient): string => {
  expect(answer.status, answer.body.slice(0, 500)).toBe(303)
  const location = String(answer.location)
  const page = /^\/(sign-in|accounts|consent)\/[0-9a-z]{20}$/.exec(location)?.[1]
  if (page !== undefined) return page
  expect(location.startsWith(`${client.redirectUri}?`), location).toBe(true)
  return answerOf(answer).get('error') ?? (answerOf(answer).get('code') ? 'code' : 'nothing')
}

const idTokenOf = async (client: TestClient, answer: Answer): Promise<Record<string, unknown>> => {
  const tokens = await redeem(server, client, { code: String(answerOf(answer).get('code')), verifier })
  expect(tokens.status, JSON.stringify(tokens.json)).toBe(200)
  return { ...claimsIn(tokens.json['id_token']), tokens: tokens.json }
}

describe('every combination of prompt, max_age, id_token_hint, login_hint and ui_locales', () => {
  const states = ['nobody', 'not allowed', 'allowed'] as const
  const prompts = [
    undefined,
    'none',
    'login',
    'consent',
    'select_account',
    'login consent',
    'consent select_account',
    'select_account login',
    'none login',
    'login none consent',
    'unheard_of',
    'NONE',
  ]
  const maxAges = [undefined, '0', '50', '10000']
  const hints = ['none sent', 'own', 'other', 'garbage'] as const
  const loginHints = [undefined, 'alice', 'nobody@nowhere.test']
  const locales = [undefined, 'de', '../../etc/passwd fr-CA de']

  /** By the specifications and contracts.md alone; the sign-in was 100 seconds ago. */
  const expected = (
    state: (typeof states)[number],
    prompt: string | undefined,
    maxAge: string | undefined,
    hint: (typeof hints)[number],
  ): string => {
    const asked = (prompt ?? '').split(' ').filter(Boolean)
    if (asked.some(one => !['none', 'login', 'consent', 'select_account'].includes(one)))
      return 'invalid_request'
    if (asked.includes('none') && asked.length > 1) return 'invalid_request'
    const tooOld = maxAge === '0' || maxAge === '50'
    if (asked.includes('none')) {
      if (state === 'nobody' || tooOld || hint === 'other' || hint === 'garbage') return 'login_required'
      return state === 'allowed' ? 'code' : 'consent_required'
    }
    if (state === 'nobody' || hint === 'other') return 'sign-in'
    if (asked.includes('select_account')) return 'accounts'
    if (asked.includes('login') || tooOld) return 'sign-in'
    return asked.includes('consent') || state === 'not allowed' ? 'consent' : 'code'
  }

  it(
    'SEC-070, SEC-071 each leads where the specification says, and prompt=none never to a page or a cookie',
    async () => {
      const [web, web2] = [await makeWeb(server), await makeWeb2(server)]
      const alice = await server.createUser()
      const bob = await server.createUser({ username: 'bob' })
      const bobTokens = await redeem(server, web, await getCode(server.browser(), web, bob))
      const browsers = {
        nobody: server.browser(),
        'not allowed': server.browser(),
        allowed: server.browser(),
      }
      const own = await redeem(server, web, await getCode(browsers.allowed, web, alice))
      const carol = await server.createUser({ username: 'carol' })
      const carols = await redeem(server, web2, await getCode(browsers['not allowed'], web2, carol))
      server.sleep(100)
      const hintFor = (state: (typeof states)[number], hint: (typeof hints)[number]): string | undefined =>
        ({
          'none sent': undefined,
          own: String((state === 'not allowed' ? carols : own).json['id_token']),
          other: String(bobTokens.json['id_token']),
          garbage: 'x.y.z',
        })[hint]
      let turn = 0
      for (const state of states)
        for (const prompt of prompts)
          for (const max_age of maxAges)
            for (const hint of hints)
              for (let more = 0; more < sized(1, 9); more++) {
                turn += 1
                const parameters = {
                  prompt,
                  max_age,
                  id_token_hint: hintFor(state, hint),
                  login_hint: loginHints[turn % 3],
                  ui_locales: locales[Math.floor(turn / 3) % 3],
                }
                const what = JSON.stringify({ state, prompt, max_age, hint, turn })
                // A browser without a cookie is one each time.
                const browser = state === 'nobody' ? server.browser() : browsers[state]
                const answer = await browser.send(ask(web, parameters), from())
                const outcome = expected(state, prompt, max_age, hint)
                expect(outcomeOf(answer, web), what).toBe(outcome)
                expect(answer.body, what).toBe('')
                if (outcome.endsWith('_required') || outcome === 'invalid_request') {
                  expectErrorRedirect(answer, outcome, { server, redirectUri: web.redirectUri }, what)
                  expect(answer.headers['set-cookie'], what).toBeUndefined()
                }
              }
    },
    sized(120_000, 900_000),
  )
})

describe('scope', () => {
  it('SEC-068 a known scope that the client may not have is invalid_scope; an unknown one is left out', async () => {
    await makeApi(server, 'api1')
    const web = await makeWeb(server)
    const open = await makeWeb2(server, { scope: undefined })
    const alice = await server.createUser()
    const browser = server.browser()
    for (const client of [web, open]) await getCode(browser, client, alice)
    for (const [client, scope] of [
      [web, 'openid phone'],
      [web, 'phone openid'],
      [web, 'openid api1:read'],
      [web, 'groups'],
      [open, 'openid api1:read'],
    ] as const)
      for (const prompt of [undefined, 'none']) {
        const answer = await unchanged(server, () => browser.send(ask(client, { scope, prompt })), scope)
        expectErrorRedirect(answer, 'invalid_scope', { server, redirectUri: client.redirectUri }, scope)
        await expectAudited(server, answer, 'authorize.rejected', { client, reason: 'invalid_scope' })
      }
    const answer = await browser.send(ask(web, { scope: 'openid unheard_of OPENID openid:x' }))
    const tokens = await idTokenOf(web, answer)
    expect((tokens['tokens'] as Record<string, unknown>)['scope']).toBe('openid')
  })

  it('SEC-068 for a client of its own anything unknown or not allowed is invalid_scope', async () => {
    await makeApi(server, 'api1')
    await makeApi(server, 'api2')
    const client = await makeWeb(server, {
      grant_types: ['client_credentials'],
      scope: 'openid profile api1:read',
      redirect_uris: [],
    })
    for (const scope of [
      'api1:write',
      'api2:read',
      'unheard_of',
      'openid',
      'profile',
      'api1:read api1:write',
      'api1:read unheard_of',
      '"',
      'API1:READ',
    ]) {
      const answer = await unchanged(server, () =>
        post(server, '/token', { grant_type: 'client_credentials', scope }, basic(client)),
      )
      expect({ status: answer.status, error: answer.json['error'] }, scope).toEqual({
        status: 400,
        error: 'invalid_scope',
      })
    }
    const answer = await post(
      server,
      '/token',
      { grant_type: 'client_credentials', scope: 'api1:read' },
      basic(client),
    )
    expect(answer.json).toMatchObject({ scope: 'api1:read' })
    expect(answer.json['refresh_token']).toBeUndefined()
  })

  it('SEC-069 of 100,000 words, of a megabyte, with signs that no name has: refused, quickly', async () => {
    const web = await makeWeb(server)
    const browser = server.browser()
    await getCode(browser, web, await server.createUser())
    const words = (count: number, between = ' '): string =>
      Array.from({ length: count }, (_, index) => `s${index}`).join(between)
    const odd = [
      'openid "',
      'openid \\',
      'openid a\tb',
      'openid\nprofile',
      'openid\u0000',
      'openid é',
      'openid \u007f',
      words(101),
      `openid${'  '.repeat(60)}${words(101)}`,
      `${' '.repeat(300)}"`,
      `openid ${'x'.repeat(201)}`,
    ]
    for (const scope of odd) {
      const startedAt = performance.now()
      const answer = await unchanged(server, async () => browser.send(ask(web, { scope })))
      expect(performance.now() - startedAt, scope.slice(0, 30)).toBeLessThan(1000)
      expectErrorRedirect(
        answer,
        'invalid_scope',
        { server, redirectUri: web.redirectUri },
        JSON.stringify(scope.slice(0, 50)),
      )
    }
    for (const scope of [words(1500), words(100_000), 'x'.repeat(1024 * 1024)]) {
      const got = await browser.send(ask(web, { scope })).catch(() => undefined)
      expect([303, 414, 431, undefined]).toContain(got?.status)
      const body = ask(web, { scope }).slice('/authorize?'.length)
      const posted = await browser.send('/authorize', { method: 'POST', body })
      if (posted.status === 303)
        expectErrorRedirect(posted, 'invalid_scope', { server, redirectUri: web.redirectUri })
      else expect(posted.status).toBe(413)
    }
    // Spaces are no names, however many there are.
    const spaced = await browser.send(ask(web, { scope: `  openid${' '.repeat(200)}profile  ` }))
    const page = await passPages(browser, await browser.follow(spaced), {
      username: 'alice',
      password: testPassword,
    })
    const tokens = await idTokenOf(web, page)
    expect((tokens['tokens'] as Record<string, unknown>)['scope']).toBe('openid profile')
  })
})

describe('prompt and max_age', () => {
  it('SEC-070 prompt=none without a session, without consent, beside another value, or with the hint of another', async () => {
    const web = await makeWeb(server)
    const [alice, bob] = [await server.createUser(), await server.createUser({ username: 'bob' })]
    const redirectUri = web.redirectUri
    const expectSilent = async (
      browser: Browser,
      parameters: AuthorizeOptions,
      error: string,
    ): Promise<void> => {
      for (const response_mode of ['query', 'fragment']) {
        const answer = await unchanged(server, () => browser.send(ask(web, { ...parameters, response_mode })))
        expectErrorRedirect(answer, error, { server, redirectUri }, JSON.stringify(parameters))
        expect(answer.headers['set-cookie']).toBeUndefined()
      }
    }
    const browser = server.browser()
    await expectSilent(browser, { prompt: 'none' }, 'login_required')
    await expectSilent(browser, { prompt: 'none login' }, 'invalid_request')
    const bobs = await redeem(server, web, await getCode(server.browser(), web, bob))

    const page = await browser.open(ask(web))
    const consent = await browser.submit(page, { username: alice.username, password: alice.password })
    expect(consent.body).toContain('name="decision"')
    await expectSilent(browser, { prompt: 'none' }, 'consent_required')
    await expectSilent(browser, { prompt: 'none', max_age: '0' }, 'login_required')
    await browser.submit(consent, { decision: 'allow' })
    await expectSilent(browser, { prompt: 'none', scope: 'openid email' }, 'consent_required')
    await expectSilent(
      browser,
      { prompt: 'none', id_token_hint: String(bobs.json['id_token']) },
      'login_required',
    )
    await expectSilent(browser, { prompt: 'none ', id_token_hint: 'x.y.z' }, 'login_required')
    await expectSilent(browser, { prompt: 'none', max_age: '0' }, 'login_required')
    expect(outcomeOf(await browser.send(ask(web, { prompt: 'none' })), web)).toBe('code')
    // Jobs that notice the end of the session may run meanwhile.
    server.sleep(12 * 3600 + 1)
    const ended = await browser.send(ask(web, { prompt: 'none' }))
    expectErrorRedirect(ended, 'login_required', { server, redirectUri })
    expect(ended.headers['set-cookie']).toBeUndefined()
  })

  it('SEC-071 prompt=login and max_age=0 ask for credentials each time, and give a new auth_time', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    const first = await idTokenOf(web, await passPages(browser, await browser.open(ask(web)), alice))
    let last = Number(first['auth_time'])
    for (const parameters of [
      { prompt: 'login' },
      { max_age: '0' },
      { prompt: 'login', max_age: '10000' },
      { max_age: '1' },
      { prompt: 'login consent' },
    ]) {
      server.sleep(3)
      const page = await browser.open(ask(web, parameters))
      expect(page.body, JSON.stringify(parameters)).toContain('name="password"')
      const claims = await idTokenOf(web, await passPages(browser, page, alice))
      expect(Number(claims['auth_time']), JSON.stringify(parameters)).toBeGreaterThan(last)
      expect(claims['sub']).toBe(alice.sub)
      expect(claims['sid']).toBe(first['sid'])
      last = Number(claims['auth_time'])
    }
    // Nothing asked: the same time, and no page.
    server.sleep(3)
    const silent = await idTokenOf(web, await browser.open(ask(web, { max_age: '10000' })))
    expect(silent['auth_time']).toBe(last)
  })

  it('SEC-071 nothing in an address takes the demand back: the resume address, another tab, the chooser', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    await getCode(browser, web, alice)
    for (const parameters of [{ prompt: 'login' }, { max_age: '0' }]) {
      const page = await browser.open(ask(web, parameters))
      expect(page.body).toContain('name="password"')
      const signInId = page.url.slice(page.url.lastIndexOf('/') + 1)
      const [row] = await server.services.store.search<{ id: string }>(knex =>
        knex('transaction').select('id').where({ sign_in_id: signInId }),
      )
      const resume = `/authorize/${row?.id}`
      const stillAsked = async (): Promise<void> => {
        for (const path of [
          resume,
          `${resume}?prompt=none`,
          `${resume}?max_age=10000`,
          `/consent/${row?.id}`,
        ]) {
          const answer = await browser.open(path)
          expect(answer.url.endsWith(`/sign-in/${signInId}`), path).toBe(true)
          expect(answer.status).toBe(200)
        }
      }
      await stillAsked()
      // Another tab gets its code, for it was asked nothing.
      expect(outcomeOf(await browser.send(ask(web)), web)).toBe('code')
      await stillAsked()
      // The session of this browser, picked at the chooser, is no proof of who it is.
      const chooser = await browser.open(`/accounts/${signInId}`)
      const session = /name="account" value="([0-9a-z]{20})"/.exec(chooser.body)?.[1]
      const chosen = await browser.submit(chooser, { account: String(session) })
      expect(chosen.url.endsWith(`/sign-in/${signInId}`)).toBe(true)
      await stillAsked()
      // A consent cannot be sent in its place either.
      const { fields } = formOn(await browser.open(`/sign-in/${signInId}`))
      fields.set('decision', 'allow')
      const posted = await browser.send(`/consent/${row?.id}`, {
        method: 'POST',
        body: fields.toString(),
        headers: { origin: server.issuer },
      })
      expect(posted.location ?? '').not.toContain('code=')
    }
  })

  it('SEC-071 back and once more: the same form or page gives no second code', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    await getCode(browser, web, alice)
    const page = await browser.open(ask(web, { prompt: 'login' }))
    const person = { username: alice.username, password: alice.password }
    const done = await browser.submit(page, person)
    expect(outcomeOf(done, web)).toBe('code')
    const codes = (await stateOf(server))['code']
    for (const again of [await browser.submit(page, person), await browser.open(page.url)]) {
      expect(again.location).toBeUndefined()
      expect([200, 400, 403]).toContain(again.status)
    }
    expect((await stateOf(server))['code']).toEqual(codes)
  })

  it('SEC-071 an odd max_age is invalid_request', async () => {
    const web = await makeWeb(server)
    const browser = server.browser()
    await getCode(browser, web, await server.createUser())
    const odd = [
      '-1',
      '1.5',
      '0x10',
      ' 5',
      '5 ',
      '+5',
      '٥',
      '１',
      '1e3',
      '100000000000000000000',
      'NaN',
      'Infinity',
      'null',
      '5\u0000',
      '5\n',
      '1_000',
      '--1',
      '0b1',
    ]
    for (const max_age of odd) {
      const answer = await unchanged(server, () => browser.send(ask(web, { max_age })), max_age)
      expectErrorRedirect(answer, 'invalid_request', { server, redirectUri: web.redirectUri }, max_age)
    }
  })

  it("SEC-071 a client's default_max_age counts where the request has none", async () => {
    const web = await makeWeb(server, { default_max_age: 60 })
    const alice = await server.createUser()
    const browser = server.browser()
    await getCode(browser, web, alice)
    expect(outcomeOf(await browser.send(ask(web)), web)).toBe('code')
    server.sleep(61)
    expect(outcomeOf(await browser.send(ask(web)), web)).toBe('sign-in')
    expect(outcomeOf(await browser.send(ask(web, { prompt: 'none' })), web)).toBe('login_required')
    expect(outcomeOf(await browser.send(ask(web, { max_age: '1000' })), web)).toBe('code')
  })

  it('SEC-070 the hint of another person: they may sign in; somebody else is login_required', async () => {
    const web = await makeWeb(server)
    const [alice, bob] = [await server.createUser(), await server.createUser({ username: 'bob' })]
    const browser = server.browser()
    const bobs = await redeem(server, web, await getCode(server.browser(), web, bob))
    await getCode(browser, web, alice)
    const id_token_hint = String(bobs.json['id_token'])
    const page = await browser.open(ask(web, { id_token_hint }))
    expect(page.body).toContain('name="password"')
    const wrong = await browser.submit(page, { username: alice.username, password: alice.password })
    expectErrorRedirect(wrong, 'login_required', { server, redirectUri: web.redirectUri })
    const right = await passPages(browser, await browser.open(ask(web, { id_token_hint })), bob)
    expect((await idTokenOf(web, right))['sub']).toBe(bob.sub)
  })

  it('SEC-072 acr and amr say what was really done, whatever is asked for', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    const { acr_values_supported: known } = JSON.parse(
      (await browser.send('/.well-known/openid-configuration')).body,
    ) as { acr_values_supported: string[] }
    const claims = JSON.stringify({
      id_token: { acr: { essential: true, values: ['2', '3'] }, amr: { value: 'mfa' } },
    })
    for (const parameters of [{}, { acr_values: '2 3' }, { claims }, { acr_values: known.join(' ') }]) {
      const answer = await passPages(browser, await browser.open(ask(web, parameters)), alice)
      const token = await idTokenOf(web, answer)
      expect(token['amr'], JSON.stringify(parameters)).toEqual(['pwd'])
      expect(known).toContain(token['acr'])
      const access = claimsIn((token['tokens'] as Record<string, unknown>)['access_token'])
      expect({ amr: access['amr'], acr: access['acr'], auth_time: access['auth_time'] }).toEqual({
        amr: token['amr'],
        acr: token['acr'],
        auth_time: token['auth_time'],
      })
    }
  })
})

describe('consent', () => {
  const signedIn = async (client: TestClient, parameters: AuthorizeOptions = {}) => {
    const alice = await server.createUser()
    const browser = server.browser()
    const answer = await passPages(browser, await browser.open(ask(client, parameters)), alice)
    return { alice, browser, answer }
  }
  const scopeOf = async (client: TestClient, answer: Answer): Promise<unknown> =>
    ((await idTokenOf(client, answer))['tokens'] as Record<string, unknown>)['scope']
  const remembered = async (): Promise<string[]> =>
    (await server.services.store.search<{ scope: string }>(knex => knex('consent').select('scope'))).map(
      row => row.scope,
    )

  it('SEC-073 is remembered, and asked again only for what is new', async () => {
    const web = await makeWeb(server)
    const { browser } = await signedIn(web, { scope: 'openid profile' })
    for (const scope of ['openid profile', 'profile openid', 'openid', 'profile'])
      expect(outcomeOf(await browser.send(ask(web, { scope })), web), scope).toBe('code')
    const page = await browser.open(ask(web, { scope: 'openid profile email' }))
    expect(page.body.match(/class="badge new"/g)).toHaveLength(1)
    const shown = page.body.slice(page.body.indexOf('<ul class="scopes">'), page.body.indexOf('</ul>'))
    expect(shown.split('<li>').find(item => item.includes('badge new'))).toMatch(/e-?mail/i)
    const answer = await browser.submit(page, { decision: 'allow' })
    expect(await scopeOf(web, answer)).toBe('openid profile email')
    expect((await remembered())[0]?.split(' ').sort()).toEqual(['email', 'openid', 'profile'])
    // Less than before is not forgotten by asking for less.
    expect(outcomeOf(await browser.send(ask(web, { scope: 'email' })), web)).toBe('code')
    expect(outcomeOf(await browser.send(ask(web, { scope: 'openid profile email' })), web)).toBe('code')
  })

  it('SEC-073 of one person is not that of another in the same browser, nor of one client that of another', async () => {
    const [web, web2] = [await makeWeb(server), await makeWeb2(server)]
    const { browser } = await signedIn(web)
    expect(outcomeOf(await browser.send(ask(web2)), web2)).toBe('consent')
    const bob = await server.createUser({ username: 'bob' })
    const page = await browser.open(ask(web, { prompt: 'login' }))
    const consent = await browser.submit(page, { username: bob.username, password: bob.password })
    expect(consent.body).toContain('name="decision"')
    expect(consent.body).toContain('bob')
  })

  it('SEC-073 a field more in its form gives nothing more', async () => {
    await makeApi(server, 'api1')
    const web = await makeWeb(server, {
      ...withRefresh,
      scope: 'openid profile email api1:read offline_access',
    })
    const alice = await server.createUser()
    const browser = server.browser()
    const page = await browser.open(ask(web, { scope: 'openid' }))
    const consent = await browser.submit(page, { username: alice.username, password: alice.password })
    const answer = await browser.submit(consent, {
      decision: 'allow',
      scope: 'openid profile email admin api1:read offline_access',
      client_id: 'other',
      redirect_uri: 'https://evil.test/cb',
      user_id: 'bob',
      skip_consent: 'true',
    })
    expect(answer.location?.startsWith(`${web.redirectUri}?`)).toBe(true)
    expect(await scopeOf(web, answer)).toBe('openid')
    expect(await remembered()).toEqual(['openid'])
  })

  it('SEC-073 cannot be switched off by whoever registers a client', () => {
    const offered = {
      grantTypes: ['authorization_code'],
      responseTypes: ['code'],
      authMethods: ['none'],
      signingAlgorithms: ['RS256'],
    }
    const wanted = {
      redirect_uris: ['https://web.test/cb'],
      skip_consent: true,
      first_party: true,
      require_pkce: false,
      profile: 'oidc',
      resource_server_for: ['https://api1.test'],
      allowed_origins: ['https://evil.test'],
      scope_claims_in_id_token: true,
      client_id: 'admin',
    }
    expect(parseClientMetadata(wanted, 'dynamic', offered)).toEqual({
      redirect_uris: ['https://web.test/cb'],
    })
  })

  it('SEC-073 refused is access_denied: no authorization, no code, nothing remembered', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    const page = await browser.open(ask(web))
    const consent = await browser.submit(page, { username: alice.username, password: alice.password })
    const before = await stateOf(server)
    const denied = await browser.submit(consent, { decision: 'deny' })
    expectErrorRedirect(denied, 'access_denied', { server, redirectUri: web.redirectUri })
    const after = await stateOf(server)
    for (const table of ['authorization', 'code', 'consent', 'session_client', 'session'])
      expect(after[table], table).toEqual(before[table])
    const event = await expectAudited(server, denied, 'consent.refused', { client: web, reason: null })
    expect(event.user_id).toBe(alice.id)
    // And it is asked again next time, also for what was allowed before with prompt=consent.
    expect(outcomeOf(await browser.send(ask(web)), web)).toBe('consent')
    const again = await browser.submit(consent, { decision: 'allow' })
    expectErrorPage(again, 'finished')
  })

  it('SEC-073 neither allowed nor refused is no answer', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    const page = await browser.open(ask(web))
    const consent = await browser.submit(page, { username: alice.username, password: alice.password })
    for (const decision of ['', 'ALLOW', 'yes', 'allow ', 'deny\u0000', 'allow,deny']) {
      const answer = await unchanged(server, () => browser.submit(consent, { decision }))
      expect(answer.status, decision).toBe(200)
      expect(answer.body, decision).toContain('name="decision"')
    }
    const { action, fields } = formOn(consent, 'decision')
    const body = `${fields}&decision=allow&decision=deny`
    const both = await unchanged(server, () =>
      browser.send(action, { method: 'POST', body, headers: { origin: server.issuer } }),
    )
    expect(both.status).toBe(400)
    expect(both.location).toBeUndefined()
  })

  it('SEC-073 sent 20 times at once gives one code; allowed and refused at once gives one answer', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    await getCode(browser, web, alice)
    for (const decisions of [
      Array(20).fill('allow'),
      Array.from({ length: 20 }, (_, index) => (index % 2 ? 'allow' : 'deny')),
    ] as string[][]) {
      const consent = await browser.open(ask(web, { prompt: 'consent' }))
      const before = (await stateOf(server))['code'] ?? []
      const answers = await Promise.all(decisions.map(decision => browser.submit(consent, { decision })))
      const answered = answers.filter(answer => answer.location !== undefined)
      expect(answered).toHaveLength(1)
      for (const answer of answers) if (answer.location === undefined) expectErrorPage(answer, 'finished')
      const made = answered.filter(answer => outcomeOf(answer, web) === 'code').length
      expect((await stateOf(server))['code']).toHaveLength(before.length + made)
    }
  })

  it('SEC-073 offline_access counts where consent was shown now, is remembered for it, or the app is first-party', async () => {
    const scope = 'openid offline_access'
    const web = await makeWeb(server, withRefresh)
    const { browser } = await signedIn(web, { scope: 'openid' })
    const silently = async (client: TestClient, parameters: AuthorizeOptions = {}): Promise<unknown> =>
      scopeOf(client, await browser.send(ask(client, { scope, ...parameters })))
    expect(await silently(web)).toBe('openid')
    expect(await silently(web, { prompt: 'none' })).toBe('openid')
    const page = await browser.open(ask(web, { scope, prompt: 'consent' }))
    expect(await scopeOf(web, await browser.submit(page, { decision: 'allow' }))).toBe(scope)
    expect(await silently(web)).toBe(scope)
    expect(await silently(web, { prompt: 'none' })).toBe(scope)

    const firstParty = await makeWeb2(server, { ...withRefresh, first_party: true })
    expect(await silently(firstParty)).toBe(scope)

    const without = await makeExempt(server)
    const shown = await browser.open(ask(without, { scope, prompt: 'consent' }))
    const answer = await browser.submit(shown, { decision: 'allow' })
    const tokens = (await idTokenOf(without, answer))['tokens'] as Record<string, unknown>
    expect(tokens['scope']).toBe('openid')
    expect(tokens['refresh_token']).toBeUndefined()
  })

  it('SEC-073 for a scope that the client has lost meanwhile gives nothing', async () => {
    const spa = await makeSpa(server, { scope: 'openid' })
    const { browser } = await signedIn(spa, { scope: 'openid' })
    const answer = await unchanged(server, () => browser.send(ask(spa, { scope: 'openid email' })))
    expectErrorRedirect(answer, 'invalid_scope', { server, redirectUri: spa.redirectUri })
  })
})

describe('several tabs at once', () => {
  it('each gets the answer to its own request, 20 at once', async () => {
    const [web, web2] = [await makeWeb(server), await makeWeb2(server)]
    const alice = await server.createUser()
    const browser = server.browser()
    for (const client of [web, web2]) await getCode(browser, client, alice)
    const tabs = Array.from({ length: 20 }, (_, index) => ({
      client: index % 2 ? web : web2,
      state: `state-${index}`,
      nonce: `nonce-${index}`,
      pair: pkcePair(),
    }))
    await Promise.all(
      tabs.map(async ({ client, state, nonce, pair }) => {
        const answer = await browser.send(ask(client, { state, nonce, code_challenge: pair.challenge }))
        expect(outcomeOf(answer, client)).toBe('code')
        expect(answerOf(answer).get('state')).toBe(state)
        const tokens = await redeem(server, client, {
          code: String(answerOf(answer).get('code')),
          verifier: pair.verifier,
        })
        expect(claimsIn(tokens.json['id_token'])).toMatchObject({ nonce, aud: client.id, sub: alice.sub })
      }),
    )
  })

  it('opened before the sign-in all go on after it, each with its own request', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    await browser.open(ask(web))
    const pages = await Promise.all(
      Array.from({ length: 5 }, (_, index) => browser.open(ask(web, { state: `tab-${index}` }))),
    )
    const [third] = pages.slice(2)
    if (!third) throw new Error('unreachable')
    const first = await passPages(browser, third, alice)
    expect(answerOf(first).get('state')).toBe('tab-2')
    for (const [index, page] of pages.entries()) {
      if (index === 2) continue
      const answer = await passPages(browser, page, alice)
      expect(outcomeOf(answer, web), `tab ${index}`).toBe('code')
      expect(answerOf(answer).get('state')).toBe(`tab-${index}`)
    }
  })

  it('opened at once in a browser that was never here: whoever loses is told so, and nothing is mixed up', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    const pages = await Promise.all(['tab-0', 'tab-1'].map(state => browser.open(ask(web, { state }))))
    const answers: Answer[] = []
    for (const page of pages) answers.push(page.status === 200 ? await passPages(browser, page, alice) : page)
    const codes = answers.filter(answer => answer.location !== undefined)
    expect(codes.length).toBeGreaterThan(0)
    for (const [index, answer] of answers.entries())
      if (answer.location === undefined) expect([400, 403]).toContain(answer.status)
      else expect(answerOf(answer).get('state')).toBe(`tab-${index}`)
  })

  it('a request that was answered is over: its pages lead to no second code', async () => {
    const web = await makeWeb(server)
    const alice = await server.createUser()
    const browser = server.browser()
    const page = await browser.open(ask(web))
    const consent = await browser.submit(page, { username: alice.username, password: alice.password })
    await browser.submit(consent, { decision: 'allow' })
    const before = (await stateOf(server))['code']
    const id = consent.url.slice(consent.url.lastIndexOf('/') + 1)
    for (const path of [`/authorize/${id}`, `/consent/${id}`])
      expectErrorPage(await browser.send(path), 'finished')
    expectErrorPage(await browser.submit(consent, { decision: 'allow' }), 'finished')
    expect((await stateOf(server))['code']).toEqual(before)
  })

  it('a request belongs to the browser it was started in, at each of its pages', async () => {
    const web = await makeWeb(server)
    const [alice, mallory] = [await server.createUser(), await server.createUser({ username: 'mallory' })]
    const own = server.browser()
    await getCode(own, await makeWeb2(server), alice)
    const other = server.browser()
    const page = await other.open(ask(web))
    const consent = await other.submit(page, { username: mallory.username, password: mallory.password })
    const id = consent.url.slice(consent.url.lastIndexOf('/') + 1)
    for (const path of [`/authorize/${id}`, `/consent/${id}`, new URL(page.url).pathname])
      for (const browser of [own, server.browser()]) {
        const answer = await unchanged(server, () => browser.send(path), path)
        expect(answer.status, path).toBe(400)
        expect(answer.location, path).toBeUndefined()
        expect(answer.headers['set-cookie'], path).toBeUndefined()
      }
    // 30 minutes, and then it is over for its own browser too.
    server.sleep(1801)
    for (const path of [`/authorize/${id}`, `/consent/${id}`])
      expectErrorPage(await other.send(path), 'expired')
  })
})
