import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { expect, it, onTestFinished } from 'vitest'
import { getCode, redeem } from '../support/flow.ts'
import { asRegistered, invite, manage, register, registered, webMetadata } from '../support/registration.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { startSite } from '../support/site.ts'

const begin = async (settings: Record<string, string> = {}): Promise<TestServer> => {
  const server = await startServer({
    settings: { LINTEL_REGISTRATION: 'open', LINTEL_REGISTRATION_PER_HOUR: '1000', ...settings },
  })
  onTestFinished(() => server.stop())
  return server
}

it('"the authorization server MUST return all registered metadata" and what the client needs (RFC 7591 §3.2.1)', async () => {
  const server = await begin()
  const answer = await register(server, {
    ...webMetadata,
    client_uri: 'https://web.test/',
    logo_uri: 'https://cdn.test/logo.png',
    contacts: ['a@web.test'],
    initiate_login_uri: 'https://web.test/start',
    backchannel_logout_uri: 'https://web.test/out',
  })
  expect(answer.status).toBe(201)
  expect(answer.json).toEqual({
    client_id: expect.stringMatching(/^[0-9a-z]{20}$/),
    client_secret: expect.stringMatching(/^lns/),
    client_id_issued_at: expect.any(Number),
    client_secret_expires_at: 0,
    registration_access_token: expect.stringMatching(/^lng/),
    registration_client_uri: `${server.issuer}/register/${answer.json['client_id']}`,
    client_name: 'Web',
    redirect_uris: ['https://web.test/cb'],
    client_uri: 'https://web.test/',
    logo_uri: 'https://cdn.test/logo.png',
    contacts: ['a@web.test'],
    initiate_login_uri: 'https://web.test/start',
    backchannel_logout_uri: 'https://web.test/out',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
    application_type: 'web',
    id_token_signed_response_alg: 'RS256',
    subject_type: 'public',
    scope: 'openid profile email phone address groups offline_access',
  })
  const client = asRegistered(server, answer)
  const { client_secret: _, ...rest } = answer.json
  expect(await manage(server, client)).toMatchObject({ status: 200, json: rest })
  expect((await manage(server, client)).json).not.toHaveProperty('client_secret')
})

it('a public app of a person’s machine needs no secret, and comes back to any port of its own', async () => {
  const server = await begin()
  const alice = await server.createUser()
  const client = await registered(server, {
    redirect_uris: ['http://127.0.0.1/cb'],
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token', 'implicit'],
  })
  expect(client.metadata).toMatchObject({
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
  })
  expect(client.metadata).not.toHaveProperty('client_secret_expires_at')
  const here = { ...client, redirectUri: 'http://127.0.0.1:51004/cb' }
  const answer = await redeem(server, here, await getCode(server.browser(), here, alice))
  expect(answer.json).toMatchObject({ token_type: 'Bearer', refresh_token: expect.stringMatching(/^lnr/) })
})

it('a change replaces what was registered (RFC 7592 §2.2); a secret comes and goes with the need for it', async () => {
  const server = await begin()
  const client = await registered(server, { client_uri: 'https://web.test/', scope: 'openid email' })
  const change = (more: Record<string, unknown>) =>
    manage(server, client, {
      method: 'PUT',
      body: { redirect_uris: ['https://web.test/new'], client_id: client.id, ...more },
    })
  const replaced = await change({
    client_secret: client.secret,
    grant_types: ['authorization_code', 'refresh_token'],
  })
  expect(replaced).toMatchObject({
    status: 200,
    json: {
      redirect_uris: ['https://web.test/new'],
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'openid email',
      registration_access_token: client.token,
    },
  })
  for (const gone of ['client_name', 'client_uri', 'client_secret'])
    expect(replaced.json).not.toHaveProperty(gone)
  const asPublic = await change({ token_endpoint_auth_method: 'none' })
  expect(asPublic.json).not.toHaveProperty('client_secret_expires_at')
  expect((await server.counts())['client_secret']).toBe(0)
  const again = await change({})
  expect(again.json).toMatchObject({
    client_secret: expect.stringMatching(/^lns/),
    client_secret_expires_at: 0,
  })
  expect(again.json['client_secret']).not.toBe(client.secret)
  const updates = (await server.audit()).filter(row => row.event === 'client.updated')
  expect(updates.map(row => row.client_id)).toEqual(Array(3).fill(client.id))
})

it('of changes at once none is lost unseen: the others are told, and may try again', async () => {
  const server = await begin()
  const client = await registered(server)
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, n) =>
      manage(server, client, {
        method: 'PUT',
        body: { ...webMetadata, client_id: client.id, client_name: `Web ${n}` },
      }),
    ),
  )
  expect(answers.map(answer => answer.status).every(status => [200, 409].includes(status))).toBe(true)
  const winners = answers.filter(answer => answer.status === 200).map(answer => answer.json['client_name'])
  expect(winners).toContain((await manage(server, client)).json['client_name'])
})

it('scopes of APIs and the profile are as the operator sets them for all who register themselves', async () => {
  const server = await begin({ LINTEL_REGISTRATION_SCOPES: 'api:read', LINTEL_REGISTRATION_PROFILE: 'oidc' })
  await server.createResource()
  const alice = await server.createUser()
  const client = await registered(server, { scope: 'openid api:read api:write' })
  expect(client.metadata['scope']).toBe('openid api:read')
  // Without a challenge: the profile does not want one of a client with a secret.
  const { code } = await getCode(server.browser(), client, alice, {
    scope: 'openid api:read',
    code_challenge: undefined,
    code_challenge_method: undefined,
  })
  expect((await redeem(server, client, { code })).json['scope']).toBe('openid api:read')
})

const makeIssuer = async (issuer = 'https://directory.test') => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'd1', alg: 'ES256' }] }
  const sign = (
    claims: Record<string, unknown>,
    {
      alg = 'ES256',
      exp = '1h',
      typ,
      iss = issuer,
    }: { alg?: string; exp?: string; typ?: string; iss?: string } = {},
  ) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg, kid: 'd1', ...(typ === undefined ? {} : { typ }) })
      .setIssuer(iss)
      .setIssuedAt()
      .setExpirationTime(exp)
      .sign(privateKey)
  return { jwks, sign }
}

it('a software statement is ignored until somebody is trusted (contracts)', async () => {
  const server = await begin()
  const { sign } = await makeIssuer()
  const statement = await sign({ client_name: 'Vouched' })
  for (const software_statement of [statement, 'x', 7]) {
    const { status, json } = await register(server, { ...webMetadata, software_statement })
    expect([status, json['client_name'], json['software_statement']]).toEqual([201, 'Web', undefined])
  }
})

it('a software statement wins over what stands beside it, and is refused when it is not what it says (RFC 7591 §2.3)', async () => {
  const directory = await makeIssuer()
  const stranger = await makeIssuer()
  const directoryOfKeys = mkdtempSync(join(tmpdir(), 'lintel-statement-'))
  onTestFinished(() => rmSync(directoryOfKeys, { recursive: true }))
  const file = join(directoryOfKeys, 'jwks.json')
  writeFileSync(file, JSON.stringify(directory.jwks))
  const server = await begin({ LINTEL_REGISTRATION_TRUSTED_ISSUERS: `https://directory.test=${file}` })
  const claims = { client_name: 'Vouched', redirect_uris: ['https://vouched.test/cb'], first_party: true }
  const statement = await directory.sign(claims, { typ: 'JWT' })
  const answer = await register(server, { ...webMetadata, software_statement: statement })
  expect(answer).toMatchObject({
    status: 201,
    json: {
      client_name: 'Vouched',
      redirect_uris: ['https://vouched.test/cb'],
      software_statement: statement,
    },
  })
  const client = asRegistered(server, answer)
  expect((await manage(server, client)).json['software_statement']).toBe(statement)
  expect((await server.services.clients.find(client.id))?.isFirstParty).toBe(false)

  const [head, body] = statement.split('.')
  const none = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url')
  const wrong: [unknown, string][] = [
    [await stranger.sign(claims), 'invalid_software_statement'],
    [`${none}.${body}.`, 'invalid_software_statement'],
    [`${head}.${body}.AAAA`, 'invalid_software_statement'],
    [await directory.sign(claims, { exp: '-1h' }), 'invalid_software_statement'],
    [await directory.sign({ ...claims, aud: 'https://other.test' }), 'invalid_software_statement'],
    [await directory.sign(claims, { typ: 'at+jwt' }), 'invalid_software_statement'],
    ['x', 'invalid_software_statement'],
    [7, 'invalid_software_statement'],
    [await directory.sign(claims, { iss: 'https://other.test' }), 'unapproved_software_statement'],
    [await directory.sign({ ...claims, redirect_uris: ['http://v.test/'] }), 'invalid_redirect_uri'],
  ]
  for (const [software_statement, error] of wrong)
    expect(await register(server, { ...webMetadata, software_statement }), error).toMatchObject({
      status: 400,
      json: { error },
    })
  // What was vouched for is not taken back by a change.
  const change = (more: Record<string, unknown>) =>
    manage(server, client, { method: 'PUT', body: { ...webMetadata, client_id: client.id, ...more } })
  expect(await change({})).toMatchObject({ status: 400, json: { error: 'invalid_software_statement' } })
  expect(await change({ software_statement: statement })).toMatchObject({
    status: 200,
    json: { client_name: 'Vouched' },
  })
})

it('keys of an issuer of statements are fetched from where the operator says', async () => {
  const directory = await makeIssuer()
  const site = await startSite('directory.localhost', {
    'GET /jwks': () => ({ html: JSON.stringify(directory.jwks) }),
  })
  onTestFinished(() => site.close())
  const server = await begin({
    LINTEL_REGISTRATION_TRUSTED_ISSUERS: `https://directory.test=${site.origin}/jwks,https://gone.test=http://127.0.0.1:9/jwks`,
  })
  const software_statement = await directory.sign({ client_name: 'Vouched' })
  expect((await register(server, { ...webMetadata, software_statement })).json['client_name']).toBe('Vouched')
  const gone = await directory.sign({ client_name: 'Vouched' }, { iss: 'https://gone.test' })
  expect(await register(server, { ...webMetadata, software_statement: gone })).toMatchObject({
    status: 503,
    json: { error: 'temporarily_unavailable' },
  })
})

it('a client that registered itself works as others do, and is told of sign-outs at public addresses only', async () => {
  const server = await begin({ LINTEL_REGISTRATION: 'token' })
  const alice = await server.createUser()
  const client = asRegistered(
    server,
    await register(
      server,
      { ...webMetadata, backchannel_logout_uri: 'https://127.0.0.1/out' },
      { token: await invite(server) },
    ),
  )
  const browser = server.browser()
  const tokens = await redeem(server, client, await getCode(browser, client, alice))
  expect(tokens.status).toBe(200)
  await browser.open(`/logout?id_token_hint=${tokens.json['id_token']}`)
  await expect
    .poll(async () => (await server.audit()).filter(row => row.event === 'outbound.blocked').length, {
      timeout: 10_000,
    })
    .toBeGreaterThan(0)
})
