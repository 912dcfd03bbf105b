import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sessionsOfUser } from '../../src/identity/session.ts'
import type { Browser } from '../support/browser.ts'
import { eventually, startServer, type TestServer } from '../support/server.ts'
import {
  headingOf,
  listeningApp,
  noticeTaker,
  openApp,
  openAs,
  outbox,
  type Person,
  revocable,
  userinfo,
} from './support.ts'

let server: TestServer
let alice: Person & { id: string }
let bob: Person & { id: string }
const world = noticeTaker()

beforeEach(async () => {
  world.taken.length = 0
  server = await startServer({ fetch: world.fetch })
  alice = await server.createUser()
  bob = await server.createUser({ username: 'bob', password: 'a very different secret' })
})
afterEach(() => server.stop())

const path = '/account/sessions'
const live = async (userId: string): Promise<string[]> =>
  (await sessionsOfUser(server.services.store, userId)).map(session => session.id)
const onlySession = async (userId: string): Promise<string> => {
  const [id, ...more] = await live(userId)
  if (id === undefined || more.length > 0) throw new Error('not one session')
  return id
}
const revoke = async (browser: Browser, id: string) =>
  browser.submit(await browser.open(path), { revoke: id })

describe('nothing happens', () => {
  it('to the session of somebody else', async () => {
    const mine = server.browser()
    await openAs(mine, alice)
    await openAs(server.browser(), bob)
    const before = await server.counts()
    const page = await revoke(mine, await onlySession(bob.id))
    expect(page.status).toBe(200)
    expect(page.body).not.toContain('notice good')
    expect(await live(bob.id)).toHaveLength(1)
    expect(await server.counts()).toEqual(before)
  })

  it.each([
    ['without a form token', (fields: URLSearchParams) => fields.delete('form_token'), {}],
    ['with the token of another page', (fields: URLSearchParams) => fields.set('form_token', 'other'), {}],
    ['from another site', () => undefined, { origin: 'https://evil.test' }],
  ])('%s (SEC-022)', async (_, change, headers) => {
    const mine = server.browser()
    await openAs(mine, alice)
    await openAs(server.browser(), alice)
    const page = await mine.open(path)
    const [token] = /name="form_token" value="([^"]*)"/.exec(page.body)?.slice(1) ?? []
    const fields = new URLSearchParams({ revoke_others: 'yes', form_token: token ?? '' })
    change(fields)
    const refused = await mine.send(path, {
      method: 'POST',
      body: fields.toString(),
      headers: { origin: new URL(server.issuer).origin, ...headers },
    })
    expect(refused.status).toBe(403)
    expect(await live(alice.id)).toHaveLength(2)
    expect((await server.audit()).filter(row => row.event === 'csrf.rejected')).toHaveLength(1)
  })

  it('with a form that was made before the last sign-in: the page is shown again', async () => {
    const mine = server.browser()
    await openAs(mine, alice)
    await openAs(server.browser(), alice)
    const page = await mine.open(path)
    await mine.submit(await mine.open('/account/password'), {
      current_password: alice.password,
      new_password: 'another long passphrase',
    })
    await openAs(server.browser(), { ...alice, password: 'another long passphrase' })
    const shown = await mine.submit(page, { revoke_others: 'yes' })
    expect(shown.url).toBe(server.issuer + path)
    expect(await live(alice.id)).toHaveLength(2)
  })

  it('when it has ended already', async () => {
    const mine = server.browser()
    await openAs(mine, alice)
    const other = server.browser()
    await openAs(other, alice)
    const page = await mine.open(path)
    const [, second = ''] = revocable(page)
    await mine.submit(page, { revoke: second })
    const again = await mine.submit(page, { revoke: second })
    expect(again.status).toBe(200)
    expect((await server.audit()).filter(row => row.event === 'session.revoked')).toHaveLength(1)
  })
})

describe('the page', () => {
  it('shows one’s own sessions at all browsers, this one first, and nobody else’s', async () => {
    const app = await listeningApp(server, 'Atlas')
    const phone = server.browser()
    await openAs(phone, alice)
    server.sleep(5)
    const mine = server.browser()
    await openAs(mine, alice)
    const { sid } = await openApp(server, mine, app, alice)
    await openAs(server.browser(), bob)
    const page = await mine.open(path)
    const ids = revocable(page)
    expect(ids).toHaveLength(2)
    expect(ids[0]).toBe(sid)
    expect(new Set(ids)).toEqual(new Set(await live(alice.id)))
    expect(page.body.match(/This browser/g)).toHaveLength(1)
    expect(page.body).toContain('<bdi>Atlas</bdi>')
    expect(page.body).toContain('<bdi>127.0.0.1</bdi>')
    expect(page.body).not.toMatch(/\bbob\b/)
  })

  it('shows the device in words', async () => {
    const mine = server.browser()
    const asked = await mine.open(path)
    const page = await mine.submit(
      asked,
      { username: alice.username, password: alice.password },
      { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' },
    )
    expect(page.body).toContain('<bdi>Firefox on Linux</bdi>')
  })

  it('does not show what has ended by itself', async () => {
    await openAs(server.browser(), alice)
    server.sleep(3601)
    const page = await openAs(server.browser(), alice, path)
    expect(revocable(page)).toHaveLength(1)
    expect(page.body).toContain('You’re not signed in anywhere else.')
  })
})

describe('signing out elsewhere', () => {
  it('a revoked session’s cookie is nobody’s at once, its tokens are refused, and the app is told', async () => {
    const app = await listeningApp(server, 'Atlas')
    const other = server.browser()
    await openAs(other, alice)
    const { sid, accessToken } = await openApp(server, other, app, alice)
    expect((await userinfo(server, accessToken)).status).toBe(200)
    const mine = server.browser()
    await openAs(mine, alice)
    const page = await revoke(mine, sid)
    expect(page.body).toContain('Signed out there.')
    expect(revocable(page)).not.toContain(sid)

    expect(headingOf(await other.open('/account'))).toBe('Sign in')
    expect((await userinfo(server, accessToken)).status).toBe(401)
    await eventually(() => world.taken.length === 1, 'the app is told')
    expect(world.taken[0]?.url).toBe('https://atlas.test/backchannel')
    const rows = await server.audit()
    expect(rows.filter(row => row.event === 'session.revoked')).toMatchObject([
      { user_id: alice.id, reason: 'revoked', ip: '127.0.0.1', detail: JSON.stringify({ session: sid }) },
    ])
  })

  it('everywhere ends all but this one', async () => {
    const app = await listeningApp(server, 'Atlas')
    const others = [server.browser(), server.browser()]
    for (const other of others) {
      await openAs(other, alice)
      await openApp(server, other, app, alice)
    }
    await openAs(server.browser(), bob)
    const mine = server.browser()
    await openAs(mine, alice)
    const { accessToken } = await openApp(server, mine, app, alice)
    const page = await mine.submit(await mine.open(path), { revoke_others: 'yes' })
    expect(page.body).toContain('You’re signed out everywhere else.')
    expect(revocable(page)).toHaveLength(1)
    for (const other of others) expect(headingOf(await other.open('/account'))).toBe('Sign in')
    expect((await userinfo(server, accessToken)).status).toBe(200)
    expect(await live(bob.id)).toHaveLength(1)
    expect(await outbox(server)).toHaveLength(2)
    expect((await server.audit()).filter(row => row.event === 'session.revoked')).toHaveLength(2)
  })

  it('three browsers at once that end each other leave nothing half done', async () => {
    const browsers = [server.browser(), server.browser(), server.browser()]
    for (const browser of browsers) await openAs(browser, alice)
    const pages = await Promise.all(browsers.map(browser => browser.open(path)))
    const ends = await Promise.all(
      browsers.map(async (browser, index) => {
        const page = pages[index]
        if (!page) throw new Error('unreachable')
        return (await browser.submit(page, { revoke_others: 'yes' })).status
      }),
    )
    expect(ends).toEqual([200, 200, 200])
    expect((await live(alice.id)).length).toBeLessThanOrEqual(1)
    const revoked = (await server.audit()).filter(row => row.event === 'session.revoked')
    expect(new Set(revoked.map(row => row.detail)).size, 'each is told once').toBe(revoked.length)
  })
})

it('one’s own session can be ended too: the browser gets a new secret, and is nobody’s', async () => {
  const mine = server.browser()
  await openAs(mine, alice)
  const before = [...mine.cookies.values()][0]
  const page = await revoke(mine, await onlySession(alice.id))
  expect(page.url).toBe(`${server.issuer}/`)
  expect([...mine.cookies.values()][0]).not.toBe(before)
  expect(await live(alice.id)).toEqual([])
  expect(headingOf(await mine.open('/account'))).toBe('Sign in')
  expect((await server.audit()).filter(row => row.event === 'session.ended')).toMatchObject([
    { reason: 'signed_out' },
  ])
})
