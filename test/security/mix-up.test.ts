import { afterEach, describe, expect, it } from 'vitest'
import type { Answer, Browser } from '../support/browser.ts'
import { answerOf, authorizeUrl, getCode, passPages, pkcePair, redeem } from '../support/flow.ts'
import { type ServerOptions, startServer, type TestClient, type TestServer } from '../support/server.ts'
import { makeWeb } from './fixtures.ts'

let server: TestServer
afterEach(() => server.stop())

const begin = async (options: ServerOptions = {}): Promise<TestClient> => {
  server = await startServer(options)
  return makeWeb(server)
}

/** Each name once: a second `iss` would leave it to the app which one it believes. */
const expectIssuer = (answer: Answer, what: string): URLSearchParams => {
  const parameters = answerOf(answer)
  for (const name of new Set(parameters.keys()))
    expect(parameters.getAll(name), `${what} ${name}`).toHaveLength(1)
  expect(parameters.get('iss'), what).toBe(server.issuer)
  expect(parameters.get('state'), what).toBe('state-1')
  return parameters
}

/** Where the answer stands in each mode, and nowhere else. */
const expectMode = (answer: Answer, mode: string, web: TestClient): void => {
  if (mode === 'form_post') {
    expect(answer.status).toBe(200)
    expect(answer.location).toBeUndefined()
    expect(answer.body.match(/<form/g)).toHaveLength(1)
    expect(answer.body).toContain(`method="post" action="${web.redirectUri}"`)
    expect(answer.headers['cache-control']).toBe('no-store')
    return
  }
  expect(answer.status).toBe(303)
  const url = new URL(String(answer.location))
  if (mode === 'fragment') {
    expect(url.search).toBe('')
    expect(url.hash).not.toBe('')
  } else {
    expect(url.hash).toBe('')
    expect(url.search).not.toBe('')
  }
}

const issuers: [string, ServerOptions][] = [
  ['on a port of localhost', {}],
  ['with a path', { issuer: 'https://op.test/sso' }],
  ['with a port and upper case in its path', { issuer: 'https://op.test:8443/SSO/a' }],
]

describe.each(issuers)('SEC-019 the issuer %s', (_, options) => {
  it('SEC-019 stands byte for byte in every success and error, in each response mode', async () => {
    const web = await begin(options)
    const alice = await server.createUser()
    for (const response_mode of [undefined, 'query', 'fragment', 'form_post']) {
      const mode = response_mode ?? 'query'
      const browser: Browser = server.browser()
      const { answer, code, verifier } = await getCode(browser, web, alice, { response_mode })
      expectMode(answer, mode, web)
      expectIssuer(answer, mode)
      expect((await redeem(server, web, { code, verifier })).status).toBe(200)

      const challenged = {
        code_challenge: pkcePair().challenge,
        code_challenge_method: 'S256',
        response_mode,
      }
      const errors: [string, Record<string, string | undefined>][] = [
        ['login_required', { prompt: 'none', max_age: '0' }],
        ['invalid_request', { prompt: 'none login' }],
        ['invalid_request', { code_challenge: undefined }],
        ['invalid_scope', { scope: 'openid phone' }],
        ['unsupported_response_type', { response_type: 'token' }],
        ['invalid_target', { resource: 'https://nope.test' }],
        ['request_not_supported', { request: 'x' }],
        ['request_uri_not_supported', { request_uri: 'https://rp.test/x' }],
        ['registration_not_supported', { registration: '{}' }],
      ]
      for (const [error, parameters] of errors) {
        const refused = await browser.send(authorizeUrl(web, { ...challenged, ...parameters }))
        expectMode(refused, mode, web)
        expect(expectIssuer(refused, `${mode} ${error}`).get('error')).toBe(error)
      }

      const consent = await browser.open(authorizeUrl(web, { ...challenged, prompt: 'consent' }))
      const denied = await browser.submit(consent, { decision: 'deny' })
      expectMode(denied, mode, web)
      expect(expectIssuer(denied, mode).get('error')).toBe('access_denied')
    }
  })
})

describe('SEC-019 metadata', () => {
  it('SEC-019 says that answers carry iss, with the issuer they carry', async () => {
    await begin()
    for (const name of ['openid-configuration', 'oauth-authorization-server']) {
      const { body } = await server.browser().send(`/.well-known/${name}`)
      expect(JSON.parse(body)).toMatchObject({
        issuer: server.issuer,
        authorization_response_iss_parameter_supported: true,
        response_modes_supported: ['query', 'fragment', 'form_post'],
      })
    }
  })

  it('SEC-019 an unknown response mode is refused in the query, with iss', async () => {
    const web = await begin()
    const browser = server.browser()
    for (const response_mode of ['jwt', 'query.jwt', 'web_message', 'QUERY', '__proto__', 'constructor']) {
      const answer = await browser.send(authorizeUrl(web, { response_mode }))
      expectMode(answer, 'query', web)
      expect(expectIssuer(answer, response_mode).get('error')).toBe('invalid_request')
    }
  })

  it('SEC-019 state comes back byte for byte, whatever is in it', async () => {
    const web = await begin()
    const alice = await server.createUser()
    const browser = server.browser()
    await getCode(browser, web, alice)
    const states = [
      ' a  b ',
      '+%2B&iss=https://evil.test&code=x#y',
      '"><script>alert(1)</script>',
      'é€𝄞\u202e\u0000\r\n\t',
      "'; drop table code; --",
      '%',
      'x'.repeat(1500),
      '<textarea>&amp;&#39;</textarea>',
    ]
    for (const state of states)
      for (const response_mode of ['query', 'fragment', 'form_post']) {
        const { challenge } = pkcePair()
        const url = authorizeUrl(web, {
          state,
          response_mode,
          code_challenge: challenge,
          code_challenge_method: 'S256',
        })
        const answer = await passPages(browser, await browser.open(url), alice)
        expectMode(answer, response_mode, web)
        expect(answerOf(answer).getAll('state'), response_mode).toEqual([state])
        expect(answerOf(answer).getAll('iss'), response_mode).toEqual([server.issuer])
        expect(answerOf(answer).getAll('code')).toHaveLength(1)
      }
  })
})
