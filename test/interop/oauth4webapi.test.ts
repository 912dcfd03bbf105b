import * as oauth from 'oauth4webapi'
import { expect, it, onTestFinished } from 'vitest'
import { passPages } from '../support/flow.ts'
import { startServer } from '../support/server.ts'
import { watchTokenRequests } from '../support/token-requests.ts'

const insecure = { [oauth.allowInsecureRequests]: true }
const redirectUri = 'http://app.localhost:4100/cb'

/** Every character that its Basic encodes though a browser would not, and those that differ as a form. */
const oddSecret = "-_.~!*'() +%:/?&=é-0123456789-abcdefghijklmnop"

it.each([
  ['a made secret, by Basic', {}, oauth.ClientSecretBasic],
  [
    'an odd id and secret, by Basic',
    { client_id: 'my-odd_client.1', client_secret: oddSecret },
    oauth.ClientSecretBasic,
  ],
  [
    'an odd id and secret, in the body',
    { client_id: 'my-odd_client.2', client_secret: oddSecret },
    oauth.ClientSecretPost,
  ],
])('oauth4webapi with %s: every step checked, signature included', async (_, identity, authenticate) => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const alice = await server.createUser({ name: 'Alice A.' })
  const registered = await server.createClient({
    redirect_uris: [redirectUri],
    post_logout_redirect_uris: ['http://app.localhost:4100/bye'],
    grant_types: ['authorization_code', 'refresh_token'],
    ...identity,
  })
  const authorizations = watchTokenRequests()
  const issuer = new URL(server.issuer)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
  const alsoAs = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' }),
  )
  expect(alsoAs).toEqual(as)
  expect(as.code_challenge_methods_supported).toEqual(['S256'])

  const client: oauth.Client = { client_id: registered.id }
  const authentication = authenticate(registered.secret ?? '')
  const [verifier, state, nonce] = [
    oauth.generateRandomCodeVerifier(),
    oauth.generateRandomState(),
    oauth.generateRandomNonce(),
  ]
  const url = new URL(as.authorization_endpoint ?? '')
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid profile',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    max_age: '300',
  }).toString()
  const browser = server.browser()
  const end = await passPages(browser, await browser.open(url.href), alice)
  const parameters = oauth.validateAuthResponse(as, client, new URL(end.location ?? ''), state)
  const answer = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    authentication,
    parameters,
    redirectUri,
    verifier,
    insecure,
  )
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, {
    expectedNonce: nonce,
    maxAge: 300,
    requireIdToken: true,
  })
  await oauth.validateApplicationLevelSignature(as, answer, insecure)
  const claims = oauth.getValidatedIdTokenClaims(tokens)
  expect(claims).toMatchObject({ sub: alice.sub, name: 'Alice A.' })
  expect(authorizations[0]?.startsWith('Basic ') ?? false).toBe(authenticate === oauth.ClientSecretBasic)

  const userInfo = await oauth.userInfoRequest(as, client, tokens.access_token, insecure)
  expect(await oauth.processUserInfoResponse(as, client, alice.sub, userInfo)).toMatchObject({
    name: 'Alice A.',
  })

  const refreshed = await oauth.processRefreshTokenResponse(
    as,
    client,
    await oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token ?? '', insecure),
  )
  expect(oauth.getValidatedIdTokenClaims(refreshed)?.auth_time).toBe(claims?.auth_time)
  const introspected = await oauth.processIntrospectionResponse(
    as,
    client,
    await oauth.introspectionRequest(as, client, authentication, refreshed.access_token, insecure),
  )
  expect(introspected).toMatchObject({ active: true, sub: alice.sub })
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, client, authentication, refreshed.refresh_token ?? '', insecure),
  )

  const leave = new URL(as.end_session_endpoint ?? '')
  leave.search = new URLSearchParams({
    id_token_hint: tokens.id_token ?? '',
    post_logout_redirect_uri: 'http://app.localhost:4100/bye',
  }).toString()
  expect((await browser.open(leave.href)).location).toBe('http://app.localhost:4100/bye')
})
