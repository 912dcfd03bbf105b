/** The language of pages: what the person chose, then what the app asks for, then what the browser does. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Browser } from '../support/browser.ts'
import { answerOf, authorizeUrl, passPages, pkcePair } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer, testPassword } from '../support/server.ts'

const alice = { username: 'alice', password: testPassword }

let server: TestServer
let web: TestClient
beforeAll(async () => {
  server = await startServer()
  web = await server.createClient()
  await server.createUser()
})
afterAll(() => server.stop())

const own = { 'sec-fetch-site': 'same-origin' }
const pkce = { code_challenge: pkcePair().challenge, code_challenge_method: 'S256' }

const linkTo = (body: string, locale: string): string =>
  /href="([^"]+)" lang="LOCALE"/.exec(body.replace(`lang="${locale}"`, 'lang="LOCALE"'))?.[1] ?? ''

const languageOf = async (browser: Browser, address: string, headers: Record<string, string> = {}) =>
  String((await browser.send(address, { headers })).headers['content-language'])

it('another site’s link shows a language and changes no choice; a stranger’s value is nothing at all', async () => {
  const browser = server.browser()
  expect(await languageOf(browser, '/?lang=de', { 'sec-fetch-site': 'cross-site' })).toBe('de')
  expect(browser.setCookies).toEqual([])
  expect(await languageOf(browser, '/?lang=../../etc/passwd', own)).toBe('en')
  expect(await languageOf(browser, '/?lang=de&lang=en', { ...own, 'accept-language': 'de' })).toBe('de')
  browser.cookies.clear()
  expect(await languageOf(browser, '/', { cookie: 'lintel-language-80=de; lintel-language=de' })).toBe('en')
})

it('the app’s ui_locales goes before the browser’s language, and what was chosen before both', async () => {
  const browser = server.browser()
  const german = { 'accept-language': 'de' }
  const url = authorizeUrl(web, { ...pkce, ui_locales: 'en' })
  expect((await browser.open(url)).body).toContain('<html lang="en"')
  expect(await languageOf(browser, '/', german)).toBe('de')
  expect(await languageOf(browser, '/?lang=de', own)).toBe('de')
  expect((await browser.open(url)).body).toContain('<html lang="de"')
})

it('changing the language keeps the request under way, and is remembered', async () => {
  const browser = server.browser()
  const page = await browser.open(authorizeUrl(web, pkce))
  const inGerman = await browser.send(linkTo(page.body, 'de'), { headers: own })
  expect(inGerman.body).toContain('<h1>Anmelden</h1>')
  expect(browser.setCookies.at(-1)).toMatch(
    /^lintel-language-\d+=de; Path=\/; HttpOnly; SameSite=Lax; Max-Age=31536000$/,
  )
  const refused = await browser.submit(inGerman, { username: 'alice', password: 'wrong' })
  expect(refused.body).toContain('passen nicht zusammen')
  const answer = await passPages(browser, await browser.open(page.url), alice)
  expect(answerOf(answer).get('code')).toBeTruthy()
  expect(answerOf(answer).get('state')).toBe('state-1')
  expect(await languageOf(browser, '/account', {})).not.toBe('en')
})

it('moments are told in the language of the page', async () => {
  const browser = server.browser()
  const page = await browser.open('/account')
  const account = await browser.submit(page, alice)
  expect(account.status).toBe(200)
  server.sleep(3500)
  const inGerman = await browser.send('/account?lang=de')
  expect(inGerman.body).toContain('>vor 58 Minuten</time>')
  expect(inGerman.body).toMatch(/title="\d\d\.\d\d\.\d{4}, \d\d:\d\d UTC"/)
})
