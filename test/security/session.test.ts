import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { setPassword } from '../../src/admin/user-access-operations.ts'
import { type EndReason, endSessions, sessionsOfUser } from '../../src/identity/session.ts'
import { disableUser, enableUser } from '../../src/identity/user.ts'
import { type Answer, type Browser, cookieIn } from '../support/browser.ts'
import { answerOf, basic, claimsIn, getCode, post, redeem } from '../support/flow.ts'
import { type ServerOptions, startServer, type TestClient, type TestServer } from '../support/server.ts'
import { slowStore } from './faults.ts'
import { makeWeb, makeWeb2 } from './fixtures.ts'
import { unchanged } from './outcomes.ts'
import {
  accountsOn,
  addPerson,
  browserOf,
  challengedUrl,
  cookieOf,
  copyOf,
  makePerson,
  openRequest,
  type Person,
  postForm,
  setCookieOf,
  silently,
} from './people.ts'
import { sendRaw } from './raw-bytes.ts'

let server: TestServer
let web: TestClient
let alice: Person
const begin = async (
  settings: Record<string, string> = {},
  wrapStore?: ServerOptions['wrapStore'],
): Promise<void> => {
  server = await startServer({ settings, ...(wrapStore ? { wrapStore } : {}) })
  web = await makeWeb(server, { grant_types: ['authorization_code', 'refresh_token'] })
  alice = await makePerson(server, { email: 'alice@corp.test' })
}
afterEach(() => server.stop())

const hours = (count: number): number => count * 3600

type SessionRow = {
  id: string
  user_id: string
  seen_at: number
  expires_at: number
  ended_at: number | null
  end_reason: string | null
}
const sessionRows = (): Promise<SessionRow[]> =>
  server.services.store.search<SessionRow>(knex => knex('session').select('*').orderBy('id'))

const onlySession = async (): Promise<SessionRow> => {
  const rows = await sessionRows()
  expect(rows).toHaveLength(1)
  const [row] = rows
  if (!row) throw new Error('unreachable')
  return row
}

/** The ID token that a browser gets without a page. */
const whoIs = async (browser: Browser, parameters: Record<string, string> = {}) => {
  const { code, verifier } = await getCode(browser, web, alice, { prompt: 'none', ...parameters })
  return claimsIn((await redeem(server, web, { code, verifier })).json['id_token'])
}

/** Nobody is signed in here: a page is shown the sign-in, and `prompt=none` is told so. */
const expectNobody = async (browser: Browser, what = ''): Promise<void> => {
  expect((await silently(copyOf(server, browser), web)).get('error'), what).toBe('login_required')
  const page = await copyOf(server, browser).open(challengedUrl(web))
  expect(page.status, what).toBe(200)
  expect(page.body, what).toContain('name="password"')
  expect((await copyOf(server, browser).open('/')).body, what).not.toContain('alice')
}

/** As an administrator ends them. */
const endAll = async (username: string, reason: EndReason): Promise<void> => {
  const [user] = await server.services.store.search<{ id: string }>(knex =>
    knex('user').select('id').where({ username }),
  )
  const sessions = await sessionsOfUser(server.services.store, user?.id ?? '')
  await server.services.store.commit(await endSessions(server.services, sessions, reason))
}

describe('a planted cookie', () => {
  beforeEach(() => begin())

  it('SEC-030 is worth nothing after the sign-in: the secret is new, the old one unknown', async () => {
    const malloryBrowser = server.browser()
    await malloryBrowser.open(challengedUrl(web))
    const madeUp = `lnb${'0'.repeat(20)}${'a'.repeat(52)}`
    for (const planted of [cookieOf(malloryBrowser), madeUp]) {
      const browser = server.browser()
      for (const name of malloryBrowser.cookies.keys()) browser.cookies.set(name, planted)
      const page = await openRequest(browser, web)
      await browser.submit(page, { ...alice })
      expect((await whoIs(browser, { prompt: '' }))['sub']).toBeTruthy()
      expect(cookieOf(browser)).not.toBe(planted)
      const thief = server.browser()
      for (const name of malloryBrowser.cookies.keys()) thief.cookies.set(name, planted)
      await expectNobody(thief, planted)
      expect((await thief.send('/logout')).body).not.toContain('alice')
    }
  })

  it('SEC-030 each sign-in of the same person gives a new secret; session id and sid stay', async () => {
    const browser = await browserOf(server, web, alice)
    const first = await whoIs(browser)
    const before = copyOf(server, browser)
    const session = await onlySession()
    server.sleep(2)
    const page = await openRequest(browser, web, { prompt: 'login' })
    const back = await browser.submit(page, { ...alice })
    expect(answerOf(back).has('code')).toBe(true)
    expect(cookieOf(browser)).not.toBe(cookieOf(before))
    await expectNobody(before)
    expect((await onlySession()).id).toBe(session.id)
    const second = await whoIs(browser)
    expect(second['sid']).toBe(first['sid'])
    expect(Number(second['auth_time'])).toBeGreaterThan(Number(first['auth_time']))
  })

  it('SEC-030 choosing another account gives a new secret as well', async () => {
    const bob = await makePerson(server, { username: 'bob' })
    const browser = await browserOf(server, web, alice, bob)
    const before = copyOf(server, browser)
    const chooser = await openRequest(browser, web, { prompt: 'select_account' })
    await browser.submit(chooser, { account: accountsOn(chooser).get('alice') ?? '' })
    await expectNobody(before)
    expect((await silently(browser, web)).has('code')).toBe(true)
  })
})

describe('a copied cookie', () => {
  beforeEach(() => begin())

  it('SEC-032 is nobody after the person signed out', async () => {
    const browser = await browserOf(server, web, alice)
    const copy = copyOf(server, browser)
    expect((await silently(copy, web)).has('code')).toBe(true)
    await browser.submit(await browser.send('/logout'), { decision: 'yes' })
    await expectNobody(copy)
    await expectNobody(browser)
  })

  it('SEC-032 is nobody once the session was revoked, at once', async () => {
    const browser = await browserOf(server, web, alice)
    await endAll('alice', 'revoked')
    await expectNobody(browser)
    const events = (await server.audit()).filter(row => row.event === 'session.revoked')
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({ reason: 'revoked', user_id: (await onlySession()).user_id })
  })

  it('SEC-032 is nobody after 12 hours, however busy it was', async () => {
    const browser = await browserOf(server, web, alice)
    for (let hour = 0; hour < 14; hour++) {
      server.sleep(50 * 60)
      expect((await silently(browser, web)).has('code'), `${hour}`).toBe(true)
    }
    server.sleep(20 * 60)
    await expectNobody(browser)
    expect((await browser.send('/logout')).body).not.toContain('name="decision"')
  })

  it('SEC-032 is nobody after an hour without use, and somebody a minute before', async () => {
    const browser = await browserOf(server, web, alice)
    server.sleep(59 * 60)
    expect((await silently(browser, web)).has('code')).toBe(true)
    server.sleep(59 * 60)
    expect((await silently(browser, web)).has('code')).toBe(true)
    server.sleep(hours(1) + 1)
    await expectNobody(browser)
  })

  it('SEC-032 an ended session gives no token either: its refresh token is dead', async () => {
    const browser = server.browser()
    const { code, verifier } = await getCode(browser, web, alice)
    const tokens = await redeem(server, web, { code, verifier })
    expect(typeof tokens.json['refresh_token']).toBe('string')
    await endAll('alice', 'revoked')
    const fields = { grant_type: 'refresh_token', refresh_token: String(tokens.json['refresh_token']) }
    const refreshed = await post(server, '/token', fields, basic(web))
    expect(refreshed.status).toBe(400)
    expect(refreshed.json['error']).toBe('invalid_grant')
  })
})

describe('a malformed cookie', () => {
  beforeEach(() => begin())

  it('SEC-033 with any character changed, cut, doubled or of another kind, is nobody and never a 500', async () => {
    const browser = await browserOf(server, web, alice)
    const right = cookieOf(browser)
    const flip = (text: string, at: number): string =>
      text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1)
    const wrong = [
      '',
      ' ',
      'null',
      'undefined',
      '[object Object]',
      ...Array.from(right, (_, at) => flip(right, at)),
      right.slice(0, -1),
      `${right}a`,
      right.toUpperCase(),
      `"${right}"`,
      encodeURIComponent(`${right}\n`),
      `lnc${right.slice(3)}`,
      `${right},${right}`,
      `${right}=`,
      'x'.repeat(12_000),
      '../../etc/passwd',
      "lnb' OR 1=1--",
      '{"id":1}',
      (await onlySession()).id,
    ]
    await unchanged(server, async () => {
      for (const value of wrong) {
        const other = copyOf(server, browser)
        setCookieOf(other, value)
        const answer = await silently(other, web)
        expect(answer.get('error'), value.slice(0, 100)).toBe('login_required')
        expect((await other.send('/')).status).toBe(200)
      }
    })
    expect((await silently(browser, web)).has('code')).toBe(true)
  })

  it('SEC-033 sent twice, as invalid UTF-8 or over 16 KiB is nobody, or refused before it is read', async () => {
    const browser = await browserOf(server, web, alice)
    const [name = ''] = [...browser.cookies.keys()]
    const right = cookieOf(browser)
    const { host } = new URL(server.issuer)
    const url = new URL(challengedUrl(web, { prompt: 'none' }), server.issuer)
    const ask = async (...cookies: string[]): Promise<{ status: number; head: string }> =>
      sendRaw(
        server,
        Buffer.from(
          [
            `GET ${url.pathname}${url.search} HTTP/1.1`,
            `Host: ${host}`,
            ...cookies.map(cookie => `Cookie: ${cookie}`),
            'Connection: close',
            '',
            '',
          ].join('\r\n'),
          'latin1',
        ),
      )
    expect((await ask(`${name}=${right}`)).head).toMatch(/location: \S+code=/i)
    const nobody = [
      [`${name}=${right}; ${name}=${right}`],
      [`${name}=${right}; ${name}=`],
      [`${name}=x; ${name}=${right}`],
      [`${name}=${right}`, `${name}=x`],
      [`${name}=\xff\xfe\xc3\x28`],
      [`${name}=${right}\xff`],
      [`${name}`],
      [`=${right}`],
      [`${name.toUpperCase()}=${right}`],
      [`x${name}=${right}`],
      [`;;;=;${';'.repeat(3000)}`],
      [`${name}=${'x'.repeat(14_000)}`],
    ]
    for (const cookies of nobody) {
      const answer = await ask(...cookies)
      expect(answer.status, cookies.join().slice(0, 100)).toBe(303)
      expect(answer.head, cookies.join().slice(0, 100)).toMatch(/location: \S+error=login_required/i)
    }
    expect((await ask(`${name}=${'x'.repeat(17_000)}`)).status).toBe(431)
    // Another cookie beside ours is none of our business.
    expect((await ask(`a=b; ${name}=${right}; c=d`)).head).toMatch(/location: \S+code=/i)
  })
})

describe('a user who is disabled', () => {
  beforeEach(() => begin())

  it('SEC-034 is nobody at once, in every browser, and cannot sign in, whatever is tried', async () => {
    const browsers = [await browserOf(server, web, alice), await browserOf(server, web, alice)]
    const fresh = server.browser()
    const page = await openRequest(fresh, web)
    const { code, verifier } = await getCode(browsers[0] ?? fresh, web, alice)
    const [row] = await sessionRows()
    await server.services.store.commit([disableUser(row?.user_id ?? '', server.services.now())])
    for (const browser of browsers) await expectNobody(browser)
    expect((await redeem(server, web, { code, verifier })).json['error']).toBe('invalid_grant')
    const refused = await fresh.submit(page, { ...alice })
    expect(refused.status).toBe(422)
    expect(refused.body).toContain('data-error="invalid_credentials"')
    for (const browser of browsers) {
      const again = await openRequest(browser, web)
      expect((await browser.submit(again, { ...alice })).status).toBe(422)
    }
    const told = (await server.audit()).filter(event => event.event === 'login.failed')
    expect(told.map(event => event.reason)).toEqual(['disabled', 'disabled', 'disabled'])
    expect((await server.counts())['session']).toBe(2)
    server.sleep(60)
    await server.services.store.commit([enableUser(row?.user_id ?? '', server.services.now())])
    expect(answerOf(await fresh.submit(page, { ...alice })).has('code')).toBe(true)
  })
})

describe('a new password', () => {
  beforeEach(() => begin())

  it('SEC-034 set by an administrator ends all sessions and refresh tokens at once, and apps’ access', async () => {
    const browsers = [server.browser(), server.browser(), server.browser()]
    const tokens = []
    for (const browser of browsers) {
      const { code, verifier } = await getCode(browser, web, alice, { scope: 'openid offline_access' })
      tokens.push(await redeem(server, web, { code, verifier }))
    }
    const { code, verifier } = await getCode(browsers[0] ?? server.browser(), web, alice)
    await setPassword(
      server.services,
      { minLength: 8 },
      { name: 'alice', password: 'a new and better one' },
      { kind: 'cli' },
    )
    for (const browser of browsers) await expectNobody(browser)
    for (const { json } of tokens) {
      const fields = { grant_type: 'refresh_token', refresh_token: String(json['refresh_token']) }
      expect((await post(server, '/token', fields, basic(web))).json['error']).toBe('invalid_grant')
      const userinfo = await server.browser().send('/userinfo', {
        headers: { authorization: `Bearer ${json['access_token']}` },
      })
      expect(userinfo.status).toBe(401)
    }
    expect((await redeem(server, web, { code, verifier })).json['error']).toBe('invalid_grant')
    const events = await server.audit()
    expect(events.filter(row => row.event === 'session.revoked').map(row => row.reason)).toEqual([
      'password_changed',
      'password_changed',
      'password_changed',
    ])
    expect(events.filter(row => row.event === 'password.changed')).toHaveLength(1)
    const fresh = server.browser()
    const page = await openRequest(fresh, web)
    expect((await fresh.submit(page, { ...alice })).status).toBe(422)
    const again = await fresh.submit(page, { ...alice, password: 'a new and better one' })
    expect(answerOf(again).has('code')).toBe(true)
  })
})

describe('several people in one browser', () => {
  let bob: Person
  beforeEach(async () => {
    await begin()
    bob = await makePerson(server, { username: 'bob', password: 'the password of bob' })
  })

  it('are all on the chooser; who is chosen goes on, as nobody else', async () => {
    const browser = await browserOf(server, web, alice, bob)
    const names = async (): Promise<string[]> => [
      ...accountsOn(await openRequest(browser, web, { prompt: 'select_account' })).keys(),
    ]
    expect(await names()).toEqual(['alice', 'bob'])
    const subs = new Map<string, unknown>()
    for (const person of [alice, bob]) {
      const chooser = await openRequest(browser, web, { prompt: 'select_account' })
      const back = await browser.submit(chooser, { account: accountsOn(chooser).get(person.username) ?? '' })
      expect(answerOf(back).has('code')).toBe(true)
      subs.set(person.username, (await whoIs(browser))['sub'])
    }
    const users = await server.services.store.search<{ sub: string; username: string }>(knex =>
      knex('user').select('sub', 'username').orderBy('username'),
    )
    expect(users.map(user => [user.username, user.sub])).toEqual([...subs])
    // One of them signs out; the other stays, but is not taken for the first.
    await browser.submit(await browser.send('/logout'), { decision: 'yes' })
    expect((await silently(browser, web)).get('error')).toBe('login_required')
    const page = await openRequest(browser, web)
    const chooser = /href="([^"]*\/accounts\/[^"]+)"/.exec(page.body)?.[1] ?? ''
    expect([...accountsOn(await browser.open(chooser)).keys()]).toEqual(['alice'])
  })

  it('a session of another browser, or of nobody, cannot be chosen', async () => {
    const browser = await browserOf(server, web, alice)
    await browserOf(server, web, bob)
    const foreign = (await sessionRows()).map(row => row.id).at(-1) ?? ''
    for (const account of [foreign, 'nobody', '', 'bob', "' or 1=1--"]) {
      const chooser = await openRequest(browser, web, { prompt: 'select_account' })
      const page = await browser.submit(chooser, { account })
      expect(page.body, account).toContain('name="password"')
      expect((await silently(browser, web)).has('code')).toBe(true)
    }
    expect((await whoIs(browser))['sub']).toBe(
      (
        await server.services.store.search<{ sub: string }>(knex =>
          knex('user').select('sub').where({ username: 'alice' }),
        )
      )[0]?.sub,
    )
  })

  it('the chooser counts as no sign-in: prompt=login asks all the same', async () => {
    const browser = await browserOf(server, web, alice, bob)
    const page = await openRequest(browser, web, { prompt: 'login' })
    const id = page.url.slice(page.url.lastIndexOf('/') + 1)
    const chooser = await browser.send(`/accounts/${id}`)
    const after = await browser.submit(chooser, { account: accountsOn(chooser).get('alice') ?? '' })
    expect(after.status).toBe(200)
    expect(after.body).toContain('name="password"')
  })

  it('whose session has ended is not on the chooser, and an old chooser page does not bring it back', async () => {
    const browser = await browserOf(server, web, alice, bob)
    const chooser = await openRequest(browser, web, { prompt: 'select_account' })
    await endAll('alice', 'revoked')
    const page = await browser.submit(chooser, { account: accountsOn(chooser).get('alice') ?? '' })
    expect(page.body).toContain('name="password"')
    expect([...accountsOn(await openRequest(browser, web, { prompt: 'select_account' })).keys()]).toEqual([
      'bob',
    ])
  })
})

describe('forms that come late, twice or from behind', () => {
  let slow: ReturnType<typeof slowStore>
  beforeEach(() => {
    slow = slowStore()
    return begin({}, slow.wrapStore)
  })

  /** All of them have read before the first writes. */
  const atOnce = async (send: () => Promise<Answer>): Promise<Answer[]> => {
    slow.holdCommits(200)
    const answers = await Promise.all(Array.from({ length: 20 }, send))
    slow.holdCommits(0)
    return answers
  }

  const expectNo5xx = (answers: Answer[]): void =>
    expect(answers.filter(answer => answer.status >= 500).map(answer => answer.body)).toEqual([])

  it('a chooser that is older than a sign-in in another tab is shown again', async () => {
    const bob = await makePerson(server, { username: 'bob' })
    const browser = await browserOf(server, web, alice)
    const chooser = await openRequest(browser, web, { prompt: 'select_account' })
    await addPerson(browser, web, bob)
    const answer = await unchanged(server, () =>
      postForm(browser, chooser, { account: accountsOn(chooser).get('alice') ?? '' }),
    )
    expect(answer.status).toBe(303)
    const again = await browser.follow(answer)
    expect([...accountsOn(again).keys()]).toEqual(['alice', 'bob'])
  })

  it('a logout question that is stale is asked again with all that the app sent along', async () => {
    const app = await server.createClient({
      client_id: 'app',
      client_name: 'App',
      post_logout_redirect_uris: ['https://app.test/bye'],
    })
    const browser = await browserOf(server, app, alice)
    const query = new URLSearchParams({
      client_id: 'app',
      post_logout_redirect_uri: 'https://app.test/bye',
      state: 'keep me',
    })
    const question = await browser.send(`/logout?${query}`)
    expect(question.body).toContain('name="decision"')
    await browser.submit(await openRequest(browser, app, { prompt: 'login' }), { ...alice })
    const stale = await unchanged(server, () => postForm(browser, question, { decision: 'yes' }))
    expect(stale.status).toBe(303)
    const again = await browser.follow(stale)
    const end = await browser.submit(again, { decision: 'yes' })
    expect(end.location).toBe('https://app.test/bye?state=keep+me')
  })

  it('the same sign-in form 20 times at once makes one session, and the browser goes on', async () => {
    const browser = server.browser()
    const page = await openRequest(browser, web)
    const answers = await atOnce(() => postForm(browser, page, { ...alice }))
    expectNo5xx(answers)
    expect((await sessionRows()).filter(row => row.ended_at === null)).toHaveLength(1)
    // A browser waits for the last answer alone, whichever it is: each that has a cookie turned it, the last one counts.
    const ends = await Promise.all(
      answers
        .flatMap(answer => answer.headers['set-cookie'] ?? [])
        .map(async line => {
          const alone = server.browser()
          alone.cookies.set(...cookieIn(line))
          return (await alone.open(page.url)).body.includes('name="decision"')
        }),
    )
    expect(ends.filter(Boolean)).toHaveLength(1)
  })

  it('the same consent 20 times at once gives one code', async () => {
    const browser = server.browser()
    const page = await browser.submit(await openRequest(browser, web), { ...alice })
    const answers = await atOnce(() => postForm(browser, page, { decision: 'allow' }))
    expectNo5xx(answers)
    expect(answers.filter(answer => answer.location?.includes('code='))).toHaveLength(1)
    expect((await server.counts())['code']).toBe(1)
    expect((await server.counts())['authorization']).toBe(1)
  })

  it('the same choice of account 20 times at once is one choice', async () => {
    const bob = await makePerson(server, { username: 'bob' })
    const browser = await browserOf(server, web, alice, bob)
    const chooser = await openRequest(browser, web, { prompt: 'select_account' })
    const answers = await atOnce(() =>
      postForm(browser, chooser, { account: accountsOn(chooser).get('alice') ?? '' }),
    )
    expectNo5xx(answers)
    expect(answers.filter(answer => answer.headers['set-cookie'] !== undefined)).toHaveLength(1)
    expect((await silently(browser, web)).has('code')).toBe(true)
  })

  it('the same sign-out 20 times at once is one sign-out', async () => {
    const browser = await browserOf(server, web, alice)
    const question = await browser.send('/logout')
    const answers = await atOnce(() => postForm(browser, question, { decision: 'yes' }))
    expectNo5xx(answers)
    const ended = (await server.audit()).filter(row => row.event === 'session.ended')
    expect(ended).toHaveLength(1)
    await expectNobody(browser)
  })

  it('back to the sign-in page after signing in goes on; back after the answer names the app', async () => {
    const app = await server.createClient({
      client_id: 'app',
      client_name: 'Shop',
      client_uri: 'https://shop.test/',
      redirect_uris: ['https://shop.test/cb'],
    })
    const browser = server.browser()
    const page = await openRequest(browser, app)
    const consent = await browser.submit(page, { ...alice })
    expect((await browser.open(page.url)).url).toBe(consent.url)
    // The form of the page behind is sent once more.
    const again = await browser.submit(page, { ...alice })
    expect(again.url).toBe(consent.url)
    const back = await browser.submit(consent, { decision: 'allow' })
    expect(answerOf(back).has('code')).toBe(true)
    const counts = await server.counts()
    for (const url of [page.url, consent.url]) {
      const late = await browser.open(url)
      expect(late.status).toBe(400)
      expect(late.body).toContain('href="https://shop.test/"')
    }
    const resent = await browser.submit(consent, { decision: 'allow' })
    expect(resent.status).toBe(400)
    expect(await server.counts()).toEqual(counts)
  })

  it('a sign-in page that was left for half an hour names the app and links to where it starts again', async () => {
    const startAgain = await server.createClient({
      client_id: 'app1',
      client_name: 'Shop',
      client_uri: 'https://shop.test/',
      initiate_login_uri: 'https://shop.test/login',
    })
    const home = await server.createClient({
      client_id: 'app2',
      client_name: 'Notes',
      client_uri: 'https://notes.test/',
    })
    for (const [app, name, link] of [
      [startAgain, 'Shop', 'https://shop.test/login'],
      [home, 'Notes', 'https://notes.test/'],
    ] as const) {
      const browser = server.browser()
      const page = await openRequest(browser, app)
      server.sleep(29 * 60)
      expect((await browser.open(page.url)).status).toBe(200)
      server.sleep(62)
      const sent = await unchanged(server, () => postForm(browser, page, { ...alice }))
      for (const late of [await browser.open(page.url), sent]) {
        expect(late.status).toBe(400)
        expect(late.body).toContain('data-error="expired"')
        expect(late.body).toContain(name)
        expect(late.body).toContain(`href="${link}"`)
        expect(late.location).toBeUndefined()
      }
    }
  })

  it('a sign-in page that never was is a 400 page', async () => {
    const browser = await browserOf(server, web, alice)
    for (const id of ['01j0000000abcdefghjk', 'x', '%00', '%', '..%2f', 'a'.repeat(500), '%ff%fe'])
      for (const path of ['/sign-in/', '/accounts/', '/consent/', '/authorize/']) {
        const answer = await browser.send(path + id)
        expect([400, 404], path + id).toContain(answer.status)
      }
  })
})

describe('activity', () => {
  beforeEach(() => begin())

  it('is written at most once a minute, also for silent requests', async () => {
    const browser = await browserOf(server, web, alice)
    const seenAt = async (): Promise<number> => Number((await onlySession()).seen_at)
    const first = await seenAt()
    for (let round = 0; round < 5; round++) {
      server.sleep(10)
      await silently(browser, web)
    }
    expect(await seenAt()).toBe(first)
    server.sleep(11)
    await silently(browser, web)
    const second = await seenAt()
    expect(second).toBeGreaterThanOrEqual(first + 60)
    await Promise.all(Array.from({ length: 20 }, () => silently(browser, web)))
    expect(await seenAt()).toBe(second)
  })

  it('a refused request is none: it keeps no session alive', async () => {
    const browser = await browserOf(server, web, alice)
    const before = await onlySession()
    server.sleep(120)
    const refused = await browser.send(challengedUrl(web, { prompt: 'none', max_age: 'x' }))
    expect(refused.location).toContain('error=invalid_request')
    await browser.send('/authorize?client_id=nope')
    expect((await onlySession()).seen_at).toBe(before.seen_at)
  })
})

describe('"stay signed in"', () => {
  const lifeOf = (line: string | undefined): number | undefined => {
    const life = /; Max-Age=(\d+)/.exec(line ?? '')?.[1]
    return life === undefined ? undefined : Number(life)
  }
  const month = 30 * 86_400
  const offered = () => begin({ LINTEL_SESSIONS_REMEMBER_TTL: '30d' })
  const signIn = async (values: Record<string, string>, parameters: Record<string, string> = {}) => {
    const browser = server.browser()
    const page = await browser.submit(await openRequest(browser, web, parameters), { ...alice, ...values })
    if (page.status === 200) await browser.submit(page, { decision: 'allow' })
    return browser
  }

  it('is not there where the operator does not offer it, whatever is sent', async () => {
    await begin()
    expect((await openRequest(server.browser(), web)).body).not.toContain('name="remember"')
    const browser = await signIn({ remember: 'yes' })
    expect(browser.setCookies.map(lifeOf)).toEqual(browser.setCookies.map(() => undefined))
    server.sleep(hours(12) + 1)
    await expectNobody(browser)
  })

  it('keeps a session for 30 days without use, and its cookie as long; unticked it is 12 hours', async () => {
    await offered()
    expect((await openRequest(server.browser(), web)).body).toContain('name="remember"')
    const browser = await signIn({ remember: 'yes' })
    expect(lifeOf(browser.setCookies.at(-1))).toBe(month)
    const unticked = await signIn({})
    expect(lifeOf(unticked.setCookies.at(-1))).toBeUndefined()
    server.sleep(29 * 86_400)
    expect((await silently(browser, web)).has('code')).toBe(true)
    await expectNobody(unticked)
    server.sleep(86_400 + 1)
    await expectNobody(browser)
  })

  it('survives what else changes the cookie: another person, a choice, a sign-out of the other', async () => {
    await offered()
    const bob = await makePerson(server, { username: 'bob' })
    const browser = await signIn({ remember: 'yes' })
    server.sleep(86_400)
    await addPerson(browser, web, bob)
    const chooser = await openRequest(browser, web, { prompt: 'select_account' })
    await browser.submit(chooser, { account: accountsOn(chooser).get('bob') ?? '' })
    await browser.submit(await browser.send('/logout'), { decision: 'yes' })
    const lives = browser.setCookies.slice(-3).map(lifeOf)
    for (const life of lives) {
      expect(life).toBeLessThanOrEqual(month - 86_400)
      expect(life).toBeGreaterThan(month - 86_400 - 60)
    }
    const last = await openRequest(browser, web)
    await browser.submit(await browser.send(`/accounts/${last.url.slice(last.url.lastIndexOf('/') + 1)}`), {
      account: (await sessionRows())[0]?.id ?? '',
    })
    expect((await silently(browser, web)).has('code')).toBe(true)
    await browser.submit(await browser.send('/logout'), { decision: 'yes' })
    // Nobody is left who asked for it.
    expect(lifeOf(browser.setCookies.at(-1))).toBeUndefined()
  })

  it('can be ticked at a later sign-in, and an app that asks again takes nothing of it back', async () => {
    await offered()
    const browser = await signIn({})
    const ticked = await openRequest(browser, web, { prompt: 'login' })
    await browser.submit(ticked, { ...alice, remember: 'yes' })
    expect(lifeOf(browser.setCookies.at(-1))).toBe(month)
    server.sleep(86_400)
    expect((await silently(browser, web)).has('code')).toBe(true)
    await browser.submit(await openRequest(browser, web, { prompt: 'login' }), { ...alice })
    expect(lifeOf(browser.setCookies.at(-1))).toBeGreaterThan(month - 86_400 - 60)
    server.sleep(28 * 86_400)
    expect((await silently(browser, web)).has('code')).toBe(true)
  })
})

describe('prompt=login', () => {
  beforeEach(() => begin())

  it('somebody else who signs in there is nobody whom the first can be taken for', async () => {
    const web2 = await makeWeb2(server)
    const bob = await makePerson(server, { username: 'bob' })
    const browser = await browserOf(server, web, alice)
    const page = await openRequest(browser, web2, { prompt: 'login' })
    const consent = await browser.submit(page, { ...bob })
    expect(consent.body).toContain('<bdi>bob</bdi>')
    const back = await browser.submit(consent, { decision: 'allow' })
    expect(answerOf(back).has('code')).toBe(true)
    const rows = await server.services.store.search<{ username: string }>(knex =>
      knex('authorization')
        .join('user', 'user.id', 'authorization.user_id')
        .select('user.username')
        .where({ client_id: 'web2' }),
    )
    expect(rows).toEqual([{ username: 'bob' }])
  })
})
