import { createServer } from 'node:http'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { requireSession, type SessionRule } from '../../src/account/require-session.ts'
import { makeApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import type { Route } from '../../src/http/route.ts'
import { signInRoute } from '../../src/identity/sign-in-page.ts'
import { Browser } from '../support/browser.ts'
import { freePort, startServer, type TestServer } from '../support/server.ts'
import { headingOf, openAs } from './support.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const pages = ['/account', '/account/sessions', '/account/apps', '/account/password']

describe('somebody who is not signed in', () => {
  it.each(pages)('is asked at %s, and comes back to it', async path => {
    const alice = await server.createUser()
    const browser = server.browser()
    const asked = await browser.open(`${path}?done=nothing`)
    expect(new URL(asked.url).pathname).toMatch(/^\/sign-in\//)
    expect(asked.body).not.toContain('alice')
    const page = await browser.submit(asked, { username: 'alice', password: alice.password })
    expect(page.status).toBe(200)
    expect(page.url).toBe(`${server.issuer}${path}?done=nothing`)
    expect(page.body).toContain('alice')
  })

  it.each(pages)('may be told apart by nothing: %s is for no other window and no cache', async path => {
    const alice = await server.createUser()
    const page = await openAs(server.browser(), alice, path)
    expect(page.headers['cross-origin-opener-policy']).toBe('same-origin')
    expect(page.headers['cache-control']).toBe('no-store')
    expect(page.headers['content-security-policy']).toContain("form-action 'self'")
  })

  it('gets a browser of their own once, and keeps it', async () => {
    const browser = server.browser()
    await browser.open('/account')
    expect(browser.setCookies).toHaveLength(1)
    await browser.open('/account/apps')
    expect(browser.setCookies).toHaveLength(1)
  })

  it('is whoever the session has ended for: by age, by idleness, by an administrator', async () => {
    const alice = await server.createUser()
    const browser = server.browser()
    await openAs(browser, alice)
    server.sleep(3601)
    const idle = await browser.open('/account')
    expect(headingOf(idle)).toBe('Sign in')
    const back = await browser.submit(idle, { username: 'alice', password: alice.password })
    expect(headingOf(back)).toBe('alice')
  })

  it('a form sent after the session ended changes nothing; the page comes back fresh', async () => {
    const alice = await server.createUser()
    const browser = server.browser()
    const page = await openAs(browser, alice, '/account/password')
    server.sleep(3601)
    const asked = await browser.submit(page, {
      current_password: alice.password,
      new_password: 'another long passphrase',
    })
    expect(headingOf(asked)).toBe('Sign in')
    const back = await browser.submit(asked, { username: 'alice', password: alice.password })
    expect(back.url).toBe(`${server.issuer}/account/password`)
    expect(back.status).toBe(200)
  })

  it('from one address can leave only so many sign-ins lying about', async () => {
    const statuses = new Set<number>()
    for (let tries = 0; tries < 101; tries++) statuses.add((await server.browser().send('/account')).status)
    expect([...statuses]).toEqual([303, 429])
    expect((await server.counts())['sign_in']).toBe(100)
    server.sleep(301)
    expect((await server.browser().send('/account')).status).toBe(303)
  })
})

it('activity on a page keeps the session alive', async () => {
  const alice = await server.createUser()
  const browser = server.browser()
  await openAs(browser, alice)
  for (let hours = 0; hours < 3; hours++) {
    server.sleep(3000)
    expect(headingOf(await browser.open('/account'))).toBe('alice')
  }
})

it('/.well-known/change-password leads to the page', async () => {
  const answer = await server.browser().send('/.well-known/change-password')
  expect(answer.status).toBe(303)
  expect(answer.location).toBe('/account/password')
})

describe('a page that wants more of a session', () => {
  /** The same services behind an application with one more page. */
  const openVault = async (rule: SessionRule): Promise<Browser> => {
    const { services } = server
    const config = readConfig({ LINTEL_ISSUER: server.issuer })
    const vault: Route = {
      path: '/vault',
      kind: 'page',
      handlers: {
        GET: async ctx => {
          const { user } = await requireSession(services, ctx, '', rule)
          ctx.body = `<h1>${user.username}</h1>`
        },
      },
    }
    const routes = [vault, signInRoute(services, config.sessions, '')]
    const app = makeApp(services, config, routes, { draining: false, warnings: new Set(), publicAddress: [] })
    const port = await freePort()
    const listening = createServer(app.callback())
    await new Promise<void>(resolve => listening.listen(port, '127.0.0.1', resolve))
    onTestFinished(
      () =>
        new Promise(resolve => {
          listening.close(() => resolve())
          listening.closeAllConnections()
        }),
    )
    return new Browser(server.issuer, `http://127.0.0.1:${port}`)
  }

  it('asks the same person again when the sign-in is older', async () => {
    const alice = await server.createUser()
    const browser = await openVault({ signedInWithin: 300 })
    expect(headingOf(await openAs(browser, alice, '/vault'))).toBe('alice')
    server.sleep(290)
    expect(headingOf(await browser.open('/vault'))).toBe('alice')
    server.sleep(20)
    const asked = await browser.open('/vault')
    expect(headingOf(asked)).toBe('Confirm it’s you')
    expect(asked.body).toContain('value="alice"')
    expect(headingOf(await browser.open('/vault')), 'only asking helps').toBe('Confirm it’s you')
    const passed = await browser.submit(asked, { username: 'alice', password: alice.password })
    expect(headingOf(passed)).toBe('alice')
  })

  it('never takes the sign-in of somebody else for it', async () => {
    const alice = await server.createUser()
    const bob = await server.createUser({ username: 'bob', password: 'a very different secret' })
    const browser = await openVault({ signedInWithin: 300 })
    await openAs(browser, alice, '/vault')
    server.sleep(400)
    const asked = await browser.open('/vault')
    const passed = await browser.submit(asked, { username: 'bob', password: bob.password })
    expect(headingOf(passed), 'the page is about who has signed in').toBe('bob')
  })

  it('a wrong password does not pass', async () => {
    const alice = await server.createUser()
    const browser = await openVault({ signedInWithin: 300 })
    await openAs(browser, alice, '/vault')
    server.sleep(400)
    const refused = await browser.submit(await browser.open('/vault'), { username: 'alice', password: 'no' })
    expect(refused.status).toBe(422)
    expect(headingOf(await browser.open('/vault'))).toBe('Confirm it’s you')
  })

  it('asks who was away for longer than it allows', async () => {
    const alice = await server.createUser()
    const browser = await openVault({ idleTtl: 900, signedInWithin: 14_400 })
    await openAs(browser, alice, '/vault')
    for (let times = 0; times < 3; times++) {
      server.sleep(800)
      expect(headingOf(await browser.open('/vault'))).toBe('alice')
    }
    server.sleep(901)
    expect(headingOf(await browser.open('/vault'))).toBe('Confirm it’s you')
  })
})
