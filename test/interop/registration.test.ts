/** Dynamic registration by unmodified clients, in each mode of LINTEL_REGISTRATION. */
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { expect, it, onTestFinished } from 'vitest'
import { passPages } from '../support/flow.ts'
import { invite } from '../support/registration.ts'
import { startServer, type TestServer } from '../support/server.ts'

const redirectUri = 'http://127.0.0.1:4100/cb'
const metadata = {
  client_name: 'Registered',
  redirect_uris: [redirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
}
const insecure = { [oauth.allowInsecureRequests]: true }

const begin = async (mode: string): Promise<TestServer> => {
  const server = await startServer({ settings: { LINTEL_REGISTRATION: mode } })
  onTestFinished(() => server.stop())
  return server
}

const discover = async (server: TestServer): Promise<oauth.AuthorizationServer> => {
  const issuer = new URL(server.issuer)
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
}

it.each(['open', 'token'])(
  'openid-client 6 registers itself where registration is %s, and signs somebody in',
  async mode => {
    const server = await begin(mode)
    const alice = await server.createUser({ name: 'Alice A.' })
    const config = await client.dynamicClientRegistration(new URL(server.issuer), metadata, undefined, {
      execute: [client.allowInsecureRequests],
      ...(mode === 'token' ? { initialAccessToken: await invite(server) } : {}),
    })
    expect(config.clientMetadata()).toMatchObject({ client_name: 'Registered', application_type: 'web' })
    const verifier = client.randomPKCECodeVerifier()
    const state = client.randomState()
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      scope: 'openid profile',
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
    })
    const browser = server.browser()
    const end = await passPages(browser, await browser.open(url.href), alice)
    const tokens = await client.authorizationCodeGrant(config, new URL(end.location ?? ''), {
      pkceCodeVerifier: verifier,
      expectedState: state,
    })
    expect(tokens.claims()).toMatchObject({ sub: alice.sub, name: 'Alice A.' })
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token ?? '')
    expect(refreshed.claims()?.sub).toBe(alice.sub)
  },
)

it.each(['open', 'token'])(
  'oauth4webapi registers, reads and deletes itself where registration is %s',
  async mode => {
    const server = await begin(mode)
    const as = await discover(server)
    const made = await oauth.processDynamicClientRegistrationResponse(
      await oauth.dynamicClientRegistrationRequest(as, metadata, {
        ...insecure,
        ...(mode === 'token' ? { initialAccessToken: await invite(server) } : {}),
      }),
    )
    expect(made).toMatchObject({
      client_secret_expires_at: 0,
      token_endpoint_auth_method: 'client_secret_basic',
    })
    const own = new URL(String(made['registration_client_uri']))
    const managed = (method: string) =>
      oauth.protectedResourceRequest(
        String(made['registration_access_token']),
        method,
        own,
        undefined,
        null,
        insecure,
      )
    expect(await (await managed('GET')).json()).toMatchObject({ client_id: made.client_id })
    expect((await managed('DELETE')).status).toBe(204)
    await expect(managed('GET')).rejects.toMatchObject({ status: 401 })
  },
)

it('where it is off both are told that there is nothing: no endpoint in discovery', async () => {
  const server = await begin('off')
  const as = await discover(server)
  expect(as.registration_endpoint).toBeUndefined()
  await expect(oauth.dynamicClientRegistrationRequest(as, metadata, insecure)).rejects.toThrow(
    /registration_endpoint/,
  )
  await expect(
    client.dynamicClientRegistration(new URL(server.issuer), metadata, undefined, {
      execute: [client.allowInsecureRequests],
    }),
  ).rejects.toThrow()
})

it('oauth4webapi is told why it was refused', async () => {
  const server = await begin('token')
  const as = await discover(server)
  const wanted = { ...metadata, redirect_uris: ['http://app.test/cb'] }
  const answer = await oauth.dynamicClientRegistrationRequest(as, wanted, {
    ...insecure,
    initialAccessToken: await invite(server),
  })
  await expect(oauth.processDynamicClientRegistrationResponse(answer)).rejects.toMatchObject({
    error: 'invalid_redirect_uri',
  })
  const stranger = await oauth.dynamicClientRegistrationRequest(as, metadata, insecure)
  await expect(oauth.processDynamicClientRegistrationResponse(stranger)).rejects.toMatchObject({
    status: 401,
  })
})
