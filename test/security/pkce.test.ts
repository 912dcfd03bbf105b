import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Browser } from '../support/browser.ts'
import {
  answerOf,
  authorizeUrl,
  getCode,
  getWithToken,
  passPages,
  pkcePair,
  redeem,
} from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { makeExempt, makeSpa, makeWeb } from './fixtures.ts'
import {
  expectAudited,
  expectErrorRedirect,
  expectNowhere,
  expectTokenError,
  stateOf,
  unchanged,
} from './outcomes.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

/** A browser in which the client would get a code at once. */
const signedIn = async (client: TestClient): Promise<Browser> => {
  const browser = server.browser()
  await getCode(browser, client, await server.createUser())
  return browser
}

const { challenge } = pkcePair()
const badRequests: [string, Record<string, string | undefined>][] = [
  ['no challenge', {}],
  ['an empty challenge', { code_challenge: '', code_challenge_method: 'S256' }],
  ['the method plain', { code_challenge: challenge, code_challenge_method: 'plain' }],
  ['no method, which means plain', { code_challenge: challenge }],
  ['a method without a challenge', { code_challenge_method: 'S256' }],
  ['another spelling of the method', { code_challenge: challenge, code_challenge_method: 's256' }],
  ['an unknown method', { code_challenge: challenge, code_challenge_method: 'S512' }],
  ['a short challenge', { code_challenge: challenge.slice(1), code_challenge_method: 'S256' }],
  ['a long challenge', { code_challenge: `${challenge}A`, code_challenge_method: 'S256' }],
  ['a padded challenge', { code_challenge: `${challenge}=`, code_challenge_method: 'S256' }],
  [
    'a challenge in plain base64',
    { code_challenge: `+${challenge.slice(1)}`, code_challenge_method: 'S256' },
  ],
]

describe('PKCE at the authorization endpoint', () => {
  it('SEC-010 a public client must send a challenge of the method S256', async () => {
    const spa = await makeSpa(server)
    for (const browser of [server.browser(), await signedIn(spa)])
      for (const [what, parameters] of badRequests)
        for (const prompt of [undefined, 'none']) {
          const url = authorizeUrl(spa, { ...parameters, prompt })
          const answer = await unchanged(server, () => browser.send(url), what)
          expectErrorRedirect(answer, 'invalid_request', { server, redirectUri: spa.redirectUri }, what)
          await expectAudited(server, answer, 'authorize.rejected', { client: spa, what })
        }
  })

  it('SEC-010 a confidential client must too, unless it is registered with require_pkce false', async () => {
    const web = await makeWeb(server)
    const browser = await signedIn(web)
    for (const [what, parameters] of badRequests) {
      const answer = await unchanged(server, () => browser.send(authorizeUrl(web, parameters)), what)
      expectErrorRedirect(answer, 'invalid_request', { server, redirectUri: web.redirectUri }, what)
    }
    const exempt = await makeExempt(server)
    for (const [what, parameters] of badRequests.slice(2)) {
      const answer = await unchanged(server, () => browser.send(authorizeUrl(exempt, parameters)), what)
      expectErrorRedirect(answer, 'invalid_request', { server, redirectUri: exempt.redirectUri }, what)
    }
  })

  it('SEC-010 what is refused for a missing challenge says, in the audit, which setting to change', async () => {
    const web = await makeWeb(server)
    const answer = await server.browser().send(authorizeUrl(web))
    const event = await expectAudited(server, answer, 'authorize.rejected', {
      client: web,
      reason: 'pkce_missing',
    })
    expect(event.detail).toContain('require_pkce')
    expect(server.logged.join('')).toContain('require_pkce')
  })

  it('SEC-010 a public client cannot be registered without PKCE', async () => {
    await expect(makeSpa(server, { require_pkce: false })).rejects.toMatchObject({
      error: 'invalid_client_metadata',
    })
    const spa = await makeSpa(server, { profile: 'oidc' })
    const answer = await server.browser().send(authorizeUrl(spa))
    expectErrorRedirect(answer, 'invalid_request', { server, redirectUri: spa.redirectUri })
  })

  it('SEC-010 discovery lists S256 alone', async () => {
    for (const name of ['openid-configuration', 'oauth-authorization-server']) {
      const document = await server.browser().send(`/.well-known/${name}`)
      expect(JSON.parse(document.body)).toMatchObject({ code_challenge_methods_supported: ['S256'] })
    }
  })
})

describe('PKCE at the token endpoint', () => {
  it('SEC-011 a verifier without a challenge means the challenge was stripped: invalid_grant, and the code is burnt', async () => {
    const exempt = await makeExempt(server)
    const alice = await server.createUser()
    const stripped = { code_challenge: undefined, code_challenge_method: undefined }
    const { code } = await getCode(server.browser(), exempt, alice, stripped)
    const { verifier } = pkcePair()

    const refused = await redeem(server, exempt, { code, verifier })
    expectTokenError(refused, 'invalid_grant')
    await expectAudited(server, refused, 'token.rejected', { client: exempt, reason: 'pkce_downgrade' })
    expectTokenError(await redeem(server, exempt, { code }), 'invalid_grant')
    expect((await stateOf(server))['refresh_family'] ?? []).toEqual([])
    await expectNowhere(server, [code, verifier])
  })

  it('SEC-011 without both it is an ordinary code', async () => {
    const exempt = await makeExempt(server)
    const stripped = { code_challenge: undefined, code_challenge_method: undefined }
    const { code } = await getCode(server.browser(), exempt, await server.createUser(), stripped)
    expect((await redeem(server, exempt, { code })).status).toBe(200)
  })

  it('SEC-011 a challenge that was sent is enforced of an exempted client as well', async () => {
    const exempt = await makeExempt(server)
    const alice = await server.createUser()
    const browser = server.browser()
    for (const verifier of [undefined, '', pkcePair().verifier]) {
      const { code } = await getCode(browser, exempt, alice)
      expectTokenError(await redeem(server, exempt, { code, verifier }), 'invalid_grant')
    }
  })

  it('SEC-012 a wrong verifier burns the code: the right one comes too late', async () => {
    const alice = await server.createUser()
    for (const client of [await makeSpa(server), await makeWeb(server)]) {
      const browser = server.browser()
      const { challenge: right, verifier: rightVerifier } = pkcePair()
      const wrongs = [
        undefined,
        pkcePair().verifier,
        right,
        rightVerifier.slice(1),
        `${rightVerifier}A`,
        rightVerifier.toUpperCase(),
        'a',
        'x'.repeat(129),
        'x'.repeat(50_000),
        `${rightVerifier.slice(1)}é`,
        `${rightVerifier}\0`,
      ]
      for (const wrong of wrongs) {
        const { code, verifier } = await getCode(browser, client, alice)
        const first = await redeem(server, client, { code, verifier: wrong })
        expectTokenError(first, 'invalid_grant', String(wrong).slice(0, 60))
        await expectAudited(server, first, 'token.rejected', {
          client,
          reason: wrong === undefined ? 'pkce_missing' : 'pkce_mismatch',
        })
        const second = await redeem(server, client, { code, verifier })
        expectTokenError(second, 'invalid_grant')
        await expectNowhere(server, [code, verifier])
      }
    }
  })

  it('SEC-012 of 20 parallel guesses with the right verifier among them at most one gets tokens, and they end', async () => {
    const spa = await makeSpa(server)
    const { code, verifier } = await getCode(server.browser(), spa, await server.createUser())
    const guesses = Array.from({ length: 20 }, (_, index) => (index === 10 ? verifier : pkcePair().verifier))
    const answers = await Promise.all(guesses.map(guess => redeem(server, spa, { code, verifier: guess })))
    const good = answers.filter(answer => answer.status === 200)
    expect(good.length).toBeLessThanOrEqual(1)
    for (const answer of answers) if (answer.status !== 200) expectTokenError(answer, 'invalid_grant')
    for (const answer of good)
      expect((await getWithToken(server, '/userinfo', String(answer.json['access_token']))).status).toBe(401)
  })

  it('SEC-012 the challenge belongs to its own request: two tabs cannot be mixed', async () => {
    const spa = await makeSpa(server)
    const alice = await server.createUser()
    const browser = server.browser()
    const one = await getCode(browser, spa, alice)
    const other = await getCode(browser, spa, alice)
    expectTokenError(await redeem(server, spa, { code: one.code, verifier: other.verifier }), 'invalid_grant')
    expect((await redeem(server, spa, other)).status).toBe(200)
  })

  it('SEC-012 what is stored of a request when it goes on is its own challenge', async () => {
    const spa = await makeSpa(server)
    const alice = await server.createUser()
    const browser = server.browser()
    const { verifier, challenge: asked } = pkcePair()
    const page = await browser.open(
      authorizeUrl(spa, { code_challenge: asked, code_challenge_method: 'S256' }),
    )
    const bent = {
      ...page,
      body: page.body.replace(/action="([^"]*)"/g, `action="$1?code_challenge=${challenge}"`),
    }
    const answer = await passPages(browser, bent, alice)
    const code = String(answerOf(answer).get('code'))
    expect((await redeem(server, spa, { code, verifier })).status).toBe(200)
  })
})
