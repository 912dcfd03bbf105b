import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Answer, Browser } from '../support/browser.ts'
import { authorizeUrl, getCode, pkcePair, redeem } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { makeNative, makeWeb, makeWeb2 } from './fixtures.ts'
import { unchanged } from './outcomes.ts'
import { rawHeader, rawRequest, sendRaw } from './raw-bytes.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const targets = [
  '//evil.test',
  '/\\evil.test',
  '/%09/evil.test',
  '/\t/evil.test',
  'https:evil.test',
  'https://evil.test',
  'https://op.test@evil.test',
  '\\\\evil.test',
  'javascript:alert(1)',
  '/authorize/../../evil.test',
]
const names = [
  'return_to',
  'returnTo',
  'return_url',
  'next',
  'redirect',
  'redirect_uri',
  'url',
  'continue',
  'rd',
  'action',
]

/** Somewhere under the issuer, or at the app's own redirect URI; never with anything of the attacker. */
const expectOwn = (answer: Answer, what: string): void => {
  expect(JSON.stringify(answer.headers), what).not.toContain('evil')
  expect(answer.body, what).not.toContain('evil')
  if (answer.location === undefined) return
  const url = new URL(answer.location, answer.url)
  expect([new URL(server.issuer).origin, 'https://web.test'], `${what} ${answer.location}`).toContain(
    url.origin,
  )
}

/** Every hop of a redirect chain, none of which may lead away. */
const followed = async (browser: Browser, first: Answer, what: string): Promise<Answer> => {
  let last = first
  for (let hops = 0; hops < 10; hops++) {
    expectOwn(last, what)
    if (last.location === undefined || !last.location.startsWith('/')) return last
    last = await browser.send(last.location)
  }
  throw new Error('it goes round in circles')
}

describe('where a sign-in leads', () => {
  it('SEC-028 is stored by us: nothing in an address, a field, a Referer or a cookie changes it', async () => {
    const web = await makeWeb(server)
    for (const [index, target] of targets.entries()) {
      // Each allows it for the first time.
      const alice = await server.createUser({ username: `alice${index}` })
      const browser = server.browser()
      const { challenge } = pkcePair()
      const query = new URLSearchParams(names.map(name => [name, target] as [string, string]))
      query.delete('redirect_uri')
      const url = `${authorizeUrl(web, { code_challenge: challenge, code_challenge_method: 'S256' })}&${query}`
      query.append('redirect_uri', target)
      const headers = { referer: 'https://evil.test/x' }
      let page = await followed(browser, await browser.send(url, { headers }), target)
      expect(page.body).toContain('name="password"')
      // The page's own address and fields, with everything that might be listened to.
      const more = Object.fromEntries(query)
      page = {
        ...page,
        body: page.body.replace(
          /action="([^"?]*)"/g,
          `action="$1?${query.toString().replaceAll('&', '&amp;')}"`,
        ),
      }
      const consent = await browser.submit(
        page,
        { username: alice.username, password: alice.password, ...more },
        headers,
      )
      expectOwn(consent, target)
      expect(consent.body).toContain('name="decision"')
      const done = await browser.submit(consent, { decision: 'allow', ...more }, headers)
      expectOwn(done, target)
      expect(done.location?.startsWith(`${web.redirectUri}?code=`), target).toBe(true)
    }
  })

  it('SEC-028 every page that is opened out of order leads to a page of ours, whatever the Referer says', async () => {
    const web = await makeWeb(server)
    const browser = server.browser()
    await getCode(browser, web, await server.createUser())
    const ids = await server.services.store.search<{ id: string; sign_in_id: string }>(knex =>
      knex('transaction').select('id', 'sign_in_id'),
    )
    const paths = ids.flatMap(({ id, sign_in_id }) => [
      `/sign-in/${sign_in_id}`,
      `/accounts/${sign_in_id}`,
      `/consent/${id}`,
      `/authorize/${id}`,
    ])
    for (const path of [...paths, '/', '/logout', '/setup', '/nowhere'])
      for (const target of targets) {
        const query = new URLSearchParams(names.map(name => [name, target] as [string, string]))
        const first = await browser.send(`${path}?${query}`, { headers: { referer: 'https://evil.test/x' } })
        await followed(browser, first, `${path} ${target}`)
      }
  })

  it('SEC-028 a path that starts with two slashes, or names another host, is not one of ours', async () => {
    const lines = [
      'GET //evil.test HTTP/1.1',
      'GET //evil.test/ HTTP/1.1',
      'GET //evil.test/authorize HTTP/1.1',
      'GET /\\evil.test HTTP/1.1',
      'GET /%2f%2fevil.test HTTP/1.1',
      'GET /%5cevil.test HTTP/1.1',
      'GET /authorize/..//evil.test HTTP/1.1',
      'GET /sign-in//evil.test HTTP/1.1',
      'GET /sign-in/%2f%2fevil.test HTTP/1.1',
      'GET http://evil.test/ HTTP/1.1',
      'GET http://evil.test/authorize HTTP/1.1',
      'GET http://evil.test//evil.test HTTP/1.1',
    ]
    for (const line of lines) {
      const answer = await unchanged(server, () => sendRaw(server, rawRequest(server, line)))
      expect(answer.status, line).toBeGreaterThanOrEqual(200)
      expect(answer.status, line).toBeLessThan(500)
      expect(rawHeader(answer, 'location'), line).toBeUndefined()
      expect(answer.head + answer.body, line).not.toContain('evil')
    }
  })
})

describe('where a sign-out leads', () => {
  const back = 'https://web.test/bye'
  const logout = (parameters: Record<string, string>): string => `/logout?${new URLSearchParams(parameters)}`

  const signedIn = async () => {
    const web = await makeWeb(server, { post_logout_redirect_uris: [back] })
    const browser = server.browser()
    const tokens = await redeem(server, web, await getCode(browser, web, await server.createUser()))
    return { web, browser, idToken: String(tokens.json['id_token']) }
  }

  const unregistered = [
    'https://evil.test/',
    'https://web.test/cb',
    `${back}/`,
    `${back}?x=1`,
    `${back}#x`,
    'https://web.test:443/bye',
    'HTTPS://web.test/bye',
    'https://web.test@evil.test/bye',
    'https://web.test\\@evil.test/bye',
    '//web.test/bye',
    '/bye',
    ' https://web.test/bye',
    'https://web.test/bye\r\nX: 1',
    'https://web.test/by%65',
    'javascript:alert(1)',
  ]

  it('SEC-029 an unregistered URI is no way to go: asked first, then our own page', async () => {
    const { web, idToken } = await signedIn()
    const alice = { username: 'alice', password: 'correct horse battery staple' }
    const browser = server.browser()
    for (const uri of unregistered) {
      await getCode(browser, web, alice)
      const asked = await unchanged(server, () =>
        browser.send(logout({ post_logout_redirect_uri: uri, client_id: web.id })),
      )
      expect(asked.status, uri).toBe(200)
      expect(asked.location, uri).toBeUndefined()
      const done = await browser.submit(asked, { decision: 'yes' })
      expect(done.status, uri).toBe(200)
      expect(done.location, uri).toBeUndefined()
      expect(done.body, uri).not.toContain('evil.test')
      // Nobody is signed in any more, so nothing is asked: it stays on our page all the same.
      for (const query of [
        { post_logout_redirect_uri: uri },
        { post_logout_redirect_uri: uri, client_id: web.id },
        { post_logout_redirect_uri: uri, id_token_hint: idToken },
      ]) {
        const answer = await browser.send(logout(query))
        expect(answer.status, uri).toBe(200)
        expect(answer.location, uri).toBeUndefined()
        expect(answer.headers['x'], uri).toBeUndefined()
      }
    }
  })

  it('SEC-029 with a genuine hint it goes back at once to a registered URI, with state, and nowhere else', async () => {
    const { web, browser, idToken } = await signedIn()
    const state = 'a b&c=d\r\nX: 1'
    const answer = await browser.send(
      logout({ id_token_hint: idToken, post_logout_redirect_uri: back, state }),
    )
    expect(answer.status).toBe(303)
    const url = new URL(String(answer.location))
    expect(url.origin + url.pathname).toBe(back)
    expect([...url.searchParams]).toEqual([['state', state]])
    expect(answer.headers['x']).toBeUndefined()

    const alice = { username: 'alice', password: 'correct horse battery staple' }
    const fresh = server.browser()
    const tokens = await redeem(server, web, await getCode(fresh, web, alice))
    const hint = String(tokens.json['id_token'])
    const elsewhere = await fresh.send(
      logout({ id_token_hint: hint, post_logout_redirect_uri: 'https://evil.test/' }),
    )
    expect(elsewhere.status).toBe(200)
    expect(elsewhere.location).toBeUndefined()
    expect(elsewhere.body).not.toContain('evil.test')
  })

  it('SEC-029 a hint of one client opens no URI of another', async () => {
    const { web, idToken } = await signedIn()
    await makeWeb2(server, { post_logout_redirect_uris: ['https://web2.test/bye'] })
    for (const query of [
      { id_token_hint: idToken, post_logout_redirect_uri: 'https://web2.test/bye' },
      { id_token_hint: idToken, client_id: 'web2', post_logout_redirect_uri: 'https://web2.test/bye' },
      { id_token_hint: idToken, client_id: 'web2', post_logout_redirect_uri: back },
      { client_id: web.id, post_logout_redirect_uri: 'https://web2.test/bye' },
      { client_id: 'nope', post_logout_redirect_uri: back },
      { id_token_hint: 'x.y.z', post_logout_redirect_uri: back },
    ]) {
      const answer = await server.browser().send(logout(query))
      expect(answer.status, JSON.stringify(query)).toBe(200)
      expect(answer.location, JSON.stringify(query)).toBeUndefined()
    }
  })

  it('SEC-029 with neither hint nor client it goes back, once confirmed, only where exactly one client registered it', async () => {
    const { browser } = await signedIn()
    const asked = await unchanged(server, () => browser.send(logout({ post_logout_redirect_uri: back })))
    expect(asked.location).toBeUndefined()
    const done = await browser.submit(asked, { decision: 'yes' })
    expect(done.location).toBe(back)

    await makeWeb2(server, { post_logout_redirect_uris: [back] })
    const alice = { username: 'alice', password: 'correct horse battery staple' }
    const fresh = server.browser()
    await getCode(
      fresh,
      { id: 'web', secret: undefined, redirectUri: 'https://web.test/cb', metadata: {} },
      alice,
    )
    const again = await fresh.send(logout({ post_logout_redirect_uri: back }))
    const stays = await fresh.submit(again, { decision: 'yes' })
    expect(stays.status).toBe(200)
    expect(stays.location).toBeUndefined()
    for (const uri of ['https://web.test/by_', 'https://web.test/by%', '%', '_', '"', 'web.test'])
      expect(
        (await server.browser().send(logout({ post_logout_redirect_uri: uri }))).location,
        uri,
      ).toBeUndefined()
  })

  it('SEC-029 the confirmation cannot be bent: what its form brings back is looked at again', async () => {
    const { browser, web } = await signedIn()
    const asked = await browser.send(logout({ client_id: web.id, post_logout_redirect_uri: back }))
    const bent = { ...asked, body: asked.body.replaceAll(back, 'https://evil.test/bye') }
    expect(bent.body).not.toBe(asked.body)
    const done = await browser.submit(bent, { decision: 'yes' })
    expect(done.status).toBe(200)
    expect(done.location).toBeUndefined()
  })

  it('SEC-029 a native app may come back on another loopback port, nowhere else', async () => {
    await makeNative(server, { post_logout_redirect_uris: ['http://127.0.0.1/bye', 'com.example.app:/bye'] })
    const at = async (uri: string) =>
      (await server.browser().send(logout({ client_id: 'native', post_logout_redirect_uri: uri }))).location
    expect(await at('http://127.0.0.1:51004/bye')).toBe('http://127.0.0.1:51004/bye')
    expect(await at('com.example.app:/bye')).toBe('com.example.app:/bye')
    for (const uri of [
      'http://localhost:51004/bye',
      'http://127.0.0.1:51004/x',
      'http://127.0.0.1:99999/bye',
      'http://127.0.0.1:51004@evil.test/bye',
      'com.example.app:/bye2',
      'http://127.0.0.1/cb',
    ])
      expect(await at(uri), uri).toBeUndefined()
  })
})
