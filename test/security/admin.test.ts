/** The rooms of administration, from outside: who gets in, how fresh they must be, what is never shown. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formToken } from '../../src/http/csrf.ts'
import { headingOf, openAs } from '../account/support.ts'
import type { Answer, Browser } from '../support/browser.ts'
import { getCode, redeem } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { expectAudited, unchanged } from './outcomes.ts'
import { methodsOf, routeTable } from './route-table.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

/** An administrator at a browser of theirs. */
const administrator = async (): Promise<Browser> => {
  const grace = await server.createUser({ username: 'grace', role: 'admin' })
  const browser = server.browser()
  expect(headingOf(await openAs(browser, grace, '/admin'))).toBe('Overview')
  return browser
}

/** Who has a browser can work out the token of any of its forms. */
const tokenOf = (browser: Browser, path: string): string => {
  const [cookie = ''] = [...browser.cookies.values()]
  const secret = cookie.slice(-52)
  const id = cookie.slice(0, -52).slice(-20)
  return formToken({ id, secret }, path)
}

const send = (browser: Browser, path: string, fields: Record<string, string> = {}): Promise<Answer> =>
  browser.send(path, {
    method: 'POST',
    body: String(new URLSearchParams({ ...fields, form_token: tokenOf(browser, path) })),
    headers: { origin: server.issuer },
  })

const rooms = () => routeTable(server).filter(({ path }) => /^\/admin(\/|$)/.test(path))

describe('who is no administrator', () => {
  it('SEC-099 gets into no room by any method: nobody, alice, an access token, an ID token', async () => {
    const web = await server.createClient({ first_party: true })
    const alice = await server.createUser()
    const mine = server.browser()
    const tokens = await redeem(server, web, await getCode(mine, web, alice))
    const seen = rooms().flatMap(route =>
      methodsOf(route).map(method => ({ method, address: route.address })),
    )
    expect(seen.length).toBeGreaterThan(25)
    for (const { method, address } of seen) {
      const what = `${method} ${address}`
      const headers = { origin: server.issuer }
      const bearers = [undefined, tokens.json['access_token'], tokens.json['id_token']]
      // Each way to sign-in counts: HEAD, which answers as GET does, would be too many.
      for (const bearer of method === 'HEAD' ? [] : bearers) {
        const stranger = await server.browser().send(address, {
          method,
          ...(method === 'POST' ? { body: 'decision=yes' } : {}),
          headers: bearer === undefined ? headers : { ...headers, authorization: `Bearer ${String(bearer)}` },
        })
        expect([303, 403], what).toContain(stranger.status)
        if (stranger.status === 303) expect(stranger.location, what).toMatch(/^\/sign-in\//)
        expect(stranger.body, what).not.toContain('class="rooms"')
      }
      const answer = method === 'POST' ? await send(mine, address) : await mine.send(address, { method })
      expect(answer.status, what).toBe(403)
      expect(answer.body, what).not.toContain('class="rooms"')
      await expectAudited(server, answer, 'admin.denied', { reason: 'no_administrator', what })
    }
  })

  it('SEC-099 an administrator who loses the role, or is disabled, is out at once', async () => {
    const browser = await administrator()
    const { store } = server.services
    const [row] = await store.search<{ id: string }>(knex => knex('user').select('id'))
    await server.createUser({ username: 'ada', role: 'admin' })
    const own = `/admin/users/${row?.id}`
    expect((await send(browser, `${own}/edit`, { username: 'grace' })).location).toBe(`${own}?done=saved`)
    expect((await browser.send('/admin')).status).toBe(403)
  })
})

describe('a sign-in that is not fresh', () => {
  it('SEC-104 what changes keys, secrets, users or apps wants one of the last five minutes', async () => {
    const browser = await administrator()
    const web = await server.createClient()
    const bob = await server.createUser({ username: 'bob' })
    server.sleep(301)
    for (const [path, fields] of [
      [`/admin/apps/${web.id}`, { action: 'rotate_secret' }],
      [`/admin/apps/${web.id}/delete`, {}],
      [`/admin/apps/${web.id}/edit`, { client_name: 'Mine' }],
      ['/admin/new/app', { kind: 'machine', client_name: 'Mine' }],
      [`/admin/users/${bob.id}`, { action: 'disable' }],
      [`/admin/users/${bob.id}`, { action: 'password_link' }],
      [`/admin/users/${bob.id}/delete`, {}],
      [`/admin/users/${bob.id}/edit`, { username: 'bob', admin: 'yes' }],
      ['/admin/new/user', { username: 'eve', admin: 'yes' }],
      ['/admin/keys', { rotate: 'now' }],
    ] as [string, Record<string, string>][]) {
      const before = await server.audit()
      const answer = await send(browser, path, fields)
      expect(answer.status, path).toBe(303)
      expect(answer.location, path).toMatch(/^\/sign-in\//)
      expect(await server.audit(), path).toHaveLength(before.length)
    }
    expect((await browser.send('/admin')).status, 'looking is allowed').toBe(200)
    expect(headingOf(await browser.open('/admin/new/user'))).toBe('Confirm it’s you')
  })

  it('SEC-104 after 15 minutes away, or four hours, nothing is shown', async () => {
    const browser = await administrator()
    server.sleep(901)
    expect((await browser.send('/admin')).location).toMatch(/^\/sign-in\//)
    const again = await openAs(
      browser,
      { username: 'grace', password: 'correct horse battery staple' },
      '/admin',
    )
    expect(headingOf(again)).toBe('Overview')
    for (let minutes = 0; minutes < 238; minutes += 14) {
      server.sleep(840)
      await browser.send('/admin')
    }
    server.sleep(600)
    expect((await browser.send('/admin')).location).toMatch(/^\/sign-in\//)
  })
})

describe('what is never shown', () => {
  it('SEC-102 no secret, hash, private key, cookie or token is in any room', async () => {
    const browser = await administrator()
    const web = await server.createClient({ client_id: 'web' })
    const { store } = server.services
    const all = async (table: string, column: string): Promise<string[]> =>
      (await store.search<Record<string, string>>(knex => knex(table).select(column))).map(
        row => row[column] ?? '',
      )
    const secrets = [
      String(web.secret),
      ...browser.cookies.values(),
      ...(await all('client_secret', 'hash')),
      ...(await all('password', 'hash')),
      ...(await all('browser', 'secret_hash')),
      ...(await all('signing_key', 'private_box')),
    ].filter(secret => secret.length > 10)
    expect(secrets.length).toBeGreaterThan(5)
    const [grace = ''] = await all('user', 'id')
    const [kid = ''] = await all('signing_key', 'kid')
    for (const { path, handlers } of rooms()) {
      if (!handlers.GET) continue
      const id = path.includes('/users/') ? grace : path.includes('/keys/') ? kid : 'web'
      const answer = await browser.send(path.replace(/:\w+/, id))
      expect(answer.status, path).toBe(200)
      expect(answer.headers['cache-control'], path).toBe('no-store')
      for (const secret of secrets) expect(answer.body, path).not.toContain(secret)
    }
  })

  it('SEC-105 names of apps and people are text in every room', async () => {
    const browser = await administrator()
    const name = '<img src=x onerror=alert(1)>{{7*7}}'
    await server.createClient({ client_id: 'web', client_name: name })
    const bob = await server.createUser({ username: 'bob', name })
    await browser.send('/authorize?client_id=web&response_type=code&redirect_uri=https://evil.test/')
    for (const path of [
      '',
      '/apps',
      '/apps/web',
      '/apps/web/edit',
      '/apps/web/delete',
      '/refusals',
      '/users',
      `/users/${bob.id}`,
    ]) {
      const { body } = await browser.send(`/admin${path}`)
      expect(body, path).toContain('&lt;img src=x')
      expect(body, path).not.toMatch(/<img|>49/)
    }
  })
})

it('SEC-103 searches and cursors are text: no SQL, no wildcard, no limit but ours', async () => {
  const browser = await administrator()
  await server.createUser({ username: 'alice' })
  await server.createClient({ client_id: 'a_b', client_name: 'A%B' })
  await server.createClient({ client_id: 'axb', client_name: 'AxB' })
  const found = async (path: string): Promise<string[]> => {
    const answer = await browser.send(path)
    expect(answer.status, path).toBe(200)
    return [...answer.body.matchAll(/<th scope="row"[^>]*><a[^>]*><bdi>([^<]*)/g)].map(
      ([, name = '']) => name,
    )
  }
  expect(await found('/admin/users?q=alic_')).toEqual([])
  expect(await found('/admin/users?q=%25')).toEqual([])
  expect(await found('/admin/users?q=ALIC')).toEqual(['alice'])
  expect(await found('/admin/apps?q=a_b')).toEqual(['A%B'])
  expect(await found('/admin/apps?q=%25')).toEqual(['A%B'])
  const odd = [
    "' or 1=1 --",
    'name;drop table "user"',
    '\u0000',
    '\ud800',
    '$gt',
    'x'.repeat(5000),
    '-1',
    '1e9',
  ]
  await unchanged(server, async () => {
    for (const text of odd)
      for (const path of ['users', 'apps', 'sessions', 'refusals', 'outbox'])
        for (const name of [
          'q',
          'after',
          'before',
          'state',
          'sort',
          'order[$gt]',
          'filter',
          'limit',
          'done',
          'lang',
        ]) {
          const answer = await browser.send(`/admin/${path}?${new URLSearchParams({ [name]: text })}`)
          expect([200, 400], `${path} ${name} ${text.slice(0, 20)}`).toContain(answer.status)
          expect(answer.body).not.toMatch(/syntax error|sqlite|sqlstate|postgres/i)
        }
  })
  expect(await found('/admin/users?after=zzzz')).toEqual([])
})
