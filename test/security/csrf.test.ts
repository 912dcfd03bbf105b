import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Answer, formOn } from '../support/browser.ts'
import { getCode } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { makeWeb, makeWeb2 } from './fixtures.ts'
import { expectAudited, expectErrorPage, unchanged } from './outcomes.ts'
import {
  browserOf,
  challengedUrl,
  copyOf,
  makePerson,
  openRequest,
  type Person,
  postForm,
  silently,
} from './people.ts'
import { rawHeader, rawRequest, sendRaw } from './raw-bytes.ts'
import { methodsOf, routeTable } from './route-table.ts'

let server: TestServer
let web: TestClient
let alice: Person
let mallory: Person
beforeEach(async () => {
  server = await startServer()
  web = await makeWeb(server)
  alice = await makePerson(server)
  mallory = await makePerson(server, { username: 'mallory', password: 'a rather long password' })
})
afterEach(() => server.stop())

/** 403, a page, and nothing else. */
const expectForbidden = async (answer: Answer, reason: string, what = ''): Promise<void> => {
  expect(answer.status, what).toBe(403)
  expect(answer.headers['content-type'], what).toMatch(/^text\/html/)
  expect(answer.body, what).toContain('data-error="csrf"')
  expect(answer.headers['set-cookie'], what).toBeUndefined()
  expect(answer.location, what).toBeUndefined()
  await expectAudited(server, answer, 'csrf.rejected', { reason, what })
}

const tokenOn = (page: Answer): string => formOn(page).fields.get('form_token') ?? ''

describe('the form token', () => {
  it('SEC-020 a sign-in form without its token, or with another one, is 403 and signs nobody in', async () => {
    const browser = server.browser()
    const page = await openRequest(browser, web)
    const other = await openRequest(server.browser(), web)
    const sameBrowserOtherForm = await openRequest(browser, web)
    const own = tokenOn(page)
    const flipped = own.slice(0, -1) + (own.endsWith('A') ? 'B' : 'A')
    const [id = '', mac = ''] = own.split('.')
    const tokens: Record<string, string | undefined> = {
      none: undefined,
      empty: '',
      'of another browser': tokenOn(other),
      'the mac of another browser': `${tokenOn(other).split('.')[0]}.${mac}`,
      'no mac': id,
      'no id': `.${mac}`,
      'very long': `x${own.repeat(100)}`,
    }
    for (const [what, form_token] of Object.entries(tokens)) {
      const answer = await unchanged(server, () => postForm(browser, page, { ...alice, form_token }), what)
      await expectForbidden(answer, 'form_token', what)
    }
    // Of this browser, but not of this form: it is no key to it. The page is shown again.
    for (const form_token of [flipped, tokenOn(sameBrowserOtherForm)]) {
      const answer = await unchanged(server, () => postForm(browser, page, { ...alice, form_token }))
      expect(answer.status).toBe(303)
      const { origin, pathname } = new URL(String(answer.location), server.issuer)
      expect(origin + pathname).toBe(page.url)
      expect((await browser.follow(answer)).body).toContain('name="password"')
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
    expect((await server.counts())['session']).toBe(0)
    const answer = await browser.submit(page, alice)
    expect(answer.body).toContain('name="decision"')
  })

  it('SEC-020 a token sent twice is refused', async () => {
    const browser = server.browser()
    const page = await openRequest(browser, web)
    const { action, fields } = formOn(page)
    for (const [name, value] of Object.entries(alice)) fields.append(name, value)
    fields.append('form_token', tokenOn(page))
    const answer = await unchanged(server, () =>
      browser.send(action, { method: 'POST', body: fields.toString(), headers: { origin: server.issuer } }),
    )
    expectErrorPage(answer, 'invalid_request')
  })

  it('SEC-020 a form older than a sign-in in another tab is stale: the page continues the request', async () => {
    const browser = server.browser()
    const first = await openRequest(browser, web)
    const second = await openRequest(browser, web, { state: 'state-2' })
    await browser.submit(second, alice)
    const answer = await unchanged(server, () => postForm(browser, first, mallory))
    expect(answer.status).toBe(303)
    expect(answer.headers['set-cookie']).toBeUndefined()
    // Somebody is signed in now: it goes on as that person, whoever was typed into the old form.
    const consent = await browser.follow(answer)
    expect(consent.status).toBe(200)
    expect(consent.body).toContain('<bdi>alice</bdi>')
    expect((await server.audit()).filter(row => row.event === 'login.succeeded')).toHaveLength(1)
    const back = await browser.submit(consent, { decision: 'allow' })
    expect(new URL(String(back.location)).searchParams.get('state')).toBe('state-1')
  })

  it('SEC-020 one that had to ask again asks again, whoever has signed in meanwhile', async () => {
    const browser = await browserOf(server, web, alice)
    const asking = await openRequest(browser, web, { prompt: 'login' })
    await browser.submit(await openRequest(browser, web, { prompt: 'login' }), { ...alice })
    const answer = await unchanged(server, () => postForm(browser, asking, { ...alice }))
    const page = await browser.follow(answer)
    expect(page.body).toContain('name="password"')
    expect(page.url.startsWith(asking.url)).toBe(true)
  })

  it('SEC-020 a consent form of before a change of account gives nobody anything', async () => {
    const browser = await browserOf(server, web, alice)
    const web2 = await makeWeb2(server)
    const consent = await openRequest(browser, web2)
    expect(consent.body).toContain('name="decision"')
    // In another tab mallory signs in.
    const chooser = await openRequest(browser, web, { prompt: 'select_account' })
    const page = await browser.submit(chooser, { account: 'other' })
    await browser.submit(page, mallory)
    const answer = await unchanged(server, () => postForm(browser, consent, { decision: 'allow' }))
    expect(answer.status).toBe(303)
    expect(answer.location).toMatch(/\/consent\//)
    const again = await browser.follow(answer)
    expect(again.body).toContain('<bdi>mallory</bdi>')
  })
})

describe('forms from other sites', () => {
  it('SEC-021 a sign-in form that evil.test sends for alice is 403: she is not signed in as mallory', async () => {
    const browser = server.browser()
    const page = await openRequest(browser, web)
    const malloryPage = await openRequest(server.browser(), web)
    const headers: Record<string, string>[] = [
      { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' },
      { origin: 'https://evil.test' },
      { origin: 'null', 'sec-fetch-site': 'cross-site' },
      { origin: 'null', 'sec-fetch-site': 'same-site' },
      { origin: `${server.issuer}.evil.test` },
      { origin: server.issuer.replace('http:', 'https:') },
      { origin: server.issuer.toUpperCase() },
      { origin: `${server.issuer}/` },
      { origin: `${server.issuer}, https://evil.test` },
    ]
    for (const sent of headers)
      for (const from of [page, malloryPage]) {
        const what = `${JSON.stringify(sent)} ${from.url}`
        const answer = await unchanged(server, () => postForm(browser, from, mallory, sent), what)
        await expectForbidden(answer, 'foreign_origin', what)
      }
    expect((await silently(browser, web)).get('error')).toBe('login_required')
  })

  it('SEC-021 no Origin at all, but a word of the browser that it is another site, is 403 as well', async () => {
    const browser = server.browser()
    const page = await openRequest(browser, web)
    const { action, fields } = formOn(page)
    for (const [name, value] of Object.entries(mallory)) fields.set(name, value)
    for (const site of ['cross-site', 'same-site', 'anything']) {
      const answer = await unchanged(server, () =>
        browser.send(action, {
          method: 'POST',
          body: fields.toString(),
          headers: { 'sec-fetch-site': site },
        }),
      )
      await expectForbidden(answer, 'foreign_origin', site)
    }
  })

  it("SEC-021 a cross-site form comes without our cookie (Lax): 403, whatever mallory's token says", async () => {
    const malloryBrowser = server.browser()
    const page = await openRequest(malloryBrowser, web)
    const answer = await unchanged(server, () => postForm(server.browser(), page, mallory))
    await expectForbidden(answer, 'no_browser')
  })

  it('SEC-022 a consent decision from another site is 403: no authorization, no code', async () => {
    const web2 = await makeWeb2(server)
    const browser = await browserOf(server, web, alice)
    const consent = await openRequest(browser, web2)
    expect(consent.body).toContain('name="decision"')
    const cases: [Record<string, string>, Record<string, string | undefined>, string][] = [
      [{ origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' }, {}, 'foreign_origin'],
      [{ origin: 'null', 'sec-fetch-site': 'cross-site' }, { form_token: undefined }, 'foreign_origin'],
      [{ origin: 'https://evil.test' }, { form_token: undefined }, 'foreign_origin'],
      [{}, { form_token: undefined }, 'form_token'],
      [{}, { form_token: 'x'.repeat(60) }, 'form_token'],
    ]
    for (const [headers, values, reason] of cases) {
      const answer = await unchanged(server, () =>
        postForm(browser, consent, { decision: 'allow', ...values }, headers),
      )
      await expectForbidden(answer, reason, JSON.stringify([headers, values]))
    }
    const answer = await unchanged(server, () =>
      postForm(server.browser(), consent, { decision: 'allow' }, {}),
    )
    await expectForbidden(answer, 'no_browser')
  })

  it("SEC-023 mallory's interaction, opened in alice's browser, is a 400 page at every step", async () => {
    const web2 = await makeWeb2(server)
    const aliceBrowser = await browserOf(server, web, alice)
    await getCode(aliceBrowser, web2, alice)
    const malloryBrowser = server.browser()
    const signIn = await openRequest(malloryBrowser, web)
    const signInId = signIn.url.slice(signIn.url.lastIndexOf('/') + 1)
    const consent = await browserOf(server, web2, mallory).then(async browser => {
      const page = await openRequest(browser, web)
      return { browser, page, id: page.url.slice(page.url.lastIndexOf('/') + 1) }
    })
    expect(consent.page.body).toContain('name="decision"')
    const urls = [
      signIn.url,
      `${server.issuer}/accounts/${signInId}`,
      consent.page.url,
      `${server.issuer}/authorize/${consent.id}`,
    ]
    for (const url of urls)
      for (const browser of [aliceBrowser, server.browser(), copyOf(server, aliceBrowser)]) {
        const answer = await unchanged(server, () => browser.send(url), url)
        expect(answer.status, url).toBe(400)
        expect(answer.body, url).toMatch(/data-error="(invalid_request|other_browser)"/)
        expect(answer.location, url).toBeUndefined()
        expect(answer.headers['set-cookie'], url).toBeUndefined()
      }
    // With a form of her own browser, aimed at mallory's pages.
    const own = await openRequest(aliceBrowser, web, { prompt: 'login' })
    for (const url of [signIn.url, consent.page.url]) {
      const answer = await unchanged(server, () =>
        postForm(aliceBrowser, { ...own, body: own.body.replaceAll(new URL(own.url).pathname, url) }, alice),
      )
      expect([303, 400, 403], url).toContain(answer.status)
      const end = await aliceBrowser.follow(answer)
      expect(end.status, url).toBe(400)
    }
    // It still works where it was started.
    const back = await consent.browser.submit(consent.page, { decision: 'allow' })
    expect(new URL(String(back.location)).searchParams.has('code')).toBe(true)
  })
})

describe('signing out', () => {
  it('SEC-024 GET /logout with only a cookie asks; its confirmation without a token is 403', async () => {
    const browser = await browserOf(server, web, alice)
    const page = await unchanged(server, () => browser.send('/logout'))
    expect(page.status).toBe(200)
    expect(page.body).toContain('name="decision"')
    expect(page.headers['set-cookie']).toBeUndefined()
    const cases: [Record<string, string | undefined>, Record<string, string>, string][] = [
      [{ form_token: undefined }, {}, 'form_token'],
      [{ form_token: '' }, {}, 'form_token'],
      [{ form_token: 'x'.repeat(64) }, {}, 'form_token'],
      [{}, { origin: 'https://evil.test' }, 'foreign_origin'],
      [{}, { origin: 'null', 'sec-fetch-site': 'cross-site' }, 'foreign_origin'],
    ]
    for (const [values, headers, reason] of cases) {
      const answer = await unchanged(server, () =>
        postForm(browser, page, { decision: 'yes', ...values }, headers),
      )
      await expectForbidden(answer, reason, JSON.stringify([values, headers]))
    }
    expect((await silently(browser, web)).has('code')).toBe(true)
    // POST without a decision is an app's own request, and only asks.
    const asked = await unchanged(server, () => browser.send('/logout', { method: 'POST', body: '' }))
    expect(asked.status).toBe(200)
    expect((await silently(browser, web)).has('code')).toBe(true)
  })
})

describe('methods', () => {
  const all = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']

  it('SEC-025 what a route has no handler for is 405 with Allow, TRACE too, and changes nothing', async () => {
    const browser = await browserOf(server, web, alice)
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const routes = routeTable(server)
    expect(routes.length).toBeGreaterThan(12)
    await unchanged(server, async () => {
      for (const route of routes) {
        const allowed = methodsOf(route)
        for (const method of all.filter(one => !allowed.includes(one))) {
          const what = `${method} ${route.path}`
          const answer = await sendRaw(
            server,
            rawRequest(server, `${method} ${route.address} HTTP/1.1`, [
              `Cookie: ${cookie}`,
              `Origin: ${server.issuer}`,
              'Content-Length: 0',
            ]),
          )
          expect(answer.status, what).toBe(405)
          const allow = rawHeader(answer, 'allow') ?? ''
          expect(allow, what).not.toContain(method)
          if (!['TRACE', 'PROPFIND'].includes(method))
            expect(allow.split(', ').sort(), what).toEqual([...allowed].sort())
        }
      }
    })
  })

  it('SEC-025 a body of another type changes nothing: 400, or 415 at an API that takes JSON', async () => {
    const browser = await browserOf(server, web, alice)
    const routes = routeTable(server).filter(route => route.handlers.POST)
    expect(routes.length).toBeGreaterThan(5)
    const types = ['text/plain', 'application/json', 'multipart/form-data; boundary=x', 'text/plain; a=b', '']
    await unchanged(server, async () => {
      for (const route of routes)
        for (const type of types) {
          if (route.kind === 'api' && type === 'application/json') continue
          const what = `${type} to ${route.path}`
          const answer = await browser.send(route.address, {
            method: 'POST',
            body: '{"decision":"yes","account":"other"}',
            headers: { 'content-type': type, origin: server.issuer },
          })
          const expected = route.kind === 'api' ? 415 : route.path === '/userinfo' ? 401 : 400
          expect(answer.status, what).toBe(expected)
        }
    })
  })

  it('SEC-025 HEAD looks and does nothing: 405 where GET acts, no body where it shows', async () => {
    const before = await server.counts()
    for (const path of [challengedUrl(web), '/logout']) {
      const acting = await server.browser().send(path, { method: 'HEAD' })
      expect(acting.status).toBe(405)
      expect(acting.headers['allow']).not.toContain('HEAD')
    }
    expect(await server.counts()).toEqual(before)
    const looking = await server.browser().send('/', { method: 'HEAD' })
    expect(looking.status).toBe(200)
    expect(looking.body).toBe('')
  })
})

describe('requests that no person sees', () => {
  it('what an image or a frame asks for is not stored: nobody can fill what an address may have under way', async () => {
    const before = await server.counts()
    for (const destination of ['image', 'script', 'iframe', 'empty']) {
      const answer = await server
        .browser()
        .send(challengedUrl(web), { headers: { 'sec-fetch-dest': destination } })
      expect(new URL(answer.location ?? '').searchParams.get('error')).toBe('interaction_required')
    }
    expect(await server.counts()).toEqual(before)
    const seen = await server
      .browser()
      .send(challengedUrl(web), { headers: { 'sec-fetch-dest': 'document' } })
    expect(seen.location).toContain('/sign-in/')
  })
})
