import { generators, Issuer } from 'openid-client5'
import { expect, it, onTestFinished } from 'vitest'
import { passPages } from '../support/flow.ts'
import { startServer } from '../support/server.ts'
import { watchTokenRequests } from '../support/token-requests.ts'

it('openid-client 5 as it comes: client_secret_basic and RS256, the whole life of a sign-in', async () => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const alice = await server.createUser({ email: 'alice@example.com' })
  const redirectUri = 'http://app.localhost:4100/cb'
  const registered = await server.createClient({
    redirect_uris: [redirectUri],
    post_logout_redirect_uris: ['http://app.localhost:4100/bye'],
    grant_types: ['authorization_code', 'refresh_token'],
  })
  const authorizations = watchTokenRequests()

  const issuer = await Issuer.discover(server.issuer)
  const client = new issuer.Client({
    client_id: registered.id,
    client_secret: registered.secret ?? '',
    redirect_uris: [redirectUri],
    response_types: ['code'],
  })
  const [verifier, nonce, state] = [generators.codeVerifier(), generators.nonce(), generators.state()]
  const url = client.authorizationUrl({
    scope: 'openid email offline_access',
    code_challenge: generators.codeChallenge(verifier),
    code_challenge_method: 'S256',
    nonce,
    state,
  })
  const browser = server.browser()
  const end = await passPages(browser, await browser.open(url), alice)
  const parameters = client.callbackParams(end.location ?? '')
  const tokens = await client.callback(redirectUri, parameters, { code_verifier: verifier, nonce, state })
  expect(authorizations[0]).toMatch(/^Basic /)
  expect(tokens.claims()).toMatchObject({ sub: alice.sub, email: 'alice@example.com' })

  expect(await client.userinfo(tokens)).toMatchObject({ sub: alice.sub, email: 'alice@example.com' })
  expect(await client.userinfo(tokens, { method: 'POST' })).toMatchObject({ sub: alice.sub })
  const renewed = await client.refresh(tokens)
  expect(renewed.claims().sub).toBe(alice.sub)
  expect(await client.introspect(renewed.access_token ?? '')).toMatchObject({ active: true, sub: alice.sub })
  await client.revoke(renewed.refresh_token ?? '')
  await expect(client.refresh(renewed)).rejects.toMatchObject({ error: 'invalid_grant' })

  const leave = client.endSessionUrl({
    id_token_hint: tokens,
    post_logout_redirect_uri: 'http://app.localhost:4100/bye',
    state: 'left',
  })
  expect((await browser.open(leave)).location).toBe('http://app.localhost:4100/bye?state=left')
})

it('openid-client 5 uses the secret in the body where the client is registered so', async () => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const alice = await server.createUser()
  const redirectUri = 'http://app.localhost:4100/cb'
  const registered = await server.createClient({
    redirect_uris: [redirectUri],
    token_endpoint_auth_method: 'client_secret_post',
    id_token_signed_response_alg: 'ES256',
  })
  const authorizations = watchTokenRequests()
  const issuer = await Issuer.discover(server.issuer)
  const client = new issuer.Client({
    client_id: registered.id,
    client_secret: registered.secret ?? '',
    token_endpoint_auth_method: 'client_secret_post',
    id_token_signed_response_alg: 'ES256',
  })
  const verifier = generators.codeVerifier()
  const url = client.authorizationUrl({
    redirect_uri: redirectUri,
    scope: 'openid',
    code_challenge: generators.codeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  const browser = server.browser()
  const end = await passPages(browser, await browser.open(url), alice)
  const tokens = await client.callback(redirectUri, client.callbackParams(end.location ?? ''), {
    code_verifier: verifier,
  })
  expect(authorizations).toEqual([undefined])
  expect(tokens.claims().sub).toBe(alice.sub)
})
