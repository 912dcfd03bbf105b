import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { authorizeUrl, pkcePair } from '../support/flow.ts'
import type { TestClient, TestServer } from '../support/server.ts'
import { htmlPage } from '../support/site.ts'
import { decide, expectHeading, fillSignIn, startWorld, userAt } from '../support/world.ts'

let chromium: Chromium
beforeAll(async () => {
  chromium = await startChromium()
})
afterAll(() => chromium.close())

/** The address of a request that needs no app behind it. */
const requestFor = (server: TestServer, client: TestClient, parameters: Record<string, string> = {}) =>
  server.issuer +
  authorizeUrl(client, {
    code_challenge: pkcePair().challenge,
    code_challenge_method: 'S256',
    ...parameters,
  })

/** Every policy that the pages of the issuer came with. */
const policiesOf = (page: Page, server: TestServer): string[] => {
  const policies: string[] = []
  page.on('response', response => {
    const policy = response.headers()['content-security-policy']
    if (response.url().startsWith(server.issuer) && response.request().isNavigationRequest())
      policies.push(policy ?? 'none')
  })
  return policies
}

describe('SEC-027 the form that is answered by a redirect reaches the app', () => {
  it('whose callback redirects to a third origin, after consent', async () => {
    const { server, app, site, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const third = await site('third.localhost', {
      'GET /start': () => ({ html: htmlPage('<h1>Third</h1>') }),
    })
    const one = await app({ hostname: 'app-one.localhost', afterwards: `${third.origin}/start` })
    const { page } = await person()
    const policies = policiesOf(page, server)
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await decide(page, 'allow')
    await expectHeading(page, 'Third')
    expect(one.signedIn()).toHaveLength(1)
    expect(policies.length).toBeGreaterThan(2)
    for (const policy of policies) {
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('form-action')
    }
  })

  it('whose callback redirects to a third origin, from the sign-in form', async () => {
    const { server, app, site, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const third = await site('third.localhost', {
      'GET /start': () => ({ html: htmlPage('<h1>Third</h1>') }),
    })
    const one = await app({
      hostname: 'app-one.localhost',
      metadata: { first_party: true },
      afterwards: `${third.origin}/start`,
    })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await expectHeading(page, 'Third')
  })

  it('which listens at 127.0.0.1, on a port of the moment', async () => {
    const { server, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const came: string[] = []
    const listener = createServer((request, response) => {
      came.push(request.url ?? '')
      response.setHeader('content-type', 'text/html')
      response.end(htmlPage('<h1>Back in the terminal</h1>'))
    })
    await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void listener.close())
    const native = await server.createClient({
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/cb'],
    })
    const redirectUri = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/cb`
    const { page } = await person()
    await page.goto(requestFor(server, native, { redirect_uri: redirectUri }))
    await fillSignIn(page, alice)
    await page.getByText('This app runs on this device').waitFor()
    await decide(page, 'allow')
    await expectHeading(page, 'Back in the terminal')
    expect(came[0]).toMatch(/^\/cb\?code=/)
  })

  it('which has a scheme of its own', async () => {
    const { server, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const native = await server.createClient({
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['com.example.app:/cb'],
    })
    const { page } = await person()
    await page.goto(requestFor(server, native))
    await fillSignIn(page, alice)
    // Nothing on this machine opens the scheme: Chromium follows the redirect and gives up. A policy that forbade
    // it would be named in the console, and nothing would be asked for.
    const attempt = page.waitForEvent('requestfailed', request =>
      request.url().startsWith('com.example.app:'),
    )
    await page.click('button[value=allow]', { noWaitAfter: true })
    const request = await attempt
    expect(request.url()).toMatch(/^com\.example\.app:\/cb\?code=/)
    expect(request.redirectedFrom()?.method()).toBe('POST')
    expect(request.failure()?.errorText).toBe('net::ERR_ABORTED')
  })
})

describe('a sign-in in a popup', () => {
  it('SEC-027 window.opener survives our pages, and the app hears who it is', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost' })
    const { page, context } = await person()
    await page.goto(one.origin)
    const opened = context.waitForEvent('page')
    await page.click('#popup')
    const popup = await opened
    await popup.waitForSelector('input[name=password]')
    expect(await popup.evaluate('window.opener !== null')).toBe(true)
    await fillSignIn(popup, alice)
    await popup.waitForSelector('button[name=decision]')
    const closed = popup.waitForEvent('close')
    await decide(popup, 'allow').catch(() => undefined)
    await closed
    await expect.poll(() => page.textContent('output'), { timeout: 15_000 }).toBe(`${one.origin} alice`)
    await page.reload()
    expect(await userAt(page)).toBe('alice')
  })
})

describe('response_mode=form_post', () => {
  it('sends itself, once, where there is script', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({
      hostname: 'app-one.localhost',
      parameters: { response_mode: 'form_post' },
      metadata: { first_party: true },
    })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    expect(await userAt(page)).toBe('alice')
    expect(one.signedIn()[0]?.responseMode).toBe('form_post')
    const posts = one.visits.filter(({ method, url }) => method === 'POST' && url.pathname === '/cb')
    expect(posts).toHaveLength(1)
    expect(posts[0]?.form.get('iss')).toBe(server.issuer)
    expect(posts[0]?.url.search).toBe('')
  })

  it('shows a button where there is none', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({
      hostname: 'app-one.localhost',
      name: 'One',
      parameters: { response_mode: 'form_post' },
      metadata: { first_party: true },
    })
    const { page } = await person({ javaScriptEnabled: false })
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await expectHeading(page, 'Signing you in')
    expect(await page.textContent('.lead')).toContain('One')
    await page.getByRole('button', { name: 'Continue' }).click()
    expect(await userAt(page)).toBe('alice')
  })

  it('brings a refusal as well', async () => {
    const { app, person } = await startWorld(chromium)
    const one = await app({ hostname: 'app-one.localhost', parameters: { response_mode: 'form_post' } })
    const { page } = await person()
    await page.goto(`${one.origin}/login?prompt=none`)
    expect(await page.getAttribute('[data-error]', 'data-error')).toBe('login_required')
  })
})

describe('a request that is posted from the app’s site', () => {
  const poster = (address: string): string => {
    const url = new URL(address)
    const inputs = [...url.searchParams].map(([name, value]) => `<input name="${name}" value="${value}">`)
    return htmlPage(
      `<form method="post" action="${url.origin}${url.pathname}">${inputs.join('')}<button>Go</button></form>`,
    )
  }

  it('finds the session though it brings no cookie (Lax), and ends none', async () => {
    const { server, app, site, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: { first_party: true } })
    const { page, context } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await userAt(page)
    const before = await context.cookies(server.issuer)

    const origin = new URL(one.origin).hostname
    const start = (await fetch(`http://127.0.0.1:${one.port}/login`, { redirect: 'manual' })).headers
    const elsewhere = await site(origin, { 'GET /': () => ({ html: poster(start.get('location') ?? '') }) })
    await page.goto(elsewhere.origin)
    const sent = page.waitForRequest(request => request.method() === 'POST')
    await page.click('button')
    expect(await (await sent).headerValue('cookie')).toBeNull()
    expect(await userAt(page)).toBe('alice')
    expect(one.signedIn()).toHaveLength(2)
    expect(await context.cookies(server.issuer)).toEqual(before)
  })

  it('asks for the password where nobody is signed in', async () => {
    const { server, app, site, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: { first_party: true } })
    const { page } = await person()
    const start = (await fetch(`http://127.0.0.1:${one.port}/login`, { redirect: 'manual' })).headers
    const elsewhere = await site('app-one.localhost', {
      'GET /': () => ({ html: poster(start.get('location') ?? '') }),
    })
    await page.goto(elsewhere.origin)
    await page.click('button')
    await fillSignIn(page, alice)
    expect(await userAt(page)).toBe('alice')
  })
})
