import { afterEach, beforeEach, expect, it } from 'vitest'
import { answerOf, authorizeUrl, getCode, pkcePair } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

it('a sign-in form that another tab has made stale goes on without the password', async () => {
  const alice = await server.createUser()
  const one = await server.createClient({ first_party: true })
  const two = await server.createClient({ first_party: true, redirect_uris: ['https://web2.test/cb'] })
  const browser = server.browser()
  const { challenge } = pkcePair()
  const left = await browser.open(
    authorizeUrl(two, { code_challenge: challenge, code_challenge_method: 'S256' }),
  )
  await getCode(browser, one, alice)
  const answer = await browser.submit(left, { username: 'alice', password: 'whatever was typed' })
  expect(new URL(answer.location ?? '').origin).toBe('https://web2.test')
  expect(answerOf(answer).get('code')).toBeTruthy()
})

it('prompt=login still wants the password in such a form', async () => {
  const alice = await server.createUser()
  const web = await server.createClient({ first_party: true })
  const browser = server.browser()
  const { challenge } = pkcePair()
  const url = authorizeUrl(web, { code_challenge: challenge, code_challenge_method: 'S256', prompt: 'login' })
  await getCode(browser, web, alice)
  const left = await browser.open(url)
  await getCode(browser, web, alice, { prompt: 'login' })
  const answer = await browser.submit(left, { username: 'alice', password: 'whatever was typed' })
  expect(answer.status).toBe(200)
  expect(answer.body).toContain('name="password"')
})
