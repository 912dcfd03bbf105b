import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Claims, signJwt } from '../../src/keys/jwt.ts'
import type { Browser } from '../support/browser.ts'
import {
  answerOf,
  authorizeUrl,
  basic,
  claimsIn,
  getCode,
  getWithToken,
  type JsonAnswer,
  pkcePair,
  post,
  redeem,
} from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { makeApi, makeWeb, makeWeb2 } from './fixtures.ts'
import { expectErrorRedirect, expectTokenError, expectTokenRefused, unchanged } from './outcomes.ts'
import { rawForm, rawRequest, sendRaw } from './raw-bytes.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const headerIn = (token: string): Claims =>
  JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as Claims
const withHmac = (header: object, claims: object, key: Buffer | string): string => {
  const input = `${part(header)}.${part(claims)}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}
const withKey = (header: object, claims: object, key: KeyObject): string => {
  const input = `${part(header)}.${part(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** The key of this kid as everybody can read it. */
const publishedKey = async (kid: unknown): Promise<JsonWebKey> => {
  const { keys } = JSON.parse((await server.browser().send('/jwks')).body) as {
    keys: (JsonWebKey & { kid: string })[]
  }
  const found = keys.find(key => key.kid === kid)
  if (!found) throw new Error(`no key ${kid}`)
  return found
}

const attacker = generateKeyPairSync('ec', { namedCurve: 'P-256' })

/**
 * What an attacker makes of a genuine token: SEC-035 no signature, SEC-036 the public key as a secret, SEC-037 keys
 * of their own.
 *
 * @param sink an address that must never be called
 */
const forgeries = async (genuine: string, sink: string): Promise<[string, string][]> => {
  const header = headerIn(genuine)
  const claims = claimsIn(genuine)
  const [head = '', body = '', signature = ''] = genuine.split('.')
  const own = await publishedKey(header['kid'])
  const key = createPublicKey({ key: own, format: 'jwk' })
  const pem = key.export({ format: 'pem', type: 'spki' }).toString()
  const der = key.export({ format: 'der', type: 'spki' })
  const attackerJwk = attacker.publicKey.export({ format: 'jwk' })
  const es = { ...header, alg: 'ES256' }
  const none = ['none', 'nOnE', 'NONE', '', null, 0, undefined, ['none'], { alg: 'none' }]
  return [
    ...none.flatMap((alg): [string, string][] => [
      [`SEC-035 alg ${JSON.stringify(alg)} without a signature`, `${part({ ...header, alg })}.${body}.`],
      [
        `SEC-035 alg ${JSON.stringify(alg)} with its signature`,
        `${part({ ...header, alg })}.${body}.${signature}`,
      ],
      [`SEC-035 alg ${JSON.stringify(alg)} without kid`, `${part({ alg, typ: header['typ'] })}.${body}.`],
    ]),
    ['SEC-035 an empty signature', `${head}.${body}.`],
    ['SEC-035 no signature', `${head}.${body}`],
    ['SEC-035 a signature of one byte', `${head}.${body}.AA`],
    ['SEC-035 a signature of zeros', `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`],
    [
      'SEC-035 other claims under the signature',
      `${head}.${part({ ...claims, sub: 'mallory' })}.${signature}`,
    ],
    ['SEC-035 white space', `${head}.${body}.${signature.slice(0, 4)} ${signature.slice(4)}`],
    ['SEC-035 padding', `${head}.${body}.${signature}=`],
    ['SEC-035 four parts', `${genuine}.AA`],
    ['SEC-035 five parts', `${head}.AA.AA.AA.AA`],
    ['SEC-036 HS256 with the key as PEM', withHmac({ ...header, alg: 'HS256' }, claims, pem)],
    [
      'SEC-036 HS256 with the key as PEM without its last line break',
      withHmac({ ...header, alg: 'HS256' }, claims, pem.trimEnd()),
    ],
    ['SEC-036 HS256 with the key as DER', withHmac({ ...header, alg: 'HS256' }, claims, der)],
    ['SEC-036 HS256 with the key as JWK', withHmac({ ...header, alg: 'HS256' }, claims, JSON.stringify(own))],
    ['SEC-036 HS256 with an empty key', withHmac({ ...header, alg: 'HS256' }, claims, '')],
    ['SEC-036 HMAC under the name of our algorithm', withHmac(header, claims, pem)],
    [
      'SEC-036 another algorithm than that of the key',
      `${part({ ...header, alg: header['alg'] === 'ES256' ? 'RS256' : 'ES256' })}.${body}.${signature}`,
    ],
    ['SEC-037 signed by a stranger', withKey(es, claims, attacker.privateKey)],
    ['SEC-037 a jwk in the header', withKey({ ...es, jwk: attackerJwk }, claims, attacker.privateKey)],
    [
      'SEC-037 a jwk and its own kid',
      withKey({ ...es, jwk: { ...attackerJwk, kid: 'x' }, kid: 'x' }, claims, attacker.privateKey),
    ],
    ['SEC-037 jku', withKey({ ...es, jku: `${sink}/jwks` }, claims, attacker.privateKey)],
    ['SEC-037 x5u', withKey({ ...es, x5u: `${sink}/cert` }, claims, attacker.privateKey)],
    ['SEC-037 x5c', withKey({ ...es, x5c: [der.toString('base64')] }, claims, attacker.privateKey)],
    ...[
      '../../../dev/null',
      '/dev/null',
      "' OR 1=1--",
      'x'.repeat(8000),
      7,
      {},
      [],
      null,
      true,
      '',
      '__proto__',
      'constructor',
      'toString',
      '\u0000',
      undefined,
      [header['kid']],
    ].map((kid): [string, string] => [
      `SEC-037 kid ${JSON.stringify(kid)?.slice(0, 40)}`,
      withKey({ ...es, kid }, claims, attacker.privateKey),
    ]),
    [
      'SEC-037 a critical extension',
      withKey({ ...es, crit: ['b64'], b64: false }, claims, attacker.privateKey),
    ],
    ['not JSON in the header', `${Buffer.from('{').toString('base64url')}.${body}.${signature}`],
    ['an array for a header', `${part([])}.${body}.${signature}`],
    ['null for a header', `${part(null)}.${body}.${signature}`],
    ['null for claims', `${head}.${part(null)}.${signature}`],
    ['nothing but dots', '..'],
    ['100,000 dots, cut to what a header takes', '.'.repeat(8000)],
  ]
}

/** Counts who connects; nobody should. */
const startSink = async (): Promise<{ address: string; visits: () => number; stop: () => Promise<void> }> => {
  let visits = 0
  const sink = createServer((_, answer) => answer.end('{}'))
  sink.on('connection', () => {
    visits += 1
  })
  await new Promise<void>(resolve => sink.listen(0, '127.0.0.1', resolve))
  return {
    address: `http://127.0.0.1:${(sink.address() as AddressInfo).port}`,
    visits: () => visits,
    stop: () => new Promise(resolve => sink.close(() => resolve())),
  }
}

const signedIn = async (client: TestClient) => {
  const browser = server.browser()
  const alice = await server.createUser({ email: 'alice@web.test' })
  const tokens = await redeem(server, client, await getCode(browser, client, alice))
  return {
    alice,
    browser,
    tokens,
    accessToken: String(tokens.json['access_token']),
    idToken: String(tokens.json['id_token']),
  }
}

const inHeader = (token: string): Promise<JsonAnswer> => getWithToken(server, '/userinfo', token)
const inBody = (token: string): Promise<JsonAnswer> => post(server, '/userinfo', { access_token: token })

describe('a forged access token at UserInfo', () => {
  it('SEC-035, SEC-036, SEC-037 is invalid_token, in the header and in the body; nothing is fetched or changed', async () => {
    const sink = await startSink()
    try {
      const { accessToken } = await signedIn(await makeWeb(server))
      for (const present of [inHeader, inBody]) expect((await present(accessToken)).status).toBe(200)
      for (const [what, token] of await forgeries(accessToken, sink.address)) {
        for (const present of [inHeader, inBody])
          expectTokenRefused(await unchanged(server, () => present(token), what), what)
      }
      expect(sink.visits()).toBe(0)
    } finally {
      await sink.stop()
    }
  })

  it('signed by us, but with members that no access token has, is invalid_token', async () => {
    const { accessToken } = await signedIn(await makeWeb(server))
    const claims = claimsIn(accessToken)
    const key = server.services.keys.signer('ES256')
    const issue = (change: Claims, typ = 'at+jwt') => signJwt(key, typ, { ...claims, ...change })
    expect((await inHeader(await issue({}))).status).toBe(200)
    const changes: Claims[] = [
      ...[undefined, null, '9999999999', -1, 0, [9999999999], {}, true].map(exp => ({ exp })),
      ...[undefined, null, '', 'https://evil.test', `${server.issuer}/`, [server.issuer]].map(iss => ({
        iss,
      })),
      ...[undefined, null, '', 'https://evil.test', [], ['https://evil.test'], {}].map(aud => ({ aud })),
      ...[undefined, null, '', 'x', '.', 7, {}, '-', '__proto__.x', `${'0'.repeat(20)}.x`].map(jti => ({
        jti,
      })),
      ...[undefined, null, '', 'nope', 7, ['web']].map(client_id => ({ client_id })),
      ...[undefined, null, 7, ['openid']].map(scope => ({ scope })),
    ]
    for (const change of changes)
      expectTokenRefused(await inHeader(await issue(change)), JSON.stringify(change))
    for (const typ of ['JWT', 'jwt', 'AT+JWT', 'application/at+jwt', 'logout+jwt', ''])
      expectTokenRefused(await inHeader(await issue({}, typ)), typ)
  })
})

describe('a token at UserInfo that is meant for something else', () => {
  it('SEC-038 an ID token, a logout token, a code, a refresh token are invalid_token', async () => {
    const web = await makeWeb(server, { grant_types: ['authorization_code', 'refresh_token'] })
    const { browser, alice, tokens, idToken } = await signedIn(web)
    const { code } = await getCode(browser, web, alice)
    const key = server.services.keys.signer('RS256')
    const logoutToken = await signJwt(key, 'logout+jwt', {
      ...claimsIn(idToken),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    })
    for (const token of [idToken, logoutToken, code, String(tokens.json['refresh_token'])])
      for (const present of [inHeader, inBody])
        expectTokenRefused(await unchanged(server, () => present(token)), token.slice(0, 20))
  })

  it('SEC-038 an ID token stays none where an API takes tokens of the type JWT', async () => {
    await makeApi(server, 'api1', { tokenTyp: 'JWT' })
    const web = await makeWeb(server, { scope: 'openid api1:read' })
    const { browser, alice, idToken } = await signedIn(web)
    expectTokenRefused(await inHeader(idToken))
    const typed = await redeem(server, web, await getCode(browser, web, alice, { scope: 'openid api1:read' }))
    const token = String(typed.json['access_token'])
    expect(headerIn(token)['typ']).toBe('JWT')
    expect((await inHeader(token)).status).toBe(200)
  })

  it('SEC-057 a token for an API is invalid_token, whatever its scope: that API could replay it', async () => {
    await makeApi(server, 'api1')
    const web = await makeWeb(server, { scope: 'openid api1:read' })
    const alice = await server.createUser()
    const browser = server.browser()
    const tokenFor = async (parameters: Record<string, string>): Promise<string> => {
      const answer = await redeem(server, web, await getCode(browser, web, alice, parameters))
      return String(answer.json['access_token'])
    }
    const api = 'https://api1.test'
    for (const parameters of [
      { scope: 'openid api1:read', resource: api },
      { scope: 'openid', resource: api },
      { scope: 'api1:read' },
      { scope: 'api1:read', resource: api },
    ]) {
      const token = await tokenFor(parameters)
      expect(claimsIn(token)['aud'], JSON.stringify(parameters)).toBe(api)
      for (const present of [inHeader, inBody])
        expectTokenRefused(await present(token), JSON.stringify(parameters))
    }
    const both = await tokenFor({ scope: 'openid api1:read' })
    expect(claimsIn(both)['aud']).toEqual([api, server.issuer])
    expect((await inHeader(both)).status).toBe(200)
  })

  it("SEC-057 a client's own token, or one without openid, is insufficient_scope", async () => {
    const grant_types = ['authorization_code', 'client_credentials']
    const web = await makeWeb(server, { grant_types, scope: 'openid profile' })
    const own = await post(server, '/token', { grant_type: 'client_credentials' }, basic(web))
    expect(own.status).toBe(200)
    const without = await redeem(
      server,
      web,
      await getCode(server.browser(), web, await server.createUser(), { scope: 'profile' }),
    )
    expect(without.json['id_token']).toBeUndefined()
    for (const token of [own.json['access_token'], without.json['access_token']]) {
      const answer = await inHeader(String(token))
      expect(answer.status).toBe(403)
      expect(answer.json['error']).toBe('insufficient_scope')
      expect(answer.headers['www-authenticate']).toMatch(
        /^Bearer error="insufficient_scope".*scope="openid"$/,
      )
      expect(Object.keys(answer.json).sort()).toEqual(['error', 'error_description'])
    }
  })
})

describe('how a token is brought to UserInfo (RFC 6750)', () => {
  it('GET and POST with the header, and POST with a form, are taken', async () => {
    const { accessToken, alice } = await signedIn(await makeWeb(server))
    const authorization = `Authorization: Bearer ${accessToken}`
    const requests = {
      GET: rawRequest(server, 'GET /userinfo HTTP/1.1', [authorization]),
      // As curl -X POST sends it: no body, no length, no type.
      'POST without a body': rawRequest(server, 'POST /userinfo HTTP/1.1', [authorization]),
      'POST of length 0': rawRequest(server, 'POST /userinfo HTTP/1.1', [authorization, 'Content-Length: 0']),
      'POST of an empty form': rawForm(server, '/userinfo', '', [authorization]),
      'POST of JSON': rawRequest(
        server,
        'POST /userinfo HTTP/1.1',
        [authorization, 'Content-Type: application/json', 'Content-Length: 2'],
        '{}',
      ),
      'POST of a form': rawForm(server, '/userinfo', `access_token=${accessToken}`),
      'lower case': rawRequest(server, 'GET /userinfo HTTP/1.1', [`authorization: bearer ${accessToken}`]),
    }
    for (const [what, bytes] of Object.entries(requests)) {
      const answer = await sendRaw(server, bytes)
      expect(answer.status, `${what} ${answer.body}`).toBe(200)
      expect((JSON.parse(answer.body) as Claims)['sub'], what).toBe(alice.sub)
      expect(answer.head, what).toContain('Cache-Control: no-store')
    }
  })

  it('no token is 401 with a bare challenge; two ways, two headers or the query are invalid_request', async () => {
    const { accessToken } = await signedIn(await makeWeb(server))
    const authorization = `Authorization: Bearer ${accessToken}`
    const nothing = await server.browser().send('/userinfo', { headers: { accept: 'application/json' } })
    expect(nothing.status).toBe(401)
    expect(nothing.headers['www-authenticate']).toBe('Bearer')
    const refused = {
      query: rawRequest(server, `GET /userinfo?access_token=${accessToken} HTTP/1.1`),
      'query and header': rawRequest(server, `GET /userinfo?access_token=x HTTP/1.1`, [authorization]),
      'header and body': rawForm(server, '/userinfo', `access_token=${accessToken}`, [authorization]),
      'two in the body': rawForm(
        server,
        '/userinfo',
        `access_token=${accessToken}&access_token=${accessToken}`,
      ),
      'two headers': rawRequest(server, 'GET /userinfo HTTP/1.1', [authorization, 'Authorization: Bearer x']),
      'the same header twice': rawRequest(server, 'GET /userinfo HTTP/1.1', [authorization, authorization]),
    }
    for (const [what, bytes] of Object.entries(refused)) {
      const answer = await sendRaw(server, bytes)
      expect(answer.status, what).toBe(400)
      expect(JSON.parse(answer.body), what).toMatchObject({ error: 'invalid_request' })
      expect(answer.body, what).not.toContain(accessToken)
    }
    expect(server.logged.join('\n')).not.toContain(accessToken)
  })
})

describe('an id_token_hint that is none', () => {
  const hinted = (client: TestClient, hint: string, parameters: Record<string, string> = {}): string => {
    const { challenge } = pkcePair()
    const pkce = { code_challenge: challenge, code_challenge_method: 'S256' }
    return authorizeUrl(client, { ...pkce, ...parameters, id_token_hint: hint })
  }

  /** Ignored, so that the request goes on as it would without; `login_required` where nobody may be asked. */
  const expectIgnored = async (browser: Browser, client: TestClient, hint: string, what: string) => {
    const silent = await unchanged(server, () => browser.send(hinted(client, hint, { prompt: 'none' })), what)
    expectErrorRedirect(silent, 'login_required', { server, redirectUri: client.redirectUri }, what)
    const ordinary = await browser.send(hinted(client, hint))
    expect(answerOf(ordinary).get('code'), what).toEqual(expect.any(String))
  }

  it('SEC-035, SEC-036, SEC-037 is ignored at the authorization endpoint, and login_required with prompt=none', async () => {
    const sink = await startSink()
    try {
      const web = await makeWeb(server)
      const { browser, idToken } = await signedIn(web)
      const genuine = await browser.send(hinted(web, idToken, { prompt: 'none' }))
      expect(answerOf(genuine).get('code')).toEqual(expect.any(String))
      for (const [what, hint] of await forgeries(idToken, sink.address)) {
        // What is longer than a URL may be is refused before anybody looks into it.
        if (hint.length < 6000) await expectIgnored(browser, web, hint, what)
      }
      expect(sink.visits()).toBe(0)
    } finally {
      await sink.stop()
    }
  })

  it('SEC-035 shows the login page to somebody who is not signed in', async () => {
    const web = await makeWeb(server)
    const { idToken } = await signedIn(web)
    const [head = '', body = ''] = idToken.split('.')
    const page = await server.browser().open(hinted(web, `${head}.${body}.`))
    expect(page.status).toBe(200)
    expect(page.body).toContain('name="password"')
  })

  it('SEC-038 an access token, of either type, or a logout token is no hint', async () => {
    await makeApi(server, 'api1', { tokenTyp: 'JWT', alg: 'RS256' })
    const web = await makeWeb(server, { scope: 'openid api1:read' })
    const { browser, alice, accessToken, idToken } = await signedIn(web)
    const typed = await redeem(
      server,
      web,
      await getCode(browser, web, alice, { scope: 'openid api1:read', resource: 'https://api1.test' }),
    )
    const typedToken = String(typed.json['access_token'])
    expect(headerIn(typedToken)['typ']).toBe('JWT')
    const key = server.services.keys.signer('RS256')
    const claims = claimsIn(idToken)
    const hints = {
      'an access token': accessToken,
      'an access token typed JWT': typedToken,
      'a logout token': await signJwt(key, 'logout+jwt', claims),
      'another issuer': await signJwt(key, 'JWT', { ...claims, iss: 'https://evil.test' }),
      'no sub': await signJwt(key, 'JWT', { ...claims, sub: undefined }),
      'sub as a list': await signJwt(key, 'JWT', { ...claims, sub: [claims['sub']] }),
      'aud as a list': await signJwt(key, 'JWT', { ...claims, aud: [claims['aud']] }),
    }
    for (const [what, hint] of Object.entries(hints)) await expectIgnored(browser, web, hint, what)
  })

  it('an ID token that has expired is still a hint, and one of another person is not this person', async () => {
    const web = await makeWeb(server)
    const { browser, idToken } = await signedIn(web)
    for (let hour = 0; hour < 3; hour++) {
      server.sleep(3000)
      const answer = await browser.send(hinted(web, idToken, { prompt: 'none' }))
      expect(answerOf(answer).get('code'), `${hour}`).toEqual(expect.any(String))
    }
    const bob = await server.createUser({ username: 'bob' })
    const other = await redeem(server, web, await getCode(server.browser(), web, bob))
    const answer = await unchanged(server, () =>
      browser.send(hinted(web, String(other.json['id_token']), { prompt: 'none' })),
    )
    expectErrorRedirect(answer, 'login_required', { server, redirectUri: web.redirectUri })
  })

  it('SEC-035, SEC-036, SEC-037, SEC-038 signs nobody out: the page asks, and goes nowhere', async () => {
    const back = 'https://web.test/bye'
    const web = await makeWeb(server, { post_logout_redirect_uris: [back] })
    const { browser, idToken, accessToken } = await signedIn(web)
    const hints = await forgeries(idToken, 'http://127.0.0.1:9')
    for (const [what, hint] of [...hints, ['an access token', accessToken] as const]) {
      const query = new URLSearchParams({ id_token_hint: hint, post_logout_redirect_uri: back })
      if (query.toString().length > 7000) continue
      const page = await unchanged(server, () => browser.send(`/logout?${query}`), what)
      expect(page.status, what).toBe(200)
      expect(page.location, what).toBeUndefined()
      expect(page.body, what).toContain('name="decision"')
    }
    // Nor where it comes without a cookie, as a post from another site.
    const [head = '', body = ''] = idToken.split('.')
    const form = new URLSearchParams({ id_token_hint: `${head}.${body}.AA`, post_logout_redirect_uri: back })
    const posted = await unchanged(server, () =>
      server.browser().send('/logout', { method: 'POST', body: form.toString() }),
    )
    expect(posted.location).toBeUndefined()
    expect((await browser.send(hinted(web, idToken, { prompt: 'none' }))).location).toContain('code=')
  })
})

describe('tokens in the code flow', () => {
  it('SEC-036 what signs an ID token is what the client registered, never what it is asked with', async () => {
    const web = await makeWeb(server)
    const web2 = await makeWeb2(server, { id_token_signed_response_alg: 'ES256' })
    const alice = await server.createUser()
    const browser = server.browser()
    for (const [client, alg] of [
      [web, 'RS256'],
      [web2, 'ES256'],
    ] as const) {
      const tokens = await redeem(server, client, await getCode(browser, client, alice), { alg: 'none' })
      const { kid, ...header } = headerIn(String(tokens.json['id_token']))
      expect(header).toEqual({ alg, typ: 'JWT' })
      expect((await publishedKey(kid)).alg).toBe(alg)
      expect(headerIn(String(tokens.json['access_token']))['typ']).toBe('at+jwt')
    }
    for (const alg of ['none', 'HS256', 'RS1'])
      await expect(server.createClient({ id_token_signed_response_alg: alg })).rejects.toMatchObject({
        error: 'invalid_client_metadata',
      })
  })

  it('SEC-038 no JWT of ours is a code or a refresh token', async () => {
    const web = await makeWeb(server, { grant_types: ['authorization_code', 'refresh_token'] })
    const { accessToken, idToken } = await signedIn(web)
    for (const token of [accessToken, idToken]) {
      const fields = { code: token, refresh_token: token, redirect_uri: web.redirectUri }
      for (const grant_type of ['authorization_code', 'refresh_token'])
        expectTokenError(
          await unchanged(server, () => post(server, '/token', { ...fields, grant_type }, basic(web))),
          'invalid_grant',
        )
    }
  })
})
