/** Servers that share a database while keys rotate, seen by apps. */
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { applyRotation, compromiseKey, type KeySettings, rotateKeys } from '../../src/keys/rotate-keys.ts'
import { jwksMaxAge, propagation } from '../../src/keys/rotation.ts'
import { readIdTokenHint } from '../../src/oauth/tokens/id-token.ts'
import { databaseKinds, freshDatabase, sized } from '../support/databases.ts'
import { basic, getCode, getWithToken, post, redeem } from '../support/flow.ts'
import { eventually, startServer, type TestClient, type TestServer } from '../support/server.ts'

const issuer = 'https://op.test'
const actor = { by: 'test' }
const settings: KeySettings = {
  algorithms: ['RS256', 'ES256'],
  rotateEvery: 90 * 86_400,
  announceFor: 14 * 86_400,
  retainFor: 14 * 86_400,
  longestTokenTtl: 3600,
  rsaBits: 2048,
}

/** So many instances of one provider. */
const startInstances = async (
  kind: 'sqlite' | 'postgres',
  many: number,
): Promise<[TestServer, ...TestServer[]]> => {
  const database = await freshDatabase(kind)
  const first = await startServer({ database, issuer })
  const others = await Promise.all(Array.from({ length: many - 1 }, () => startServer({ database, issuer })))
  onTestFinished(async () => {
    await Promise.all([first, ...others].map(one => one.stop()))
  })
  return [first, ...others]
}

const jwksOf = async (server: TestServer): Promise<JSONWebKeySet> =>
  JSON.parse((await server.browser().send('/jwks')).body)

/** An app that keeps the JWKS of an instance for as long as Cache-Control lets it, and never asks for more. */
const cachingApp = (server: TestServer) => {
  let kept: { jwks: JSONWebKeySet; at: number } | undefined
  return async (token: string): Promise<void> => {
    const now = server.services.now().getTime()
    if (!kept || now - kept.at >= jwksMaxAge * 1000) kept = { jwks: await jwksOf(server), at: now }
    await jwtVerify(token, createLocalJWKSet(kept.jwks), { issuer, currentDate: server.services.now() })
  }
}

const clientToken = async (server: TestServer, client: TestClient): Promise<string> => {
  const { status, json } = await post(server, '/token', { grant_type: 'client_credentials' }, basic(client))
  expect(status, JSON.stringify(json)).toBe(200)
  return String(json['access_token'])
}

const kidOf = (token: string): string => decodeProtectedHeader(token).kid ?? ''

it('every fresh token verifies against each instance, whatever an app keeps (REL-18, SEC-115)', async () => {
  const instances = await startInstances('postgres', 2)
  const [first] = instances
  const client = await first.createClient({ grant_types: ['client_credentials'], redirect_uris: [] })
  const step = sized(1200, 120)
  // Apps whose caches were filled at different times.
  const apps: ((token: string) => Promise<void>)[] = []
  const signedBefore = new Set<string>()
  const tokens: { token: string; until: number }[] = []
  await rotateKeys(first.services, settings, { when: 'seen' }, actor)
  for (let elapsed = 0; elapsed <= propagation + 2 * step; elapsed += step) {
    apps.push(...instances.map(cachingApp))
    for (const server of instances) {
      const token = await clientToken(server, client)
      tokens.push({ token, until: server.services.now().getTime() + 900_000 })
      if (elapsed < propagation) signedBefore.add(kidOf(token))
    }
    for (const { token, until } of tokens)
      if (until > first.services.now().getTime() + 1000) for (const verify of apps) await verify(token)
    for (const server of instances) server.sleep(step)
    // The job would within a second; the others follow the counter.
    await Promise.all(instances.map(({ services }) => applyRotation(services, settings)))
    // They look once a second, which here is many leaps of the clock.
    await Promise.all(instances.map(({ services }) => services.keys.reload()))
  }
  expect(signedBefore.size).toBe(1)
  await eventually(
    async () => !signedBefore.has(kidOf(await clientToken(instances[1] ?? first, client))),
    'the other instance signs with the new key',
  )
})

describe.each(databaseKinds)('on %s', kind => {
  it('a compromised key is refused at once, elsewhere when the counter is read, and its successor signs at once (SEC-116)', async () => {
    const [first, second = first] = await startInstances(kind, 2)
    const alice = await first.createUser()
    const client = await first.createClient()
    second.services.clients.forget()
    const { json } = await redeem(first, client, await getCode(first.browser(), client, alice))
    const accessToken = String(json['access_token'])
    const idToken = String(json['id_token'])
    const introspect = async (server: TestServer, token: string): Promise<unknown> =>
      (await post(server, '/introspect', { token }, basic(client))).json['active']
    const refusals = async (server: TestServer) => ({
      userinfo: (await getWithToken(server, '/userinfo', accessToken)).status,
      active: await introspect(server, accessToken),
      hint: readIdTokenHint(server.services, idToken)?.sub,
      published: (await jwksOf(server)).keys.some(
        key => key.kid === kidOf(accessToken) || key.kid === kidOf(idToken),
      ),
    })
    for (const server of [first, second])
      expect(await refusals(server)).toEqual({
        userinfo: 200,
        active: true,
        hint: alice.sub,
        published: true,
      })

    for (const token of [accessToken, idToken])
      await compromiseKey(first.services, settings, kidOf(token), actor)

    const refused = { userinfo: 401, active: false, hint: undefined, published: false }
    expect(await refusals(first)).toEqual(refused)
    await eventually(async () => !(await refusals(second)).published, 'the other instance has read the keys')
    expect(await refusals(second)).toEqual(refused)

    const again = await redeem(first, client, await getCode(first.browser(), client, alice))
    const verify = cachingApp(second)
    for (const token of [again.json['access_token'], again.json['id_token']]) await verify(String(token))
    expect(await introspect(second, String(again.json['access_token']))).toBe(true)
    const revoked = (await first.audit()).filter(row => row.event === 'key.revoked')
    expect(revoked.map(row => row.reason)).toEqual(['compromised', 'compromised'])
  })

  it('an old id_token_hint is taken while its key is retired, and not when the key is gone', async () => {
    const [server] = await startInstances(kind, 1)
    const { services } = server
    const client = await server.createClient()
    const code = await getCode(server.browser(), client, await server.createUser())
    const hint = String((await redeem(server, client, code)).json['id_token'])
    await rotateKeys(services, settings, { when: 'now' }, actor)
    server.sleep(settings.retainFor)
    await applyRotation(services, settings)
    expect((await jwksOf(server)).keys.map(key => key.kid)).not.toContain(kidOf(hint))
    expect(readIdTokenHint(services, hint)).toBeDefined()
    await compromiseKey(services, settings, kidOf(hint), actor)
    expect(readIdTokenHint(services, hint)).toBeUndefined()
  })
})

it('every configured algorithm signs ID tokens that others verify, and is in discovery', async () => {
  const server = await startServer({
    database: await freshDatabase('sqlite', 'empty'),
    settings: { LINTEL_KEYS_ALGORITHMS: 'RS256,ES256,PS256,EdDSA', LINTEL_TOKENS_RSA_BITS: '3072' },
  })
  onTestFinished(() => server.stop())
  const alice = await server.createUser()
  const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA']
  const discovery = await server.browser().send('/.well-known/openid-configuration')
  expect(JSON.parse(discovery.body).id_token_signing_alg_values_supported).toEqual(algorithms)
  const jwks = await jwksOf(server)
  expect(jwks.keys.map(key => key.alg).sort()).toEqual(algorithms.toSorted())
  for (const key of jwks.keys)
    expect(Object.keys(key).filter(name => /^(d|p|q|dp|dq|qi|k)$/.test(name))).toEqual([])
  for (const alg of algorithms) {
    const client = await server.createClient({ client_name: alg, id_token_signed_response_alg: alg })
    const { json } = await redeem(server, client, await getCode(server.browser(), client, alice))
    const { payload, protectedHeader } = await jwtVerify(String(json['id_token']), createLocalJWKSet(jwks), {
      issuer: server.issuer,
      audience: client.id,
      algorithms: [alg],
    })
    expect(protectedHeader.alg).toBe(alg)
    expect(payload.sub).toBe(alice.sub)
    expect(readIdTokenHint(server.services, String(json['id_token']))?.sub).toBe(alice.sub)
  }
})
