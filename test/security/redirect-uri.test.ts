import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Refusal } from '../../src/http/refusal.ts'
import { parseClientMetadata } from '../../src/oauth/client/client-metadata.ts'
import type { Answer, Browser } from '../support/browser.ts'
import { type AuthorizeOptions, answerOf, authorizeUrl, getCode, pkcePair, redeem } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { disableClient, makeNative, makeWeb } from './fixtures.ts'
import { expectAudited, expectErrorPage, unchanged } from './outcomes.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const challenged = (): AuthorizeOptions => ({
  code_challenge: pkcePair().challenge,
  code_challenge_method: 'S256',
})

/** Somebody who would be sent back with a code at once: nothing but the redirect check stands in between. */
const signedIn = async (client: TestClient): Promise<Browser> => {
  const browser = server.browser()
  await getCode(browser, client, await server.createUser())
  return browser
}

const expectMismatch = async (
  browser: Browser,
  client: TestClient,
  parameters: AuthorizeOptions,
  reason = 'redirect_mismatch',
): Promise<Answer> => {
  const what = JSON.stringify(parameters)
  const url = authorizeUrl(client, { ...challenged(), ...parameters })
  const answer = await unchanged(server, () => browser.send(url), what)
  expectErrorPage(answer, 'invalid_request', what)
  await expectAudited(server, answer, 'authorize.rejected', { client, reason, what })
  return answer
}

/** What registration says to metadata; `undefined` when it is taken. */
const registrationError = (metadata: Record<string, unknown>, by: 'operator' | 'dynamic') => {
  try {
    parseClientMetadata({ redirect_uris: ['https://web.test/cb'], ...metadata }, by, {
      grantTypes: ['authorization_code'],
      responseTypes: ['code'],
      authMethods: ['client_secret_basic', 'client_secret_post', 'none'],
      signingAlgorithms: ['RS256'],
    })
    return undefined
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { status: error.status, error: error.error }
  }
}

describe('the redirect URI of an authorization request', () => {
  it('SEC-001 is compared as a string: no URL normalisation before it', async () => {
    const web = await makeWeb(server)
    const uris = [
      'https://web.test/cb/',
      'https://web.test/cb?x=1',
      'https://web.test/cb?',
      'https://WEB.test/cb',
      'https://web.test:443/cb',
      'HTTPS://web.test/cb',
      ' https://web.test/cb',
      '\thttps://web.test/cb',
      'https://web.test/cb ',
      'https://web.test/%63b',
      'https://web.test/./cb',
      'https://web.test/x/../cb',
      'https://web.test//cb',
      'https://web.test/cb;x',
      'https://web.test./cb',
      'https://user@web.test/cb',
      'https://web.test/c',
    ]
    for (const browser of [server.browser(), await signedIn(web)])
      for (const redirect_uri of uris) await expectMismatch(browser, web, { redirect_uri })
  })

  it('SEC-002 is no pattern and no prefix', async () => {
    const web = await makeWeb(server)
    const browser = await signedIn(web)
    for (const redirect_uri of [
      'https://webXtest/cb',
      'https://web.test.evil.test/cb',
      'https://web.test/cb.evil.test',
      'https://web.test@evil.test/cb',
      'https://evil.test/https://web.test/cb',
      'https://evil.test/?https://web.test/cb',
      'https://web.*/cb',
      '*',
    ])
      await expectMismatch(browser, web, { redirect_uri })
  })

  it('SEC-003 with a backslash, a NUL or a line break is a page, never a header and never a 500', async () => {
    const web = await makeWeb(server)
    const browser = await signedIn(web)
    for (const redirect_uri of [
      'https://web.test\\@evil.test/cb',
      'https://web.test\0.evil.test/cb',
      'https://web.test%00.evil.test/cb',
      'https://web.test/cb\r\nX:1',
      'https://web.test/cb%0d%0aX:1',
      'https://web.test/cb\ud800',
      'https://web.test/cb\u2028',
    ]) {
      const answer = await expectMismatch(browser, web, { redirect_uri })
      expect(answer.headers['x']).toBeUndefined()
    }
  })

  it('SEC-004 of a native app may differ in the loopback port, in nothing else', async () => {
    const native = await makeNative(server)
    const alice = await server.createUser()
    const redirectUri = 'http://127.0.0.1:51004/cb'
    const { code, verifier, answer } = await getCode(server.browser(), native, alice, {
      redirect_uri: redirectUri,
    })
    expect(answer.location?.startsWith(`${redirectUri}?`)).toBe(true)
    const tokens = await redeem(server, native, { code, verifier }, { redirect_uri: redirectUri })
    expect(tokens.status).toBe(200)

    const browser = server.browser()
    for (const redirect_uri of [
      'http://localhost:51004/cb',
      'http://127.1:51004/cb',
      'http://0x7f000001/cb',
      'http://2130706433/cb',
      'http://127.0.0.2:51004/cb',
      'http://[::1]:51004/cb',
      'http://127.0.0.1:51004/x',
      'http://127.0.0.1:51004/cb/',
      'http://127.0.0.1:51004/cb?x=1',
      'http://127.0.0.1:51004/cb#x',
      'http://127.0.0.1:/cb',
      'http://127.0.0.1:5100a/cb',
      'http://127.0.0.1:51004:1/cb',
      'http://127.0.0.1:51004@evil.test/cb',
      'http://127.0.0.1:51004.evil.test/cb',
      'http://127.0.0.1.evil.test:51004/cb',
      'https://127.0.0.1:51004/cb',
      'HTTP://127.0.0.1:51004/cb',
      // No port at all: nothing could listen there.
      'http://127.0.0.1:65536/cb',
      'http://127.0.0.1:99999/cb',
      'com.example.app:/cb2',
      'com.example.app://cb',
      'com.example.app:1/cb',
    ])
      await expectMismatch(browser, native, { redirect_uri })
  })

  it('SEC-004 of a client that is not native must have the port it was registered with', async () => {
    const web = await server.createClient({ redirect_uris: ['http://127.0.0.1:8080/cb'] })
    for (const redirect_uri of ['http://127.0.0.1/cb', 'http://127.0.0.1:8081/cb'])
      await expectMismatch(server.browser(), web, { redirect_uri })
    const page = await server.browser().open(authorizeUrl(web, challenged()))
    expect(page.status).toBe(200)
  })

  it('SEC-005 must be sent, and an unknown client is never sent anywhere', async () => {
    const web = await makeWeb(server)
    const browser = await signedIn(web)
    await expectMismatch(browser, web, { redirect_uri: undefined }, 'redirect_missing')
    await expectMismatch(browser, web, { redirect_uri: '' }, 'redirect_missing')

    const evil = 'https://evil.test/<svg onload=alert(1)>'
    const names = ['nope', '<svg onload=alert(1)>', 'WEB', 'web ', 'x'.repeat(501), 'web\0', 'wéb']
    for (const client_id of names) {
      const answer = await unchanged(server, () =>
        browser.send(authorizeUrl(web, { client_id, redirect_uri: evil })),
      )
      expectErrorPage(answer, 'invalid_client', client_id)
      expect(answer.body).not.toContain('onload')
      expect(answer.body).not.toContain('evil.test')
      await expectAudited(server, answer, 'authorize.rejected', { reason: 'invalid_client', what: client_id })
    }
    const missing = await browser.send(authorizeUrl(web, { client_id: undefined }))
    expectErrorPage(missing, 'invalid_request')
    await expectAudited(server, missing, 'authorize.rejected')
  })

  it('SEC-006 with a fragment is not the registered one', async () => {
    const web = await makeWeb(server)
    const browser = await signedIn(web)
    for (const redirect_uri of ['https://web.test/cb#f', 'https://web.test/cb#', 'https://web.test/cb%23f'])
      for (const response_mode of [undefined, 'fragment', 'form_post'])
        await expectMismatch(browser, web, { redirect_uri, response_mode })
  })

  it('SEC-007 cannot bring parameters of the answer along', async () => {
    const web = await makeWeb(server)
    const browser = await signedIn(web)
    for (const pollution of ['code=x&iss=https://evil.test', 'state=y', 'error=z', 'response=w'])
      for (const sign of ['?', '#', '&'])
        for (const response_mode of [undefined, 'form_post', 'fragment', 'jwt'])
          await expectMismatch(browser, web, {
            redirect_uri: `https://web.test/cb${sign}${pollution}`,
            response_mode,
          })
  })

  it('SEC-007 with a query of its own gets the answer appended, each member once', async () => {
    const redirectUri = 'https://web.test/cb?tenant=1&next=%2Fcode%3D'
    const web = await makeWeb(server, { redirect_uris: [redirectUri] })
    const { answer } = await getCode(server.browser(), web, await server.createUser())
    expect(answer.location?.startsWith(`${redirectUri}&`)).toBe(true)
    const parameters = answerOf(answer)
    for (const name of ['code', 'state', 'iss', 'tenant'])
      expect(parameters.getAll(name), name).toHaveLength(1)
  })

  it('SEC-009 is looked at before everything else', async () => {
    const web = await makeWeb(server)
    const browser = await signedIn(web)
    const elsewhere = { redirect_uri: 'https://evil.test/cb' }
    const wrongs: AuthorizeOptions[] = [
      { prompt: 'none' },
      { scope: 'openid phone' },
      { scope: '"' },
      { claims: '{' },
      { response_type: 'token' },
      { response_type: undefined },
      { response_mode: 'form_post' },
      { max_age: '-1' },
      { id_token_hint: 'x' },
      { request: 'x' },
      { resource: 'https://nope.test' },
      { code_challenge_method: 'plain' },
      { prompt: 'none', scope: 'openid phone', claims: '{', response_type: 'token' },
    ]
    for (const wrong of wrongs) await expectMismatch(browser, web, { ...elsewhere, ...wrong })
    const twice = await unchanged(server, () =>
      browser.send(`${authorizeUrl(web, { ...elsewhere, prompt: 'none' })}&redirect_uri=https://web.test/cb`),
    )
    expectErrorPage(twice, 'invalid_request')
    server.sleep(13 * 3600)
    // The session has expired; jobs that notice it may run meanwhile.
    const expired = await browser.send(authorizeUrl(web, { ...challenged(), ...elsewhere, prompt: 'none' }))
    expectErrorPage(expired, 'invalid_request')
    await expectAudited(server, expired, 'authorize.rejected', { client: web, reason: 'redirect_mismatch' })
  })

  it('SEC-009 of a disabled client leads nowhere', async () => {
    const web = await makeWeb(server)
    const browser = await signedIn(web)
    await disableClient(server, web)
    for (const prompt of [undefined, 'none', 'login']) {
      const answer = await unchanged(server, () =>
        browser.send(authorizeUrl(web, { ...challenged(), prompt })),
      )
      expectErrorPage(answer, 'invalid_client')
    }
  })
})

describe('registering a redirect URI', () => {
  const refused = { status: 400, error: 'invalid_redirect_uri' }

  it('SEC-006 with a fragment, or plain http for a web client, is invalid_redirect_uri', async () => {
    for (const by of ['operator', 'dynamic'] as const)
      for (const uri of ['https://web.test/cb#f', 'https://web.test/cb#'])
        expect(registrationError({ redirect_uris: [uri] }, by), uri).toEqual(refused)
    expect(registrationError({ redirect_uris: ['http://web.test/cb'] }, 'dynamic')).toEqual(refused)
    expect(registrationError({ redirect_uris: ['http://localhost.evil.test/cb'] }, 'dynamic')).toEqual(
      refused,
    )
    expect(registrationError({ redirect_uris: ['http://127.0.0.1.evil.test/cb'] }, 'dynamic')).toEqual(
      refused,
    )
    expect(registrationError({ redirect_uris: ['http://localhost/cb'] }, 'dynamic')).toBeUndefined()
    await unchanged(server, async () => {
      await expect(server.createClient({ redirect_uris: ['https://web.test/cb#f'] })).rejects.toMatchObject(
        refused,
      )
    })
  })

  it('SEC-007 with a parameter that belongs to the answer is invalid_redirect_uri', () => {
    const names = ['code', 'state', 'iss', 'error', 'response', 'id_token', 'access_token']
    for (const by of ['operator', 'dynamic'] as const)
      for (const name of names)
        for (const query of [
          `${name}=x`,
          `${name}`,
          `a=1&${name}=x`,
          `%${name.charCodeAt(0).toString(16)}${name.slice(1)}=x`,
        ])
          expect(
            registrationError({ redirect_uris: [`https://web.test/cb?${query}`] }, by),
            `${by} ${query}`,
          ).toEqual(refused)
  })

  it('SEC-008 a scheme that runs, or no web address, is refused in every field', async () => {
    const values = [
      'javascript:alert(1)',
      'JaVaScRiPt:alert(1)',
      'java\nscript:x',
      ' javascript:alert(1)',
      '\tjavascript:alert(1)',
      'javascript://web.test/%0aalert(1)',
      'data:text/html,x',
      'vbscript:x',
      'blob:https://web.test/x',
      'file:///etc/passwd',
      '//evil.test/cb',
      '/cb',
      'web.test/cb',
      'https:',
      'https:web.test/cb',
      'https:/web.test/cb',
      'https:///web.test/cb',
      'https://',
      'https://web.test\\@evil.test/cb',
      'https://user:secret@web.test/cb',
      'https://web.test/cb\r\nX: 1',
      'https://web.test/c b',
      'https://wéb.test/cb',
      'https://web.test:99999/cb',
      'https://web.test/%zz',
      'https://web.test/%00',
      'https://web.test/%0d%0a',
      '',
    ]
    const lists = ['redirect_uris', 'post_logout_redirect_uris']
    const links = [
      'client_uri',
      'logo_uri',
      'tos_uri',
      'policy_uri',
      'initiate_login_uri',
      'backchannel_logout_uri',
    ]
    const errors = ['invalid_redirect_uri', 'invalid_client_metadata']
    const asLink = new Set([
      'https://wéb.test/cb',
      'https://web.test/c b',
      'https://web.test/%zz',
      'https://web.test/%00',
      'https://web.test/%0d%0a',
      'https://web.test\\@evil.test/cb',
    ])
    for (const by of ['operator', 'dynamic'] as const)
      for (const application_type of ['web', 'native'])
        for (const value of values) {
          for (const field of lists) {
            const found = registrationError({ application_type, [field]: [value] }, by)
            const what = `${by} ${application_type} ${field} ${JSON.stringify(value)}`
            expect(found, what).toMatchObject({ status: 400 })
            expect(errors, what).toContain(found?.error)
          }
          // A link is only ever clicked, by a browser that escapes for itself.
          if (asLink.has(value)) continue
          for (const field of links) {
            const found = registrationError({ application_type, [field]: value }, by)
            expect(found, `${by} ${field} ${JSON.stringify(value)}`).toEqual({
              status: 400,
              error: 'invalid_client_metadata',
            })
          }
        }
    await unchanged(server, async () => {
      await expect(server.createClient({ redirect_uris: ['javascript:alert(1)'] })).rejects.toMatchObject(
        refused,
      )
      await expect(
        server.createClient({ post_logout_redirect_uris: ['javascript:alert(1)'] }),
      ).rejects.toMatchObject({ status: 400 })
    })
  })

  it('SEC-109 of another type, or too many, is invalid_redirect_uri', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => `https://web.test/${index}`)
    for (const value of ['https://web.test/cb', {}, 7, null, [], [null], many, [['x']]])
      expect(
        registrationError({ redirect_uris: value }, 'dynamic'),
        JSON.stringify(value).slice(0, 80),
      ).toEqual(refused)
    for (const body of [[], null, 'x', 7, true]) {
      expect(() =>
        parseClientMetadata(body, 'dynamic', {
          grantTypes: [],
          responseTypes: [],
          authMethods: [],
          signingAlgorithms: [],
        }),
      ).toThrow(expect.objectContaining({ status: 400, error: 'invalid_client_metadata' }))
    }
  })
})
