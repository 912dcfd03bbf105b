/** What way-back.test.ts and single-sign-on.test.ts prove in Chromium, in Firefox, where browsers are known to differ. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'puppeteer-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { fillSignInWith, startFirefox, waitForHeading } from '../support/firefox.ts'
import { authorizeUrl, pkcePair } from '../support/flow.ts'
import { type RelyingPartyOptions, startRelyingParty } from '../support/relying-party.ts'
import { eventually, startServer, type TestClient, type TestServer } from '../support/server.ts'
import { htmlPage, startSite } from '../support/site.ts'

let firefox: Browser
beforeAll(async () => {
  firefox = await startFirefox()
}, 60_000)
afterAll(() => firefox?.close())

const begin = async () => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const alice = await server.createUser()
  const context = await firefox.createBrowserContext()
  const page = await context.newPage()
  onTestFinished(() => context.close())
  const app = async (options: RelyingPartyOptions) => {
    const started = await startRelyingParty(server, options)
    onTestFinished(() => started.close())
    return started
  }
  return { server, alice, page, app }
}

/** A native app, and the address of a request of it. */
const nativeApp = async (server: TestServer, redirectUri: string): Promise<TestClient> =>
  server.createClient({
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    redirect_uris: [redirectUri],
  })
const requestOf = (server: TestServer, client: TestClient, redirectUri: string): string =>
  server.issuer +
  authorizeUrl(client, {
    redirect_uri: redirectUri,
    code_challenge: pkcePair().challenge,
    code_challenge_method: 'S256',
  })

const allow = (page: Page): Promise<void> => page.locator('button[name=decision][value=allow]').click()

const userAt = async (page: Page): Promise<string | null | undefined> => {
  const found = await page.waitForSelector('[data-user]')
  return found?.evaluate(element => element.getAttribute('data-user'))
}

describe('SEC-027 in Firefox, the form that is answered by a redirect reaches the app', () => {
  it('whose callback redirects to a third origin, after consent', async () => {
    const { alice, page, app } = await begin()
    const third = await startSite('third.localhost', {
      'GET /start': () => ({ html: htmlPage('<h1>Third</h1>') }),
    })
    onTestFinished(() => third.close())
    const one = await app({ hostname: 'app-one.localhost', afterwards: `${third.origin}/start` })
    await page.goto(`${one.origin}/login`)
    await fillSignInWith(page, alice)
    await allow(page)
    await waitForHeading(page, 'Third')
    expect(one.signedIn()).toHaveLength(1)
  })

  it('which listens at 127.0.0.1, on a port of the moment', async () => {
    const { server, alice, page } = await begin()
    const listener = createServer((_, response) => {
      response.setHeader('content-type', 'text/html')
      response.end(htmlPage('<h1>Back in the terminal</h1>'))
    })
    await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      listener.close()
      listener.closeAllConnections()
    })
    const native = await nativeApp(server, 'http://127.0.0.1/cb')
    const { port } = listener.address() as AddressInfo
    await page.goto(requestOf(server, native, `http://127.0.0.1:${port}/cb`))
    await fillSignInWith(page, alice)
    await allow(page)
    await waitForHeading(page, 'Back in the terminal')
    expect(page.url()).toMatch(/\/cb\?code=/)
  })

  it('which has a scheme of its own', async () => {
    const { server, alice, page } = await begin()
    const native = await nativeApp(server, 'com.example.app:/cb')
    await page.goto(requestOf(server, native, 'com.example.app:/cb'))
    await fillSignInWith(page, alice)
    await page.waitForSelector('button[value=allow]')
    // Nothing here opens the scheme: Firefox follows the redirect and says that. A policy would have its own error.
    const failed = new Promise<{ location: string | undefined; why: string | undefined }>(resolve =>
      page.once('requestfailed', request =>
        resolve({ location: request.response()?.headers()['location'], why: request.failure()?.errorText }),
      ),
    )
    await allow(page)
    expect(await failed).toEqual({
      location: expect.stringMatching(/^com\.example\.app:\/cb\?code=/),
      why: 'NS_ERROR_UNKNOWN_PROTOCOL',
    })
  })

  it('and window.opener survives our pages where it was opened in a window', async () => {
    const { alice, page, app } = await begin()
    const one = await app({ hostname: 'app-one.localhost' })
    await page.goto(one.origin)
    const opened = new Promise<Page | null>(resolve => page.once('popup', resolve))
    await page.locator('#popup').click()
    const popup = await opened
    if (!popup) throw new Error('no window opened')
    await popup.waitForSelector('input[name=password]')
    expect(await popup.evaluate('window.opener !== null')).toBe(true)
    await fillSignInWith(popup, alice)
    await popup.waitForSelector('button[value=allow]')
    // It closes itself, perhaps before the click is over.
    allow(popup).catch(() => undefined)
    await page.waitForFunction(`document.querySelector('output').textContent === '${one.origin} alice'`)
  })
})

it('in Firefox, one sign-in opens a second site without a page, and one sign-out closes both', async () => {
  const { server, alice, page, app } = await begin()
  const one = await app({ hostname: 'app-one.localhost', metadata: { first_party: true } })
  const two = await app({ hostname: 'app-two.localhost', metadata: { first_party: true } })
  await page.goto(`${one.origin}/login`)
  await fillSignInWith(page, alice)
  expect(await userAt(page)).toBe('alice')
  await page.goto(`${two.origin}/login`)
  expect(await userAt(page)).toBe('alice')
  expect(one.signedIn()[0]?.sid).toBe(two.signedIn()[0]?.sid)
  await page.goto(`${two.origin}/login?prompt=none`)
  expect(await userAt(page)).toBe('alice')

  await page.locator('[data-action=sign-out]').click()
  await page.waitForSelector('[data-left]')
  await eventually(() => one.signedIn().length === 0, 'the first app is told')
  await page.goto(`${one.origin}/login`)
  await page.waitForSelector('input[name=password]')
  expect(page.url()).toContain(server.issuer)
})
