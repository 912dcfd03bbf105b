import { constants, createHmac, generateKeyPairSync, KeyObject, sign as signBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { exportSPKI, importJWK } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { changeClient } from '../support/changes.ts'
import {
  type AssertionAlgorithm,
  assertionClaims,
  assertionFields,
  type ClientKey,
  makeAssertingClient,
  newClientKey,
  part,
  requestWith,
  signAssertion,
  startKeyServer,
} from '../support/client-assertions.ts'
import { databaseKind, freshDatabase, sized } from '../support/databases.ts'
import { basic, getWithToken, type JsonAnswer } from '../support/flow.ts'
import { freePort, startServer, type TestClient, type TestServer } from '../support/server.ts'
import { obtain, send } from '../support/tokens.ts'
import { startTwoServers } from '../support/two-servers.ts'
import {
  expectAudited,
  expectClientRefused,
  expectNowhere,
  expectTokenError,
  expectTokenRefused,
  unchanged,
} from './outcomes.ts'

let server: TestServer
let key: ClientKey
let client: TestClient
beforeEach(async () => {
  // Behind a proxy, so that each try comes from an address of its own: throttling is another matter.
  server = await startServer({ settings: { LINTEL_TRUSTED_PROXIES: '127.0.0.1/32' } })
  key = await newClientKey()
  client = await makeAssertingClient(server, key)
})
afterEach(() => server.stop())

let address = 0
const fromElsewhere = (): Record<string, string> => {
  address += 1
  return { 'x-forwarded-for': `10.${(address >> 16) & 255}.${(address >> 8) & 255}.${address & 255}` }
}

const claims = (more: Record<string, unknown> = {}): Record<string, unknown> =>
  assertionClaims(server, client, more)
const good = (): Promise<string> => signAssertion(key, claims())

const attempt = (assertion: string, more: Record<string, string> = {}, at = server): Promise<JsonAnswer> =>
  requestWith(at, assertion, more, fromElsewhere())

const expectRefused = async (assertion: string, what: string): Promise<void> => {
  const answer = await unchanged(server, () => attempt(assertion), what)
  expectClientRefused(answer, false, what)
  // With the client_id beside it, it is looked at all the same.
  expectClientRefused(await attempt(assertion, { client_id: client.id }), false, what)
}

const expectAccepted = async (assertion: string, what: string): Promise<void> =>
  expect((await attempt(assertion)).status, what).toBe(200)

/** Signs any text as header and claims, with node alone. */
const compact = (header: object | string, body: object | string, privateKey: KeyObject): string => {
  const input = `${part(header)}.${part(body)}`
  const signature = signBytes('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** A client whose key node can use for what jose would not write. */
const withNodeKey = async (): Promise<KeyObject> => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  client = await makeAssertingClient(server, key, {
    client_id: 'node',
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256' }] },
  })
  return privateKey
}

describe('a good client assertion', () => {
  it('is taken by each algorithm that is offered, with a typ of its own or none', async () => {
    await expectAccepted(await good(), 'ES256')
    for (const alg of ['RS256', 'PS256', 'EdDSA'] satisfies AssertionAlgorithm[]) {
      key = await newClientKey(alg)
      client = await makeAssertingClient(server, key, { client_id: alg })
      await expectAccepted(await good(), alg)
    }
    for (const typ of ['JWT', 'jwt', 'client-authentication+jwt'])
      await expectAccepted(await signAssertion(key, claims(), { typ }), typ)
    await expectAccepted(await signAssertion(key, claims(), { kid: undefined }), 'no kid, one key')
  })

  it('is taken at every endpoint that clients authenticate at', async () => {
    for (const path of ['/introspect', '/revoke']) {
      const answer = await send(server, path, { token: 'x', ...assertionFields(await good()) })
      expect(answer.status, path).toBe(200)
      const refused = await send(server, path, {
        token: 'x',
        ...assertionFields('x.y.z'),
        client_id: client.id,
      })
      expectClientRefused(refused, false, path)
    }
  })

  it('names its client by sub; a client_id beside it must be the same (RFC 7521 §4.2)', async () => {
    const other = await makeAssertingClient(server, await newClientKey(), { client_id: 'other' })
    expectClientRefused(await attempt(await good(), { client_id: other.id }), false)
    expectClientRefused(await attempt(await good(), { client_id: 'nobody' }), false)
    expect((await attempt(await good(), { client_id: client.id })).status).toBe(200)
  })
})

describe('SEC-035 an assertion without a signature', () => {
  it('is T401, whatever the header calls it', async () => {
    const body = part(claims())
    const [head = '', own = '', signature = ''] = (await good()).split('.')
    const unsigned: [string, string][] = [
      ...['none', 'nOnE', 'NONE', '', 'ES256', 'HS256'].map((alg): [string, string] => [
        `alg ${alg}`,
        `${part({ alg, kid: 'k1' })}.${body}.`,
      ]),
      ['no alg', `${part({ kid: 'k1' })}.${body}.`],
      ['no alg, a signature', `${part({ kid: 'k1' })}.${own}.${signature}`],
      ['alg none, a signature', `${part({ alg: 'none' })}.${own}.${signature}`],
      ['an alg that is a list', `${part({ alg: ['ES256'], kid: 'k1' })}.${own}.${signature}`],
      ['two parts', `${head}.${own}`],
      ['an empty signature', `${head}.${own}.`],
      ['a cut signature', `${head}.${own}.${signature.slice(0, -4)}`],
      ['a longer signature', `${head}.${own}.${signature}AAAA`],
      ['zeros', `${head}.${own}.${Buffer.alloc(64).toString('base64url')}`],
      ['other claims', `${head}.${body}.${signature}`],
      ['four parts', `${head}.${own}.${signature}.${signature}`],
      ['no header', `.${own}.${signature}`],
      ['a header that is a list', `${part('[]')}.${own}.${signature}`],
      ['a header that is null', `${part('null')}.${own}.${signature}`],
      ['nothing', '..'],
      ['a text', 'assertion'],
    ]
    for (const [what, assertion] of unsigned) await expectRefused(assertion, what)
  })
})

describe('SEC-036 an assertion by an algorithm that is not registered', () => {
  const hmac = (secret: string | Buffer, body: object): string => {
    const input = `${part({ alg: 'HS256', kid: 'k1' })}.${part(body)}`
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
  }

  it('HS256 keyed with the client’s public key, as PEM, as DER, as JWK: T401', async () => {
    for (const alg of ['ES256', 'RS256'] as const) {
      key = await newClientKey(alg)
      client = await makeAssertingClient(server, key, { client_id: `client-${alg}` })
      const publicKey = await importJWK(key.publicJwk, alg)
      if (publicKey instanceof Uint8Array) throw new Error('unreachable')
      const pem = await exportSPKI(publicKey)
      const registered = JSON.stringify(key.publicJwk)
      const secrets: [string, string | Buffer][] = [
        ['PEM', pem],
        ['PEM, trimmed', pem.trim()],
        ['DER', Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64')],
        ['JWK', registered],
        ['x or n', String(key.publicJwk.x ?? key.publicJwk.n)],
        ['nothing', ''],
      ]
      for (const [what, secret] of secrets) await expectRefused(hmac(secret, claims()), `${alg} ${what}`)
    }
  })

  it('the algorithm of another key type, or one that the client did not register: T401', async () => {
    const rsa = await newClientKey('RS256')
    client = await makeAssertingClient(server, rsa, {
      client_id: 'pinned',
      token_endpoint_auth_signing_alg: 'PS256',
      jwks: { keys: [{ ...rsa.publicJwk, alg: undefined }] },
    })
    await expectRefused(await signAssertion(rsa, claims()), 'RS256 though PS256 is registered')
    const { privateKey } = await newClientKey('PS256')
    await expectRefused(await signAssertion({ ...rsa, alg: 'PS256', privateKey }, claims()), 'another key')
    // The same key with the registered algorithm.
    const pkcs8 = KeyObject.from(rsa.privateKey)
    const input = `${part({ alg: 'PS256', kid: 'k1' })}.${part(claims())}`
    const signature = signBytes('sha256', Buffer.from(input), {
      key: pkcs8,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 32,
    })
    await expectAccepted(`${input}.${signature.toString('base64url')}`, 'PS256')
  })

  it('a secret that the client once had keys nothing: HS256 is not offered', async () => {
    const secret = 's'.repeat(43)
    client = await server.createClient({
      client_id: 'secretful',
      client_secret: secret,
      grant_types: ['client_credentials'],
      redirect_uris: undefined,
    })
    await expectRefused(hmac(secret, claims()), 'client_secret_jwt')
  })
})

describe('SEC-037 an assertion that brings its own key', () => {
  it('jwk, x5c, jku, x5u: T401, and nobody is asked for anything', async () => {
    let connections = 0
    const sink = createServer(socket => {
      connections += 1
      socket.destroy()
    })
    await new Promise<void>(resolve => sink.listen(0, '127.0.0.1', resolve))
    const { port } = sink.address() as AddressInfo
    try {
      const attacker = await newClientKey('ES256', 'k2')
      const at = `http://127.0.0.1:${port}/jwks`
      const certificate = 'MIIBszCCAVmgAwIBAgIU'
      for (const own of [attacker, key])
        for (const header of [
          { jwk: attacker.publicJwk },
          { jku: at },
          { jku: at, kid: 'unknown' },
          { x5u: at },
          { x5c: [certificate] },
          { jwk: attacker.publicJwk, jku: at, x5u: at, x5c: [certificate] },
        ])
          await expectRefused(await signAssertion(own, claims(), header), JSON.stringify(header))
      for (const kid of [undefined, 'k1', 'k2'])
        await expectRefused(await signAssertion(attacker, claims(), { kid }), `another key as ${kid}`)
      expect(connections).toBe(0)
    } finally {
      sink.close()
    }
  })

  it('an odd kid names nothing: no file is read, no SQL is run, no prototype is found', async () => {
    const privateKey = await withNodeKey()
    const kids: unknown[] = [
      '../../../dev/null',
      "' OR 1=1--",
      'x'.repeat(10_000),
      '__proto__',
      'constructor',
      'toString',
      '\u0000',
      'K1',
      'k1 ',
      1,
      0,
      -1,
      null,
      true,
      {},
      { toString: 'k1' },
      ['k1'],
      '',
    ]
    for (const kid of kids)
      await expectRefused(
        compact({ alg: 'ES256', kid }, claims(), privateKey),
        `kid ${JSON.stringify(kid)?.slice(0, 30)}`,
      )
    await expectAccepted(compact({ alg: 'ES256', kid: 'k1' }, claims(), privateKey), 'the good one')
  })

  it('critical members that we do not know, and an unencoded payload: T401', async () => {
    const privateKey = await withNodeKey()
    for (const header of [
      { crit: ['exp'], exp: 1 },
      { crit: ['b64'], b64: false },
      { crit: [] },
      { crit: 'exp' },
    ])
      await expectRefused(
        compact({ alg: 'ES256', kid: 'k1', ...header }, claims(), privateKey),
        JSON.stringify(header),
      )
  })
})

describe('SEC-038 another kind of token as client assertion', () => {
  it('signed with the client’s own key, but typed as something else: T401', async () => {
    for (const typ of [
      'at+jwt',
      'AT+JWT',
      'application/at+jwt',
      'logout+jwt',
      'dpop+jwt',
      'secevent+jwt',
      'oauth-authz-req+jwt',
      'token-introspection+jwt',
    ])
      await expectRefused(await signAssertion(key, claims(), { typ }), typ)
    const privateKey = await withNodeKey()
    for (const typ of [1, null, {}, ['JWT']])
      await expectRefused(
        compact({ alg: 'ES256', kid: 'k1', typ }, claims(), privateKey),
        JSON.stringify(typ),
      )
  })

  it('an ID token or access token of ours is none, even for a client that names our keys as its own', async () => {
    const web = await server.createClient({ client_id: 'web', first_party: true })
    const tokens = await obtain(server, web, await server.createUser())
    const jwks = JSON.parse(server.services.keys.jwks().body.toString()) as Record<string, unknown>
    client = await makeAssertingClient(server, key, { client_id: 'mirror', jwks })
    for (const token of [tokens.id_token, tokens.access_token]) {
      expectClientRefused(await attempt(token), false)
      for (const id of ['mirror', 'web', client.id])
        expectClientRefused(await attempt(token, { client_id: id }), false)
    }
  })

  it('a client assertion is no access token', async () => {
    for (const typ of [undefined, 'at+jwt', 'JWT'])
      expectTokenRefused(
        await getWithToken(
          server,
          '/userinfo',
          await signAssertion(key, claims({ scope: 'openid', client_id: 'jwt' }), { typ }),
        ),
      )
  })
})

describe('SEC-039 the times of an assertion', () => {
  it('odd, missing, past or far: T401; a fractional exp and a little skew are fine', async () => {
    const privateKey = await withNodeKey()
    const now = Math.floor(server.services.now().getTime() / 1000)
    const signed = (body: object | string): string => compact({ alg: 'ES256', kid: 'k1' }, body, privateKey)
    const refused: [string, object | string][] = [
      ['exp a text', claims({ exp: String(now + 60) })],
      ['exp 1e300', claims({ exp: 1e300 })],
      ['exp beyond every number', JSON.stringify(claims({ exp: 0 })).replace('"exp":0', '"exp":1e999')],
      ['exp -1', claims({ exp: -1 })],
      ['exp 0', claims({ exp: 0 })],
      ['exp null', claims({ exp: null })],
      ['exp true', claims({ exp: true })],
      ['exp a list', claims({ exp: [now + 60] })],
      ['exp NaN', JSON.stringify(claims({ exp: 0 })).replace('"exp":0', '"exp":NaN')],
      ['no exp', claims({ exp: undefined })],
      ['exp in a year', claims({ exp: now + 31_536_000 })],
      ['exp in 20 minutes', claims({ exp: now + 1200 })],
      ['exp past', claims({ exp: now - 60 })],
      ['iat in ten years', claims({ iat: now + 315_360_000 })],
      ['iat in a minute', claims({ iat: now + 60 })],
      ['iat a text', claims({ iat: String(now) })],
      ['iat beyond every number', JSON.stringify(claims({ iat: 0 })).replace('"iat":0', '"iat":1e999')],
      ['nbf in an hour', claims({ nbf: now + 3600 })],
      ['nbf in a minute', claims({ nbf: now + 60 })],
      ['nbf a text', claims({ nbf: 'now' })],
      ['claims that are a list', '[]'],
      ['claims that are null', 'null'],
      ['claims that are no JSON', '{'],
    ]
    for (const [what, body] of refused) await expectRefused(signed(body), what)
    const accepted: [string, object][] = [
      ['a fractional exp', claims({ exp: now + 60.5 })],
      ['fractional everything', claims({ exp: now + 60.25, iat: now - 0.5, nbf: now - 0.5 })],
      ['no iat', claims({ iat: undefined })],
      ['nbf and iat 8 seconds ahead', claims({ nbf: now + 8, iat: now + 8 })],
      ['exp 5 seconds past', claims({ exp: now - 5 })],
    ]
    for (const [what, body] of accepted) await expectAccepted(signed(body), what)
  })
})

describe('SEC-040 the audience of an assertion', () => {
  const audiences = (): [string, unknown][] => [
    ['the issuer and another', [server.issuer, 'https://other.test']],
    ['another alone', 'https://other.test'],
    ['the token URL of another', 'https://other.test/token'],
    ['an object', { [server.issuer]: true }],
    ['null', null],
    ['none', undefined],
    ['an empty list', []],
    ['an empty text', ''],
    ['the issuer with a slash', `${server.issuer}/`],
    ['the issuer in capitals', server.issuer.toUpperCase()],
    ['another endpoint', `${server.issuer}/introspect`],
    ['the issuer twice over', `${server.issuer} ${server.issuer}`],
    ['a list in a list', [[server.issuer]]],
    ['the client', client.id],
  ]
  const more = (): [string, unknown][] => [
    ['a list of the issuer', [server.issuer]],
    ['the token endpoint', `${server.issuer}/token`],
    ['a list of issuer and token endpoint', [server.issuer, `${server.issuer}/token`]],
  ]

  it('is the plain issuer string, and nothing else', async () => {
    for (const [what, aud] of [...audiences(), ...more()])
      await expectRefused(await signAssertion(key, claims({ aud })), what)
    await expectAccepted(await good(), 'the issuer')
  })

  it('profile oidc takes the token endpoint too, and a list of nothing but the two', async () => {
    client = await makeAssertingClient(server, key, { client_id: 'oidc', profile: 'oidc' })
    for (const [what, aud] of audiences()) {
      await expectRefused(await signAssertion(key, claims({ aud })), what)
    }
    for (const [what, aud] of more()) await expectAccepted(await signAssertion(key, claims({ aud })), what)
    await expectAccepted(await good(), 'the issuer')
  })

  it('iss and sub are the client; nobody speaks for another', async () => {
    const other = await makeAssertingClient(server, await newClientKey(), { client_id: 'other' })
    for (const odd of [
      { iss: other.id },
      { sub: other.id },
      { iss: other.id, sub: other.id },
      { iss: undefined },
      { sub: undefined },
      { iss: [client.id] },
      { sub: '' },
      { sub: 'nobody' },
      { sub: '\ud800' },
      { sub: 'x'.repeat(5000) },
      { iss: server.issuer },
    ]) {
      const assertion = await signAssertion(key, claims(odd))
      expectClientRefused(await attempt(assertion), false, JSON.stringify(odd).slice(0, 60))
      expectClientRefused(
        await attempt(assertion, { client_id: client.id }),
        false,
        JSON.stringify(odd).slice(0, 60),
      )
    }
    // No text holds a NUL, in either database.
    const odd = await signAssertion(key, claims({ sub: '\u0000' }))
    expectTokenError(await attempt(odd), 'invalid_request')
  })
})

describe('SEC-041 an assertion made to cost', () => {
  it('is refused with little work: encrypted, nested, dotted, large', async () => {
    const head = (header: object): string => part({ kid: 'k1', ...header })
    const junk = 'A'.repeat(40)
    const bombs = [
      `${head({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 2_000_000_000, p2s: junk })}.${junk}.${junk}.${junk}.${junk}`,
      `${head({ alg: 'dir', enc: 'A128GCM', zip: 'DEF' })}..${junk}.${junk}.${junk}`,
      '.'.repeat(16_000),
      `${part(`{"alg":"ES256","kid":"k1","x":${'['.repeat(5000)}${']'.repeat(5000)}}`)}.${part(claims())}.${junk}`,
      `${part({ alg: 'ES256', kid: 'k1' })}.${part(`{"sub":${'['.repeat(5000)}`)}.${junk}`,
      `${part({ alg: 'ES256', kid: 'k1' })}.${'A'.repeat(16_000)}.${junk}`,
      'x'.repeat(60_000),
    ]
    for (const bomb of bombs) {
      const before = process.cpuUsage()
      const rounds = 5
      for (let round = 0; round < rounds; round++)
        expectClientRefused(await attempt(bomb, { client_id: client.id }), false, bomb.slice(0, 40))
      const { user, system } = process.cpuUsage(before)
      expect((user + system) / 1000 / rounds, bomb.slice(0, 40)).toBeLessThan(50)
    }
    for (const huge of ['.'.repeat(100_000), 'x'.repeat(1_000_000)])
      expect((await attempt(huge)).status).toBe(413)
    await expectAccepted(await good(), 'the good one')
  })
})

describe('SEC-042 an assertion is used once', () => {
  it('the second time it is T401, told as a replay; another jti of the same client is fine', async () => {
    const assertion = await good()
    await expectAccepted(assertion, 'first')
    server.sleep(1)
    const again = await requestWith(server, assertion)
    expectClientRefused(again, false)
    await expectAudited(server, again, 'client_auth.failed', { client, reason: 'replay' })
    // Re-signed with the same jti; and with the endpoint changed.
    const [, body = ''] = assertion.split('.')
    const same = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>
    expectClientRefused(await attempt(await signAssertion(key, { ...same, nonce: 'x' })), false)
    expectClientRefused(
      await send(server, '/introspect', { token: 'x', ...assertionFields(assertion) }),
      false,
    )
    await expectAccepted(await good(), 'another jti')
    await expectNowhere(server, [assertion])
  })

  it('the same jti of another client is another assertion', async () => {
    const otherKey = await newClientKey()
    const other = await makeAssertingClient(server, otherKey, { client_id: 'other' })
    await expectAccepted(await signAssertion(key, claims({ jti: 'same' })), 'one')
    const theirs = assertionClaims(server, other, { jti: 'same' })
    await expectAccepted(await signAssertion(otherKey, theirs), 'the other')
  })

  it('one that is refused for its claims does not use its jti up for a good one', async () => {
    const jti = 'kept'
    expectClientRefused(
      await attempt(await signAssertion(key, claims({ jti, aud: 'https://other.test' }))),
      false,
    )
    await expectAccepted(await signAssertion(key, claims({ jti })), 'the good one')
  })

  it('without a jti, or with an odd one, it is T401', async () => {
    for (const jti of [undefined, '', 1, null, ['x'], {}, 'x'.repeat(1000)])
      await expectRefused(await signAssertion(key, claims({ jti })), `jti ${JSON.stringify(jti)}`)
  })

  it('is remembered as long as it could be accepted, tolerance included', async () => {
    const now = Math.floor(server.services.now().getTime() / 1000)
    const assertion = await signAssertion(key, claims({ exp: now + 30 }))
    await expectAccepted(assertion, 'first')
    for (const pause of [29, 10, 4, 2, 60]) {
      server.sleep(pause)
      // The job that cleans up runs every second beside.
      await new Promise(resolve => setTimeout(resolve, pause === 10 ? 1500 : 0))
      expectClientRefused(await attempt(assertion), false, `${pause} s later`)
    }
  })

  it('20 times at once, at two servers of one database: one is taken', async () => {
    const { one, other, stop } = await startTwoServers()
    try {
      const asserting = await makeAssertingClient(one, key)
      const rounds = sized(3, 50, 'rounds')
      for (let round = 0; round < rounds; round++) {
        const assertion = await signAssertion(key, assertionClaims(one, asserting))
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, index) => requestWith(index % 2 ? one : other, assertion)),
        )
        expect(answers.filter(answer => answer.status === 200)).toHaveLength(1)
        for (const answer of answers.filter(one => one.status !== 200)) expectClientRefused(answer, false)
        one.sleep(61)
        other.sleep(61)
      }
    } finally {
      await stop()
    }
  })

  it('after a restart it is still used', async () => {
    const database = await freshDatabase(databaseKind())
    const options = {
      database: { ...database, remove: async () => undefined },
      issuer: `http://localhost:${await freePort()}`,
    }
    try {
      const before = await startServer(options)
      const asserting = await makeAssertingClient(before, key)
      const assertion = await signAssertion(
        key,
        assertionClaims(before, asserting, { exp: Math.floor(Date.now() / 1000) + 500 }),
      )
      expect((await requestWith(before, assertion)).status).toBe(200)
      await before.stop()
      const after = await startServer(options)
      try {
        expectClientRefused(await requestWith(after, assertion), false)
        expect(
          (await requestWith(after, await signAssertion(key, assertionClaims(after, asserting)))).status,
        ).toBe(200)
      } finally {
        await after.stop()
      }
    } finally {
      await database.remove()
    }
  })
})

describe('SEC-043 the method of a client is the one it registered', () => {
  it('a client with private_key_jwt cannot use a secret, a bare client_id, or a fake assertion beside them', async () => {
    const fields = { grant_type: 'client_credentials' }
    const secret = { ...client, secret: 's'.repeat(43) }
    expectClientRefused(await send(server, '/token', fields, { ...basic(secret), ...fromElsewhere() }), true)
    expectClientRefused(
      await send(server, '/token', fields, {
        authorization: `Basic ${Buffer.from('jwt:').toString('base64')}`,
      }),
      true,
    )
    expectClientRefused(await send(server, '/token', { ...fields, client_id: client.id }), false)
    expectClientRefused(
      await send(server, '/token', { ...fields, client_id: client.id, client_secret: 'x' }),
      false,
    )
    const unsigned = `${part({ alg: 'none' })}.${part(claims())}.`
    expectTokenError(await attempt(unsigned, { client_secret: 'x', client_id: client.id }), 'invalid_request')
    expectTokenError(await requestWith(server, unsigned, {}, basic(secret)), 'invalid_request')
    expectTokenError(await requestWith(server, await good(), {}, basic(secret)), 'invalid_request')
  })

  it('a secret that the client had before it registered its key does nothing', async () => {
    const before = await server.createClient({
      client_id: 'moved',
      grant_types: ['client_credentials'],
      redirect_uris: undefined,
    })
    expect((await send(server, '/token', { grant_type: 'client_credentials' }, basic(before))).status).toBe(
      200,
    )
    await changeClient(server, before, {
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [key.publicJwk] },
    })
    expectClientRefused(
      await send(server, '/token', { grant_type: 'client_credentials' }, basic(before)),
      true,
    )
    client = before
    await expectAccepted(await good(), 'by its key')
  })

  it('a client with a secret, and a public one, cannot use an assertion, keys or not', async () => {
    const jwks = { keys: [key.publicJwk] }
    for (const method of [undefined, 'client_secret_basic', 'client_secret_post']) {
      client = await server.createClient({
        ...(method === undefined ? {} : { token_endpoint_auth_method: method }),
        grant_types: ['client_credentials'],
        redirect_uris: undefined,
        jwks,
      })
      expectClientRefused(await attempt(await good()), false, String(method))
    }
    client = await server.createClient({ client_id: 'spa', token_endpoint_auth_method: 'none', jwks })
    expectClientRefused(await attempt(await good()), false, 'public')
  })

  it('an assertion of another type, or half of one, is refused', async () => {
    const assertion = await good()
    for (const fields of [
      { client_assertion: assertion },
      {
        client_assertion: assertion,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer',
      },
      { client_assertion: assertion, client_assertion_type: 'jwt' },
      { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' },
    ]) {
      const answer = await send(server, '/token', { grant_type: 'client_credentials', ...fields })
      expectClientRefused(answer, false, JSON.stringify(Object.keys(fields)))
    }
    expectTokenError(
      await send(server, '/token', [
        ['grant_type', 'client_credentials'],
        ...Object.entries(assertionFields(assertion)),
        ['client_assertion', assertion],
      ]),
      'invalid_request',
    )
    await expectAccepted(assertion, 'whole')
  })
})

describe('SEC-048 keys at a jwks_uri', () => {
  const withKeyServer = async (run: (keys: Awaited<ReturnType<typeof startKeyServer>>) => Promise<void>) => {
    const keys = await startKeyServer(key)
    try {
      client = await makeAssertingClient(server, key, { client_id: 'remote', jwks_uri: keys.uri })
      await run(keys)
    } finally {
      await keys.close()
    }
  }

  it('a thousand assertions with random kids fetch them once a minute at most, and all are T401', () =>
    withKeyServer(async keys => {
      const count = sized(200, 1000, 'assertions')
      for (let sent = 0; sent < count; sent += 20) {
        const answers = await Promise.all(
          Array.from({ length: 20 }, async (_, index) =>
            attempt(await signAssertion(key, claims(), { kid: `unknown-${sent + index}` })),
          ),
        )
        for (const answer of answers) expectClientRefused(answer, false)
      }
      expect(keys.requests()).toBe(1)
      await expectAccepted(await good(), 'the good one, from what was fetched')
      server.sleep(61)
      await Promise.all(
        Array.from({ length: 20 }, async () =>
          attempt(await signAssertion(key, claims(), { kid: 'unknown' })),
        ),
      )
      expect(keys.requests()).toBe(2)
    }))

  it('a crowd that comes while they are fetched waits for the one fetch', () =>
    withKeyServer(async keys => {
      keys.answer({ keys: [key.publicJwk] }, { delay: 300 })
      const answers = await Promise.all(Array.from({ length: 30 }, async () => attempt(await good())))
      expect(answers.map(answer => answer.status)).toEqual(Array(30).fill(200))
      expect(keys.requests()).toBe(1)
    }))

  it('a client rotates its key: the new kid is fetched after a minute, the old one is gone with it', () =>
    withKeyServer(async keys => {
      await expectAccepted(await good(), 'the old key')
      const next = await newClientKey('ES256', 'k2')
      keys.answer({ keys: [next.publicJwk] })
      const early = await attempt(await signAssertion(next, claims()))
      expectClientRefused(early, false, 'not fetched again yet')
      server.sleep(61)
      await expectAccepted(await signAssertion(next, claims()), 'the new key')
      expect(keys.requests()).toBe(2)
      expectClientRefused(await attempt(await good()), false, 'the old key')
    }))

  it('a key that is taken down is refused after five minutes, though its kid is known', () =>
    withKeyServer(async keys => {
      await expectAccepted(await good(), 'while it is there')
      keys.answer({ keys: [] })
      server.sleep(301)
      expectClientRefused(await attempt(await good()), false)
      expect(keys.requests()).toBe(2)
    }))

  it('a fetch that fails, in whatever way, is T401, is not tried again for a minute, and gets well by itself', () =>
    withKeyServer(async keys => {
      let fetched = 0
      const failures: [unknown, { status?: number; headers?: Record<string, string> }?][] = [
        ['', { status: 500 }],
        ['', { status: 404 }],
        [{ keys: [key.publicJwk] }, { status: 201 }],
        ['', { status: 302, headers: { location: keys.uri } }],
        ['not JSON'],
        ['null'],
        ['[]'],
        [{}],
        [{ keys: 'x' }],
        [{ keys: {} }],
        [{ keys: [null, 1, 'x', {}, { kty: 1 }] }],
        [{ keys: Array(21).fill(key.publicJwk) }],
        [{ keys: [key.publicJwk], padding: 'x'.repeat(70_000) }],
        [{ keys: [{ kty: 'EC', kid: 'k1', alg: 'ES256' }] }],
        [{ keys: [{ kty: 'oct', kid: 'k1', k: 'AAAA' }] }],
        [{ keys: [{ ...key.publicJwk, use: 'enc' }] }],
        [{ keys: [{ ...key.publicJwk, kid: 'other' }] }],
      ]
      for (const [body, how] of failures) {
        const what = JSON.stringify([body, how]).slice(0, 80)
        keys.answer(body, how)
        server.sleep(301)
        fetched += 1
        expectClientRefused(await attempt(await good()), false, what)
        expectClientRefused(await attempt(await good()), false, what)
        expect(keys.requests(), what).toBe(fetched)
      }
      keys.answer({ keys: [key.publicJwk] })
      server.sleep(61)
      await expectAccepted(await good(), 'well again')
    }))

  it('a server that is away does not end what is known: the keys of before count on', () =>
    withKeyServer(async keys => {
      await expectAccepted(await good(), 'first')
      keys.answer('', { status: 503 })
      server.sleep(400)
      await expectAccepted(await good(), 'while it is away')
    }))

  it('an address that must not be reached is not: link-local, and loopback for an issuer in production', async () => {
    client = await makeAssertingClient(server, key, {
      client_id: 'metadata',
      jwks_uri: 'http://169.254.169.254/jwks',
    })
    expectClientRefused(await attempt(await good()), false)
    const keys = await startKeyServer(key)
    const production = await startServer({ issuer: 'https://op.test' })
    try {
      for (const uri of [keys.uri, keys.uri.replace('http:', 'https:')]) {
        const id = `loopback-${uri.slice(0, 5)}`
        const asserting = await makeAssertingClient(production, key, { client_id: id, jwks_uri: uri })
        const assertion = await signAssertion(key, assertionClaims(production, asserting))
        expectClientRefused(await requestWith(production, assertion), false)
      }
      expect(keys.requests()).toBe(0)
    } finally {
      await production.stop()
      await keys.close()
    }
  })
})
