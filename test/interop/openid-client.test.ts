import * as jose from 'jose'
import * as oidc from 'openid-client'
import { expect, it, onTestFinished } from 'vitest'
import { answerOf, passPages } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { watchTokenRequests } from '../support/token-requests.ts'

const start = async (): Promise<TestServer> => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  return server
}

const redirectUri = 'http://app.localhost:4100/cb'
const webApp = {
  client_name: 'Web',
  redirect_uris: [redirectUri],
  post_logout_redirect_uris: ['http://app.localhost:4100/bye'],
  grant_types: ['authorization_code', 'refresh_token'],
}
const scope = 'openid profile email offline_access'

const discover = (server: TestServer, client: TestClient, authentication?: oidc.ClientAuth) =>
  oidc.discovery(new URL(server.issuer), client.id, client.secret, authentication, {
    execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
  })

/** From the authorization request to the tokens, with a person at a browser in between. */
const signIn = async (
  server: TestServer,
  config: oidc.Configuration,
  person: { username: string; password: string },
  parameters: Record<string, string> = {},
) => {
  const [pkceCodeVerifier, expectedNonce, expectedState] = [
    oidc.randomPKCECodeVerifier(),
    oidc.randomNonce(),
    oidc.randomState(),
  ]
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope,
    nonce: expectedNonce,
    state: expectedState,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...parameters,
  })
  const browser = server.browser()
  const end = await passPages(browser, await browser.open(url.href), person)
  const checks = { pkceCodeVerifier, expectedNonce, expectedState, idTokenExpected: true }
  return { browser, end, finish: (at: URL | Request) => oidc.authorizationCodeGrant(config, at, checks) }
}

it('openid-client 6 as it comes: client_secret_post, the whole life of a sign-in', async () => {
  const server = await start()
  const alice = await server.createUser({ name: 'Alice A.', email: 'alice@example.com', emailVerified: true })
  const client = await server.createClient(webApp)
  const config = await discover(server, client)
  const authorizations = watchTokenRequests()
  expect(config.serverMetadata().supportsPKCE()).toBe(true)

  const { browser, end, finish } = await signIn(server, config, alice)
  const tokens = await finish(new URL(end.location ?? ''))
  expect(authorizations, 'the secret is in the body').toEqual([undefined])
  expect(tokens).toMatchObject({ token_type: 'bearer', scope })
  expect(tokens.claims()).toMatchObject({
    iss: server.issuer,
    sub: alice.sub,
    aud: client.id,
    name: 'Alice A.',
    email: 'alice@example.com',
    email_verified: true,
  })

  const person = await oidc.fetchUserInfo(config, tokens.access_token, alice.sub)
  expect(person).toMatchObject({ sub: alice.sub, preferred_username: 'alice', email: 'alice@example.com' })

  const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token ?? '')
  expect(renewed.access_token).not.toBe(tokens.access_token)
  expect(renewed.refresh_token).not.toBe(tokens.refresh_token)
  expect(renewed.claims()).toMatchObject({
    sub: alice.sub,
    auth_time: tokens.claims()?.auth_time,
    sid: tokens.claims()?.['sid'],
  })

  expect(await oidc.tokenIntrospection(config, renewed.access_token)).toMatchObject({
    active: true,
    sub: alice.sub,
    client_id: client.id,
  })
  await oidc.tokenRevocation(config, renewed.access_token)
  expect(await oidc.tokenIntrospection(config, renewed.access_token)).toEqual({ active: false })
  await expect(oidc.fetchUserInfo(config, renewed.access_token, alice.sub)).rejects.toMatchObject({
    code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE',
  })

  const leave = oidc.buildEndSessionUrl(config, {
    id_token_hint: renewed.id_token ?? '',
    post_logout_redirect_uri: 'http://app.localhost:4100/bye',
    state: 'left',
  })
  const gone = await browser.open(leave.href)
  expect(gone.location).toBe('http://app.localhost:4100/bye?state=left')
  const again = await browser.open(
    oidc.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      scope: 'openid',
      prompt: 'none',
      code_challenge: await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier()),
      code_challenge_method: 'S256',
    }).href,
  )
  expect(answerOf(again).get('error')).toBe('login_required')
})

it('openid-client 6 with client_secret_basic, and with form_post', async () => {
  const server = await start()
  const alice = await server.createUser()
  const client = await server.createClient(webApp)
  const config = await discover(server, client, oidc.ClientSecretBasic(client.secret ?? ''))
  const authorizations = watchTokenRequests()
  const { end, finish } = await signIn(server, config, alice, { response_mode: 'form_post' })
  const tokens = await finish(
    new Request(redirectUri, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: answerOf(end).toString(),
    }),
  )
  expect(authorizations[0]).toMatch(/^Basic /)
  expect(tokens.claims()?.sub).toBe(alice.sub)
})

it('openid-client 6 with private_key_jwt', async () => {
  const server = await start()
  const alice = await server.createUser()
  const { publicKey, privateKey } = await jose.generateKeyPair('ES256')
  const jwk = { ...(await jose.exportJWK(publicKey)), alg: 'ES256', use: 'sig', kid: 'k1' }
  const client = await server.createClient({
    ...webApp,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: { keys: [jwk] },
  })
  const config = await discover(server, client, oidc.PrivateKeyJwt({ key: privateKey, kid: 'k1' }))
  const { end, finish } = await signIn(server, config, alice)
  const tokens = await finish(new URL(end.location ?? ''))
  expect(tokens.claims()?.sub).toBe(alice.sub)
  expect(await oidc.refreshTokenGrant(config, tokens.refresh_token ?? '')).toMatchObject({ scope })
})

it('openid-client 6 as a public client, told no by the person', async () => {
  const server = await start()
  const alice = await server.createUser()
  const client = await server.createClient({ ...webApp, token_endpoint_auth_method: 'none' })
  const config = await discover(server, client, oidc.None())
  const { end, finish } = await signIn(server, config, alice)
  expect((await finish(new URL(end.location ?? ''))).claims()?.sub).toBe(alice.sub)

  const browser = server.browser()
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'openid profile',
    prompt: 'consent',
    code_challenge: await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier()),
    code_challenge_method: 'S256',
  })
  const page = await browser.open(url.href)
  const consent = await browser.submit(page, { username: alice.username, password: alice.password })
  const denied = await browser.submit(consent, { decision: 'deny' })
  await expect(
    oidc.authorizationCodeGrant(config, new URL(denied.location ?? ''), { pkceCodeVerifier: 'x'.repeat(43) }),
  ).rejects.toMatchObject({ error: 'access_denied' })
})

it('openid-client 6 with client credentials', async () => {
  const server = await start()
  const client = await server.createClient({
    client_name: 'Job',
    grant_types: ['client_credentials'],
    redirect_uris: [],
  })
  const config = await discover(server, client)
  const tokens = await oidc.clientCredentialsGrant(config)
  expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 900 })
})
