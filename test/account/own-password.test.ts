import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findLink, newLink } from '../../src/identity/one-time-link.ts'
import { sessionsOfUser } from '../../src/identity/session.ts'
import type { Answer, Browser } from '../support/browser.ts'
import { basic, getCode, post, redeem } from '../support/flow.ts'
import { eventually, startServer, type TestServer } from '../support/server.ts'
import { headingOf, listeningApp, noticeTaker, openApp, openAs, type Person, userinfo } from './support.ts'

let server: TestServer
let alice: Person & { id: string }
const world = noticeTaker()
const wanted = 'another long passphrase'

beforeEach(async () => {
  world.taken.length = 0
  server = await startServer({ fetch: world.fetch })
  alice = await server.createUser({ name: 'Alice Liddell', email: 'rabbit@hole.test' })
})
afterEach(() => server.stop())

const path = '/account/password'
const change = async (browser: Browser, current: string, next: string): Promise<Answer> => {
  const page = await browser.open(path)
  return browser.submit(page, { current_password: current, new_password: next })
}
const canSignIn = async (password: string): Promise<boolean> =>
  headingOf(await openAs(server.browser(), { ...alice, password })) === 'Alice Liddell'
const events = async (event: string) => (await server.audit()).filter(row => row.event === event)

describe('nothing is changed', () => {
  it('with a wrong current password', async () => {
    const browser = server.browser()
    await openAs(browser, alice)
    const refused = await change(browser, 'not it', wanted)
    expect(refused.status).toBe(422)
    expect(refused.body).toContain('data-error="invalid_credentials"')
    expect(refused.body).toContain('<title>Error: ')
    expect(refused.body).not.toContain('not it')
    expect(refused.body).not.toContain(wanted)
    expect(await canSignIn(wanted)).toBe(false)
    expect(await canSignIn(alice.password)).toBe(true)
    expect(await events('password.changed')).toEqual([])
  })

  it('by guessing: it is throttled as a sign-in, and counts as one (SEC-075)', async () => {
    const browser = server.browser()
    await openAs(browser, alice)
    const statuses: number[] = []
    // From the fifth on it must be waited for, each time longer; the tenth locks for a quarter of an hour.
    for (let failures = 0; failures < 10; ) {
      const refused = await change(browser, `guess ${failures}`, wanted)
      statuses.push(refused.status)
      if (refused.status === 422) failures += 1
      else server.sleep(Number(refused.headers['retry-after']))
    }
    expect(statuses.slice(0, 5)).toEqual([422, 422, 422, 422, 422])
    expect(statuses).toContain(429)
    const locked = await change(browser, alice.password, wanted)
    expect(locked.status).toBe(429)
    expect(locked.body).toContain('data-error="too_many_attempts"')
    expect(Number(locked.headers['retry-after'])).toBeGreaterThan(600)
    expect(await events('login.failed')).toHaveLength(10)
    expect(await events('password.changed')).toEqual([])
  })

  it.each([
    ['short', 'Use at least 8 characters.'],
    ['password123', 'Too many people use this password.'],
    ['alice1234', 'This is little more than your name or address.'],
    ['', 'This can’t be left empty.'],
    ['x'.repeat(257), 'This is too long.'],
  ])('when the new one is %j (SEC-082)', async (weak, reason) => {
    const browser = server.browser()
    await openAs(browser, alice)
    const refused = await change(browser, alice.password, weak)
    expect(refused.status).toBe(422)
    expect(refused.body).toContain(reason)
    expect(refused.body).toContain('<a href="#new_password">')
    expect(await canSignIn(alice.password)).toBe(true)
  })

  it('when it is the one there is, or the current one is left out', async () => {
    const browser = server.browser()
    await openAs(browser, alice)
    expect((await change(browser, alice.password, alice.password)).status).toBe(422)
    const missing = await change(browser, '', wanted)
    expect(missing.status).toBe(422)
    expect(missing.body).toContain('<a href="#current_password">')
  })

  it('when an administrator wants fewer than 15 characters', async () => {
    const root = await server.createUser({ username: 'root', role: 'admin' })
    const browser = server.browser()
    await openAs(browser, root)
    const refused = await change(browser, root.password, 'fourteen chars')
    expect(refused.status).toBe(422)
    expect(refused.body).toContain('Use at least 15 characters.')
  })

  it.each([
    ['from another site', { origin: 'https://evil.test' }],
    ['by a form that a page of another site sent', { origin: 'null', 'sec-fetch-site': 'cross-site' }],
  ])('%s (SEC-022)', async (_, headers) => {
    const browser = server.browser()
    await openAs(browser, alice)
    const page = await browser.open(path)
    const fields = { current_password: alice.password, new_password: wanted }
    expect((await browser.submit(page, fields, headers)).status).toBe(403)
    expect(await canSignIn(alice.password)).toBe(true)
  })

  it('with the form of another page', async () => {
    const browser = server.browser()
    const other = await openAs(browser, alice, '/account/sessions')
    const [token = ''] = /name="form_token" value="([^"]*)"/.exec(other.body)?.slice(1) ?? []
    const body = new URLSearchParams({
      current_password: alice.password,
      new_password: wanted,
      form_token: token,
    })
    const answer = await browser.follow(await browser.send(path, { method: 'POST', body: body.toString() }))
    expect(answer.status, 'the page, fresh').toBe(200)
    expect(await canSignIn(alice.password)).toBe(true)
  })
})

describe('a new password', () => {
  it('ends the other sessions and all refresh tokens; this session stays (SEC-034)', async () => {
    const app = await listeningApp(server, 'Atlas')
    const scope = 'openid offline_access'
    const mine = server.browser()
    await openAs(mine, alice)
    const here = await openApp(server, mine, app, alice, scope)
    const others = [server.browser(), server.browser()]
    const there = []
    for (const other of others) there.push(await openApp(server, other, app, alice, scope))
    const cookie = [...mine.cookies.values()][0]

    const done = await change(mine, alice.password, wanted)
    expect(done.status).toBe(200)
    expect(headingOf(done)).toBe('Alice Liddell')
    expect(done.body).toContain('Your password is changed.')
    expect([...mine.cookies.values()][0], 'a new secret').not.toBe(cookie)
    expect(headingOf(await mine.open('/account'))).toBe('Alice Liddell')
    for (const other of others) expect(headingOf(await other.open('/account'))).toBe('Sign in')

    for (const { accessToken, refreshToken } of [here, ...there]) {
      expect((await userinfo(server, accessToken)).status).toBe(401)
      expect(
        await post(
          server,
          '/token',
          { grant_type: 'refresh_token', refresh_token: refreshToken },
          basic(app),
        ),
      ).toMatchObject({ status: 400, json: { error: 'invalid_grant' } })
    }
    expect((await sessionsOfUser(server.services.store, alice.id)).map(session => session.id)).toEqual([
      here.sid,
    ])
    expect(new Set((await events('session.revoked')).map(row => row.detail))).toEqual(
      new Set(there.map(({ sid }) => JSON.stringify({ session: sid }))),
    )
    expect(await events('session.revoked')).toMatchObject([
      { user_id: alice.id, reason: 'password_changed' },
      { user_id: alice.id, reason: 'password_changed' },
    ])
    expect(await events('password.changed')).toMatchObject([{ user_id: alice.id, ip: '127.0.0.1' }])
    await eventually(() => world.taken.length === 2, 'the app is told of both')

    expect(await canSignIn(alice.password)).toBe(false)
    expect(await canSignIn(wanted)).toBe(true)
  })

  it('lets the apps of this browser in again without a page', async () => {
    const app = await listeningApp(server, 'Atlas')
    const mine = server.browser()
    await openApp(server, mine, app, alice)
    await change(mine, alice.password, wanted)
    const tokens = await redeem(server, app, await getCode(mine, app, alice, { prompt: 'none' }))
    expect((await userinfo(server, String(tokens.json['access_token']))).status).toBe(200)
  })

  it('makes codes and links worth nothing that were there before', async () => {
    const { store, now } = server.services
    const app = await listeningApp(server, 'Atlas')
    const mine = server.browser()
    const code = await getCode(mine, app, alice)
    const link = newLink('set-password', { userId: alice.id, ttl: 1800, now: now() })
    await store.commit(link.writes)
    await change(mine, alice.password, wanted)
    expect(await redeem(server, app, code)).toMatchObject({ status: 400, json: { error: 'invalid_grant' } })
    expect(await findLink(store, 'set-password', link.token, now())).toBeUndefined()
  })

  it('is stored once though the form is sent twice at once, and the cookie that came works', async () => {
    const mine = server.browser()
    const page = await openAs(mine, alice, path)
    const fields = { current_password: alice.password, new_password: wanted }
    const answers = await Promise.all([mine.submit(page, fields), mine.submit(page, fields)])
    for (const answer of answers) expect(answer.status).toBeLessThan(500)
    expect(await events('password.changed')).toHaveLength(1)
    expect(headingOf(await mine.open('/account'))).toBe('Alice Liddell')
    expect(await canSignIn(wanted)).toBe(true)
  })

  it('does not take back "stay signed in": the cookie lives on', async () => {
    await server.stop()
    server = await startServer({ settings: { LINTEL_SESSIONS_REMEMBER_TTL: '30d' } })
    alice = await server.createUser()
    const mine = server.browser()
    const asked = await mine.open(path)
    await mine.submit(asked, { username: 'alice', password: alice.password, remember: 'yes' })
    expect(mine.setCookies.at(-1)).toContain('; Max-Age=2592000')
    server.sleep(86_400)
    await change(mine, alice.password, wanted)
    const maxAge = Number(/Max-Age=(\d+)/.exec(mine.setCookies.at(-1) ?? '')?.[1])
    expect(maxAge).toBeGreaterThan(2_505_000)
    expect(maxAge).toBeLessThanOrEqual(2_505_600)
  })
})
