import { afterEach, describe, expect, it } from 'vitest'
import { StoreUnavailable } from '../../src/store/commit.ts'
import { type Answer, type Browser, formOn } from '../support/browser.ts'
import { authorizeUrl, basic, getCode, post, redeem } from '../support/flow.ts'
import { type ServerOptions, startServer, type TestServer } from '../support/server.ts'
import { faultyStore } from './faults.ts'
import { makeSpa, makeWeb, makeWeb2 } from './fixtures.ts'
import { addPerson, browserOf, challengedUrl, makePerson, openRequest, postForm } from './people.ts'
import { rawHeader, sendRaw } from './raw-bytes.ts'
import { methodsOf, routeTable } from './route-table.ts'

let server: TestServer
afterEach(() => server.stop())
const begin = async (options: ServerOptions = {}): Promise<void> => {
  server = await startServer(options)
}

type Headers = Answer['headers']
type Kind = 'page' | 'endpoint' | 'api' | 'document' | 'asset'
type Expected = { kind: Kind; formMayLeave?: boolean; isolated?: boolean; strictTransport?: boolean }

const one = (headers: Headers, name: string): string | undefined => {
  const value = headers[name]
  expect(Array.isArray(value) && name !== 'set-cookie', `${name} comes once`).toBe(false)
  return value === undefined ? undefined : String(value)
}

const pageCsp = (formMayLeave: boolean): string =>
  [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    ...(formMayLeave ? [] : ["form-action 'self'"]),
    "frame-ancestors 'none'",
  ].join('; ')

/** Pages whose form can end at an app: nothing else may be without `form-action`. */
const formMayLeave = new Set([
  '/sign-in/:id',
  '/accounts/:id',
  '/consent/:id',
  '/logout',
  '/authorize',
  '/authorize/:id',
])
const isIsolated = (path: string): boolean => /^\/(setup|account|admin)(\/|$)/.test(path)

/** The headers of security-defaults.md for one kind of route. */
const expectHeaders = (headers: Headers, expected: Expected, what: string): void => {
  const { kind, formMayLeave = false, isolated = false, strictTransport = false } = expected
  const get = (name: string) => one(headers, name)
  expect(get('x-content-type-options'), what).toBe('nosniff')
  expect(get('referrer-policy'), what).toBe('same-origin')
  expect(get('x-frame-options'), what).toBe('DENY')
  expect(get('cross-origin-resource-policy'), what).toBe('same-origin')
  expect(get('permissions-policy'), what).toContain('geolocation=()')
  expect(get('x-request-id'), what).toMatch(/^[0-9a-f-]{36}$/)
  const csp = get('content-security-policy') ?? ''
  if (kind === 'page')
    expect(csp.replace(/script-src 'nonce-[\w-]{24}'; /, ''), what).toBe(pageCsp(formMayLeave))
  else
    expect(csp, what).toBe("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
  expect(csp, what).not.toMatch(/unsafe|\*|https?:/)
  expect(get('cross-origin-opener-policy'), what).toBe(isolated ? 'same-origin' : undefined)
  expect(get('strict-transport-security'), what).toBe(strictTransport ? 'max-age=63072000' : undefined)
  for (const name of ['server', 'x-powered-by', 'via', 'x-aspnet-version'])
    expect(get(name), what).toBeUndefined()
  if (kind === 'document' || kind === 'asset') return
  expect(get('cache-control'), what).toBe('no-store')
  expect(get('etag'), what).toBeUndefined()
  expect(get('last-modified'), what).toBeUndefined()
}

const expectPage = (answer: Answer, status: number, expected: Partial<Expected> = {}, what = ''): Answer => {
  const named = `${what} ${status} ${answer.url}`
  expect(answer.status, named).toBe(status)
  expect(answer.headers['content-type'], named).toBe('text/html; charset=utf-8')
  expectHeaders(answer.headers, { kind: 'page', ...expected }, named)
  // Nothing runs inline: no handler, no style, no address that is a script.
  expect(answer.body, named).not.toMatch(/<[a-z][^>]*\s(on[a-z]+|style)=/i)
  expect(answer.body, named).not.toMatch(/javascript:/i)
  expect(answer.body, named).not.toMatch(/<(script|link|img)[^>]+(src|href)="(https?:)?\/\//i)
  return answer
}

describe('the sweep over the route table', () => {
  const issuers: [string, string | undefined, boolean, Record<string, string>][] = [
    ['a plain-http loopback issuer', undefined, false, {}],
    ['an https issuer', 'https://op.test', true, {}],
    ['an https loopback issuer', 'https://localhost:4443', false, {}],
    ['an https issuer with a path', 'https://op.test/sso', true, {}],
  ]
  for (const [name, issuer, strictTransport, settings] of issuers)
    it(`SEC-126 SEC-026 every route of ${name} has the headers of its kind, whatever it answers`, async () => {
      await begin({ ...(issuer === undefined ? {} : { issuer }), settings })
      const browser = server.browser()
      const routes = routeTable(server)
      expect(routes.map(route => route.path)).toContain('/sign-in/:id')
      for (const route of routes) {
        const path = route.address
        for (const method of ['GET', 'HEAD', 'POST', 'DELETE']) {
          const answer = await browser.send(path, {
            method,
            ...(method === 'POST' ? { body: 'a=b' } : {}),
            headers: { origin: new URL(server.issuer).origin },
          })
          const what = `${method} ${path} ${answer.status}`
          expect(answer.status, what).toBeLessThan(500)
          expectHeaders(
            answer.headers,
            {
              kind: route.kind,
              formMayLeave: formMayLeave.has(route.path),
              isolated: isIsolated(route.path),
              strictTransport,
            },
            what,
          )
          if ([301, 302, 307, 308].includes(answer.status)) throw new Error(`${what}: a redirect is 303`)
          if (route.kind === 'page' && answer.body !== '')
            expect(answer.headers['content-type'], what).toMatch(/^text\/html/)
          if (answer.status >= 400 && method !== 'HEAD' && route.kind !== 'page')
            expect(answer.headers['content-type'], what).toMatch(/json/)
          if (!methodsOf(route).includes(method)) expect(answer.status, what).toBe(405)
        }
      }
      const unknown = await browser.send('/nothing')
      expectPage(unknown, 404, { strictTransport })
    })

  it('SEC-126 an unknown address is a page or JSON, whichever is read, and case and slash count', async () => {
    await begin()
    const browser = server.browser()
    for (const path of [
      '/TOKEN',
      '/token/',
      '//token',
      '/Sign-In/x',
      '/sign-in/',
      '/sign-in/a/b',
      '/%74oken',
      '/setup/',
    ])
      expectPage(await browser.send(path), 404)
    const json = await browser.send('/nothing', { headers: { accept: 'application/json' } })
    expect(json.status).toBe(404)
    expect(JSON.parse(json.body)).toMatchObject({ error: 'not_found' })
    expectHeaders(json.headers, { kind: 'page' }, 'json 404')
  })
})

describe('every kind of page', () => {
  it('SEC-026 SEC-126 of a sign-in, a consent, a chooser, a logout: framed nowhere, form-action left out', async () => {
    await begin()
    const web = await makeWeb(server)
    const alice = await makePerson(server)
    const bob = await makePerson(server, { username: 'bob' })
    const browser = server.browser()
    const leaving = { formMayLeave: true }
    const signIn = expectPage(await openRequest(browser, web), 200, leaving)
    expect(formOn(signIn, 'password').action).toBe(signIn.url)
    expectPage(await postForm(browser, signIn, { ...alice, password: 'wrong' }), 422, leaving)
    const sent = await postForm(browser, signIn, { ...alice })
    expect(sent.status).toBe(303)
    const consent = expectPage(await browser.follow(sent), 200, leaving)
    const back = await postForm(browser, consent, { decision: 'allow' })
    expect(back.status).toBe(303)
    expect(back.body).toBe('')
    expectHeaders(back.headers, { kind: 'page', formMayLeave: true }, 'the answer to the app')
    await addPerson(browser, web, bob)
    expectPage(await openRequest(browser, web, { prompt: 'select_account' }), 200, leaving)
    const formPost = await browser.send(challengedUrl(web, { response_mode: 'form_post', prompt: 'none' }))
    expectPage(formPost, 200, leaving)
    const nonce = /script-src 'nonce-([\w-]+)'/.exec(String(formPost.headers['content-security-policy']))?.[1]
    expect(formPost.body).toContain(`nonce="${nonce}"`)
    const again = await browser.send(challengedUrl(web, { response_mode: 'form_post', prompt: 'none' }))
    expect(again.headers['content-security-policy']).not.toBe(formPost.headers['content-security-policy'])
    const logout = expectPage(await browser.send('/logout'), 200, leaving)
    expectPage(await postForm(browser, logout, { decision: 'no' }), 200, leaving)
    expectPage(await postForm(browser, logout, { decision: 'yes' }), 200, leaving)
    expectPage(await browser.send('/'), 200)
  })

  it('SEC-026 SEC-126 the set-up page lets no other window hold on to it', async () => {
    await begin()
    const link = /http:\S+/.exec(server.announced.join())?.[0] ?? ''
    const browser = server.browser()
    const page = expectPage(await browser.send(link), 200, { isolated: true })
    const weak = await postForm(browser, page, { username: 'root', email: 'a@b.test', password: 'short' })
    expectPage(weak, 422, { isolated: true })
    expectPage(await browser.send('/setup?token=wrong'), 400, { isolated: true })
  })

  it('SEC-026 SEC-126 an error page too: 400, 403, 404, 405, 413, 414, 429, 500, 503', async () => {
    const { wrapStore, breakWith } = faultyStore()
    await begin({ wrapStore })
    const web = await makeWeb(server)
    const alice = await makePerson(server)
    const browser = server.browser()
    const signIn = await openRequest(browser, web)
    const leaving = { formMayLeave: true }
    const large = 'x'.repeat(70_000)
    expectPage(await browser.send('/authorize?client_id=nope'), 400, leaving)
    expectPage(await browser.send('/consent/nope'), 400, leaving)
    expectPage(await postForm(browser, signIn, { ...alice, form_token: '' }), 403, leaving)
    expectPage(await browser.send('/nothing'), 404)
    expectPage(await browser.send('/sign-in/x', { method: 'PUT' }), 405, leaving)
    expectPage(await postForm(browser, signIn, { ...alice, password: large }), 413, leaving)
    expectPage(await browser.send(`/?${'x'.repeat(9000)}`), 414)
    const requests: Answer[] = []
    while (requests.at(-1)?.status !== 429 && requests.length < 110)
      requests.push(await browser.send(challengedUrl(web)))
    const busy = requests.at(-1)
    if (!busy) throw new Error('unreachable')
    expectPage(busy, 429, leaving)
    expect(Number(busy.headers['retry-after'])).toBeGreaterThan(0)

    breakWith(new Error('the disk is on fire at /var/lib/secret'))
    for (const path of [challengedUrl(web), '/', signIn.url, '/logout']) {
      const answer = await browser.send(path)
      expectPage(answer, 500, path === '/' ? {} : leaving)
      expect(answer.body).toContain('data-error="server_error"')
      expect(answer.body).not.toMatch(/fire|secret|\.ts|at \w+ \(/)
    }
    const token = await post(server, '/token', { grant_type: 'authorization_code', code: 'x' }, basic(web))
    expect(token.status).toBe(500)
    expect(JSON.stringify(token.json)).not.toMatch(/fire|secret/)
    expectHeaders(token.headers, { kind: 'endpoint' }, '/token 500')
    expect(server.logged.join('\n')).toContain('the disk is on fire')

    breakWith(new StoreUnavailable('the database cannot be read', { cause: undefined }))
    const away = expectPage(await browser.send(challengedUrl(web)), 503, leaving)
    expect(away.headers['retry-after']).toBe('1')
    expect(away.body).toContain('data-error="temporarily_unavailable"')
    breakWith(undefined)
    expectPage(await browser.send(signIn.url), 200, leaving)
  })

  it('SEC-026 a request that the HTTP parser refuses has an id and no version either', async () => {
    await begin()
    const { host } = new URL(server.issuer)
    const cases: [string[], number][] = [
      [['GET / HTTP/1.1', `Host: ${host}`, `X-Long: ${'x'.repeat(20_000)}`], 431],
      [['GET / HTTP/1.1', `Host: ${host}`, 'Bad Header: x'], 400],
      [['GET / HTTP/9.9', `Host: ${host}`], 400],
      [['GET /\x00 HTTP/1.1', `Host: ${host}`], 400],
      [['GET / HTTP/1.1'], 400],
      [['POST /token HTTP/1.1', `Host: ${host}`, 'Content-Length: 1', 'Transfer-Encoding: chunked'], 400],
    ]
    for (const [lines, status] of cases) {
      const what = (lines[0] ?? '') + (lines[2]?.slice(0, 30) ?? '')
      const answer = await sendRaw(
        server,
        Buffer.from([...lines, 'Connection: close', '', ''].join('\r\n'), 'latin1'),
      )
      expect(answer.status, what).toBe(status)
      expect(rawHeader(answer, 'x-request-id'), what).toMatch(/^[0-9a-f-]{36}$/)
      expect(rawHeader(answer, 'server'), what).toBeUndefined()
    }
  })
})

describe('cookies', () => {
  const walk = async (): Promise<Browser> => {
    const web = await makeWeb(server, { post_logout_redirect_uris: ['https://web.test/bye'] })
    const alice = await makePerson(server, { email: 'alice@corp.test' })
    const bob = await makePerson(server, { username: 'bob' })
    const browser = await browserOf(server, web, alice, bob)
    let page = await openRequest(browser, web, { prompt: 'login' })
    page = await browser.open(page.url)
    await browser.submit(page, { ...bob, remember: 'yes' })
    const chooser = await openRequest(browser, web, { prompt: 'select_account' })
    await browser.submit(chooser, {
      account: /value="([^"]+)"[^>]*><bdi>alice/.exec(chooser.body)?.[1] ?? '',
    })
    await browser.submit(await browser.send('/logout'), { decision: 'yes' })
    const link = /https?:\S+/.exec(server.announced.join())?.[0] ?? ''
    const setUp = server.browser()
    const form = await setUp.send(link)
    await setUp.submit(form, {
      username: 'root',
      email: 'root@corp.test',
      password: 'fifteen letters at the least',
    })
    return Object.assign(browser, { setCookies: [...browser.setCookies, ...setUp.setCookies] })
  }
  const secret = 'lnb[0-9a-z]{72}'
  const cases: [string, ServerOptions, (issuer: string) => string][] = [
    ['an https issuer', { issuer: 'https://op.test' }, () => '__Host-lintel'],
    ['an https issuer with a path', { issuer: 'https://op.test/sso' }, () => '__Host-lintel'],
    ['an https loopback issuer', { issuer: 'https://localhost:4443' }, () => '__Host-lintel'],
    ['a plain-http loopback issuer', {}, issuer => `lintel-${new URL(issuer).port}`],
  ]
  for (const [name, options, cookieName] of cases)
    it(`SEC-031 every cookie of ${name} has the attributes that hold it, and nothing to read`, async () => {
      await begin({ ...options, settings: { LINTEL_SESSIONS_REMEMBER_TTL: '30d' } })
      const { setCookies } = await walk()
      const secure = server.issuer.startsWith('https:') ? '; Secure' : ''
      const line = new RegExp(
        `^${cookieName(server.issuer)}=${secret}; Path=/; HttpOnly; SameSite=Lax${secure}(; Max-Age=\\d+)?$`,
      )
      expect(setCookies.length).toBeGreaterThan(6)
      for (const text of setCookies) {
        expect(text).toMatch(line)
        expect(text.length).toBeLessThan(4096)
      }
      // A new secret each time.
      expect(new Set(setCookies.map(text => /lnb[0-9a-z]+/.exec(text)?.[0])).size).toBe(setCookies.length)
    })
})

describe('caching', () => {
  it('SEC-124 nothing that is about somebody is stored, also where it is refused', async () => {
    await begin()
    const web = await makeWeb(server, { grant_types: ['authorization_code', 'refresh_token'] })
    const alice = await makePerson(server)
    const browser = server.browser()
    const { code, verifier } = await getCode(browser, web, alice)
    const tokens = await redeem(server, web, { code, verifier })
    const bearer = { authorization: `Bearer ${tokens.json['access_token']}` }
    const answers: Record<string, { status: number; headers: Headers }> = {
      token: tokens,
      'token refused': await redeem(server, web, { code, verifier }),
      userinfo: await browser.send('/userinfo', { headers: bearer }),
      'userinfo refused': await browser.send('/userinfo'),
      introspect: await post(server, '/introspect', { token: 'x' }, basic(web)),
      'introspect refused': await post(server, '/introspect', { token: 'x' }),
      revoke: await post(server, '/revoke', { token: 'x' }, basic(web)),
      'authorize page': await browser.send(challengedUrl(web, { prompt: 'login' })),
      'authorize redirect': await browser.send(challengedUrl(web, { prompt: 'none' })),
      'authorize refused': await browser.send('/authorize'),
      'sign-in': await openRequest(browser, web, { prompt: 'login' }),
      home: await browser.send('/'),
      logout: await browser.send('/logout'),
      '404': await browser.send('/nothing'),
      livez: await browser.send('/livez'),
      readyz: await browser.send('/readyz'),
    }
    for (const [what, { status, headers }] of Object.entries(answers)) {
      expect(headers['cache-control'], `${what} ${status}`).toBe('no-store')
      expect(headers['etag'], what).toBeUndefined()
      expect(headers['expires'], what).toBeUndefined()
    }
    expect(tokens.headers['pragma']).toBe('no-cache')
  })

  it('SEC-124 discovery and JWKS are public, for less than half of the time a key is announced', async () => {
    await begin()
    const browser = server.browser()
    for (const path of [
      '/.well-known/openid-configuration',
      '/.well-known/oauth-authorization-server',
      '/jwks',
    ]) {
      const first = await browser.send(path)
      expect(first.status).toBe(200)
      const [, maxAge] = /^public, max-age=(\d+)$/.exec(String(first.headers['cache-control'])) ?? []
      expect(Number(maxAge)).toBeGreaterThan(0)
      expect(Number(maxAge)).toBeLessThanOrEqual((14 * 86_400) / 2)
      const etag = String(first.headers['etag'])
      expect(etag).toMatch(/^"[^"]+"$/)
      const second = await browser.send(path, { headers: { 'if-none-match': etag } })
      expect(second.status).toBe(304)
      expect(second.body).toBe('')
      expect(second.headers['etag']).toBe(etag)
      expect((await browser.send(path, { headers: { 'if-none-match': '"other"' } })).status).toBe(200)
    }
  })

  it('SEC-124 after a logout no page of before is shown again', async () => {
    await begin()
    const web = await makeWeb(server)
    const alice = await makePerson(server)
    const browser = await browserOf(server, web, alice)
    expect((await browser.send('/')).body).toContain('alice')
    await browser.submit(await browser.send('/logout'), { decision: 'yes' })
    const back = await browser.send('/', { headers: { 'if-none-match': '*' } })
    expect(back.status).toBe(200)
    expect(back.body).not.toContain('alice')
  })
})

describe('reading from other origins', () => {
  const foreign = [
    'https://evil.test',
    'null',
    'https://spa.test.evil.test',
    'http://spa.test',
    'https://spa.test:444',
  ]
  const allowed = (answer: { headers: Headers }) => answer.headers['access-control-allow-origin']

  it("SEC-125 the token endpoint lets a known client's own origins read, and no other", async () => {
    await begin()
    const spa = await makeSpa(server)
    const alice = await makePerson(server)
    for (const origin of foreign) {
      const { code, verifier } = await getCode(await server.browser(), spa, alice)
      const fields = {
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: spa.redirectUri,
        client_id: spa.id,
      }
      const answer = await post(server, '/token', fields, { origin })
      expect(answer.status, origin).toBe(200)
      expect(allowed(answer), origin).toBeUndefined()
      expect(String(answer.headers['vary']), origin).toMatch(/Origin/)
      const userinfo = await server.browser().send('/userinfo', {
        headers: { origin, authorization: `Bearer ${answer.json['access_token']}` },
      })
      expect(userinfo.status, origin).toBe(200)
      expect(allowed(userinfo), origin).toBeUndefined()
      expect(userinfo.headers['access-control-allow-credentials'], origin).toBeUndefined()
      const refused = await post(server, '/token', fields, { origin })
      expect(allowed(refused), origin).toBeUndefined()
    }
    const { code, verifier } = await getCode(server.browser(), spa, alice)
    const own = await post(
      server,
      '/token',
      {
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: spa.redirectUri,
        client_id: spa.id,
      },
      { origin: 'https://spa.test' },
    )
    expect(allowed(own)).toBe('https://spa.test')
    const userinfo = await server.browser().send('/userinfo', {
      headers: { origin: 'https://spa.test', authorization: `Bearer ${own.json['access_token']}` },
    })
    expect(allowed(userinfo)).toBe('https://spa.test')
  })

  it('SEC-125 an unknown client is told what is wrong, whatever its origin: nothing secret is in it', async () => {
    await begin()
    for (const origin of foreign) {
      const answer = await post(
        server,
        '/token',
        { grant_type: 'authorization_code', client_id: 'nope' },
        { origin },
      )
      expect(answer.status).toBe(401)
      expect(allowed(answer)).toBe(origin)
      expect(answer.headers['access-control-allow-credentials']).toBeUndefined()
      const userinfo = await server
        .browser()
        .send('/userinfo', { headers: { origin, authorization: 'Bearer x' } })
      expect(userinfo.status).toBe(401)
      expect(allowed(userinfo)).toBe(origin)
    }
  })

  it('SEC-125 the claims of a token that is not ours let nobody read', async () => {
    await begin()
    const spa = await makeSpa(server)
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const forged = `${encode({ alg: 'ES256', typ: 'at+jwt' })}.${encode({ iss: server.issuer, client_id: spa.id, azp: spa.id })}.AAAA`
    const answer = await server.browser().send('/userinfo', {
      headers: { origin: 'https://spa.test', authorization: `Bearer ${forged}` },
    })
    expect(answer.status).toBe(401)
    expect(answer.body).not.toContain('sub')
  })

  it('SEC-125 pages and everything else have no such header, and no answer ever allows credentials', async () => {
    await begin()
    await makeSpa(server)
    const browser = server.browser()
    for (const route of routeTable(server))
      for (const method of ['GET', 'POST', 'OPTIONS'])
        for (const origin of ['https://evil.test', 'https://spa.test', 'null']) {
          const what = `${method} ${route.path} from ${origin}`
          const answer = await browser.send(route.address, {
            method,
            ...(method === 'POST' ? { body: 'client_id=spa' } : {}),
            headers: { origin, 'access-control-request-method': 'POST' },
          })
          expect(answer.headers['access-control-allow-credentials'], what).toBeUndefined()
          if (route.cors === undefined) {
            expect(allowed(answer), what).toBeUndefined()
            if (method === 'OPTIONS') expect(answer.status, what).toBe(405)
          } else if (method === 'OPTIONS') {
            expect(answer.status, what).toBe(204)
            expect(allowed(answer), what).toBe(route.cors === 'any' ? '*' : origin)
          }
        }
    const withCors = routeTable(server).filter(route => route.cors !== undefined)
    expect(withCors.map(route => route.kind)).not.toContain('page')
  })
})

describe('Referer', () => {
  it('SEC-126 no page that holds a code or a state tells it to another site, or loads anything from one', async () => {
    await begin()
    const web = await makeWeb(server)
    const web2 = await makeWeb2(server)
    const alice = await makePerson(server)
    const browser = await browserOf(server, web, alice)
    const consent = await openRequest(browser, web2)
    const pages = [
      consent,
      await openRequest(browser, web, { prompt: 'login' }),
      await browser.send(authorizeUrl(web, { redirect_uri: 'https://evil.test/', state: 'secret-state' })),
      await browser.send(
        challengedUrl(web, { prompt: 'none', response_mode: 'form_post', state: 'secret-state' }),
      ),
    ]
    for (const page of pages) {
      expect(page.headers['referrer-policy'], page.url).toBe('same-origin')
      expect(page.body, page.url).not.toMatch(/<meta[^>]+referrer/i)
      expect(page.body, page.url).not.toMatch(/referrerpolicy|rel="(prefetch|preconnect|dns-prefetch)"/i)
    }
    // The pages people stay at have neither in their address.
    for (const page of pages.slice(0, 2)) expect(page.url).not.toMatch(/state|code|[?&]/)
  })
})
