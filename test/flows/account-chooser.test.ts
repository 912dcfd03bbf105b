/** prompt=select_account (OIDC Core section 3.1.2.1). */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { headingOf } from '../account/support.ts'
import { answerOf, authorizeUrl, getCode, passPages, pkcePair } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const choosing = {
  prompt: 'select_account',
  code_challenge: pkcePair().challenge,
  code_challenge_method: 'S256',
}

it('is asked too where nobody is active and others are signed in at the browser', async () => {
  const [web, alice] = [await server.createClient({ first_party: true }), await server.createUser()]
  const bob = await server.createUser({ username: 'bob' })
  const browser = server.browser()
  await getCode(browser, web, alice)
  await getCode(browser, web, bob, { prompt: 'login' })
  const asked = await browser.open('/logout')
  expect(asked.body).toContain('<bdi>bob</bdi>')
  await browser.submit(asked, { decision: 'yes' })

  const chooser = await browser.open(authorizeUrl(web, choosing))
  expect(headingOf(chooser)).toBe('Choose an account')
  const value = /name="account" value="([^"]+)"[^>]*><bdi>alice/.exec(chooser.body)?.[1] ?? ''
  const answer = await browser.submit(chooser, { account: value })
  expect(answerOf(answer).get('code')).toBeTruthy()
})

it('leads to sign-in where nobody is signed in at all', async () => {
  const [web, alice] = [await server.createClient({ first_party: true }), await server.createUser()]
  const browser = server.browser()
  const page = await browser.open(authorizeUrl(web, choosing))
  expect(headingOf(page)).toBe('Sign in')
  expect(answerOf(await passPages(browser, page, alice)).get('code')).toBeTruthy()
})
