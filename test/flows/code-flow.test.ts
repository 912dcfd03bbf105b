import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  answerOf,
  authorizeUrl,
  claimsIn,
  getCode,
  getWithToken,
  passPages,
  pkcePair,
  redeem,
} from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

describe('the code flow', () => {
  it('signs in, asks for consent once, and gives tokens that say who it was', async () => {
    const alice = await server.createUser({ email: 'alice@example.com', name: 'Alice A.' })
    const web = await server.createClient({ scope: 'openid profile email' })
    const browser = server.browser()
    const { code, verifier, answer } = await getCode(browser, web, alice, {
      scope: 'openid profile email',
      nonce: 'n-1',
    })
    expect(answer.status).toBe(303)
    expect(answerOf(answer).get('iss')).toBe(server.issuer)
    expect(answerOf(answer).get('state')).toBe('state-1')

    const tokens = await redeem(server, web, { code, verifier })
    expect(tokens.status).toBe(200)
    expect(tokens.headers['cache-control']).toBe('no-store')
    expect(tokens.json).toMatchObject({
      token_type: 'Bearer',
      expires_in: 900,
      scope: 'openid profile email',
    })
    const idToken = claimsIn(tokens.json['id_token'])
    expect(idToken).toMatchObject({
      iss: server.issuer,
      sub: alice.sub,
      aud: web.id,
      nonce: 'n-1',
      email: 'alice@example.com',
      name: 'Alice A.',
    })
    expect(idToken['sid']).toEqual(expect.any(String))

    const userinfo = await getWithToken(server, '/userinfo', String(tokens.json['access_token']))
    expect(userinfo.json).toMatchObject({
      sub: alice.sub,
      preferred_username: 'alice',
      email_verified: false,
    })
  })

  it('a second app gets its code without a page', async () => {
    const alice = await server.createUser()
    const one = await server.createClient({ first_party: true })
    const two = await server.createClient({ first_party: true, redirect_uris: ['https://web2.test/cb'] })
    const browser = server.browser()
    await getCode(browser, one, alice)
    const { challenge } = pkcePair()
    const second = await browser.open(
      authorizeUrl(two, { code_challenge: challenge, code_challenge_method: 'S256' }),
    )
    expect(second.status).toBe(303)
    expect(answerOf(second).get('code')).toBeTruthy()
  })

  it('a denied consent goes back to the app as access_denied', async () => {
    const alice = await server.createUser()
    const web = await server.createClient()
    const browser = server.browser()
    const { challenge } = pkcePair()
    const page = await browser.open(
      authorizeUrl(web, { code_challenge: challenge, code_challenge_method: 'S256' }),
    )
    const consent = await browser.submit(page, { username: alice.username, password: alice.password })
    const denied = await browser.submit(consent, { decision: 'deny' })
    expect(answerOf(denied).get('error')).toBe('access_denied')
    expect(await passPages(browser, denied, alice)).toBe(denied)
  })
})
