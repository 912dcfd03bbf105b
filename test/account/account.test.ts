import { afterEach, beforeEach, expect, it } from 'vitest'
import { startServer, type TestServer } from '../support/server.ts'
import { headingOf, listeningApp, openApp, openAs } from './support.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

it('the overview says who one is, and counts what is one’s own', async () => {
  const alice = await server.createUser({
    name: 'Alice Liddell',
    email: 'alice@corp.test',
    emailVerified: true,
  })
  const bob = await server.createUser({ username: 'bob', password: 'a very different secret' })
  const [atlas, notes] = [await listeningApp(server, 'Atlas'), await listeningApp(server, 'Notes')]
  await openApp(server, server.browser(), atlas, bob)
  const mine = server.browser()
  await openApp(server, mine, atlas, alice)
  await openApp(server, mine, notes, alice)
  await openAs(server.browser(), alice)
  const page = await mine.open('/account')
  expect(headingOf(page)).toBe('Alice Liddell')
  expect(page.body).toContain('<bdi>alice</bdi>')
  expect(page.body).toContain('<bdi>alice@corp.test</bdi>')
  expect(page.body).toContain('Verified')
  expect(page.body).toContain('<span class="number">2</span> browsers are signed in')
  expect(page.body).toContain('<span class="number">2</span> apps may use your account')
  for (const path of ['sessions', 'apps', 'password']) expect(page.body).toContain(`href="/account/${path}"`)
})

it('signing out is one step away, and asks', async () => {
  const alice = await server.createUser()
  const browser = server.browser()
  const page = await openAs(browser, alice)
  expect(page.body).toContain('<a href="/logout">Sign out</a>')
  const asked = await browser.open('/logout')
  await browser.submit(asked, { decision: 'yes' })
  expect(headingOf(await browser.open('/account'))).toBe('Sign in')
})

it('the front page leads there', async () => {
  const page = await server.browser().open('/')
  expect(page.body).toContain('href="/account"')
})

it('opening it is activity: the session does not end by idleness (architecture section 2)', async () => {
  const alice = await server.createUser()
  const browser = server.browser()
  await openAs(browser, alice)
  for (let visits = 0; visits < 3; visits++) {
    server.sleep(1800)
    expect((await browser.open('/')).body).toContain('Hello, ')
  }
  expect(headingOf(await browser.open('/account'))).toBe('alice')
})

it('leads administrators to their rooms, and nobody else', async () => {
  const [alice, grace] = [
    await server.createUser(),
    await server.createUser({ username: 'grace', role: 'admin' }),
  ]
  for (const [person, leads] of [
    [alice, false],
    [grace, true],
  ] as const) {
    const browser = server.browser()
    await openAs(browser, person)
    for (const path of ['/', '/account'])
      expect((await browser.open(path)).body.includes('href="/admin"'), person.username + path).toBe(leads)
  }
})

it('an issuer with a path has it all under its path, and the well-known address at the root too', async () => {
  await server.stop()
  server = await startServer({ issuer: 'http://localhost:4999/id' })
  const alice = await server.createUser()
  const browser = server.browser()
  const page = await openAs(browser, alice, `${server.issuer}/account/sessions`)
  expect(page.url).toBe('http://localhost:4999/id/account/sessions')
  expect(page.body).toContain('action="/id/account/sessions"')
  expect(page.body).toContain('href="/id/account/apps"')
  for (const path of ['/.well-known/change-password', '/id/.well-known/change-password'])
    expect((await browser.send(`http://localhost:4999${path}`)).location).toBe('/id/account/password')
})

it.each([
  '<img src=x onerror=alert(1)>',
  '</script><script>alert(1)</script>',
  '<%= process.env.HOME %>',
  '{{7*7}}',
])('the name of an app is text: %s (SEC-105)', async name => {
  const alice = await server.createUser()
  const app = await server.createClient({ client_name: name, grant_types: ['authorization_code'] })
  const mine = server.browser()
  await openApp(server, mine, app, alice)
  for (const path of ['/account/sessions', '/account/apps']) {
    const { body } = await mine.open(path)
    expect(body).toContain(`<bdi>${name.replaceAll('<', '&lt;').replaceAll('>', '&gt;')}</bdi>`)
    expect(body).not.toMatch(/<img src=x|<script>/)
  }
})
