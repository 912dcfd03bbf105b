// @ts-check
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as client from 'openid-client'

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout'

/**
 * All of OpenID Connect in this app: five functions, one for each thing that happens.
 * @param {{ issuer: string, clientId: string, clientSecret: string, baseUrl: string }} settings
 */
export function openIdConnect({ issuer, clientId, clientSecret, baseUrl }) {
  const redirectUri = `${baseUrl}/callback`

  /** @type {Promise<client.Configuration> | undefined} */
  let discovery

  /** What the provider says about itself: read once, when first needed; a failure is not remembered. */
  function provider() {
    discovery ??= client
      .discovery(new URL(issuer), clientId, undefined, client.ClientSecretBasic(clientSecret), {
        execute: [
          // Check the ID token's signature too, not only that it came straight from the provider.
          client.enableNonRepudiationChecks,
          // Plain http is for a provider on this machine only; anywhere else the library refuses it.
          ...(isOnThisMachine(issuer) ? [client.allowInsecureRequests] : []),
        ],
      })
      .catch(error => {
        discovery = undefined
        throw error
      })
    return discovery
  }

  /**
   * 1. Begin: where to send the browser, and what to remember until it comes back.
   * `silent` asks the provider to answer at once and show no page (prompt=none).
   * @param {{ silent?: boolean, loginHint?: string }} wish
   */
  async function begin({ silent = false, loginHint }) {
    const attempt = {
      state: client.randomState(), // this browser began it
      nonce: client.randomNonce(), // this ID token was made for it
      codeVerifier: client.randomPKCECodeVerifier(), // only we can redeem the code
      silent,
    }
    const url = client.buildAuthorizationUrl(await provider(), {
      redirect_uri: redirectUri,
      scope: 'openid profile email',
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(attempt.codeVerifier),
      code_challenge_method: 'S256',
      ...(silent && { prompt: 'none' }),
      ...(loginHint && { login_hint: loginHint }),
    })
    return { url, attempt }
  }

  /**
   * 2. Finish: the browser is back with a code; trade it for tokens. Everything is checked here:
   * state, iss, the ID token's signature, issuer, audience, times and nonce.
   * @param {string} query what came back, without the question mark
   * @param {import('./sessions.js').Attempt} attempt
   */
  async function finish(query, attempt) {
    const tokens = await client.authorizationCodeGrant(await provider(), new URL(`${redirectUri}?${query}`), {
      expectedState: attempt.state,
      expectedNonce: attempt.nonce,
      pkceCodeVerifier: attempt.codeVerifier,
      idTokenExpected: true,
    })
    return signedIn(tokens, tokens.refresh_token)
  }

  /**
   * 3. Renew: new tokens for the refresh token. Fails when the session at the provider has ended.
   * @param {import('./sessions.js').SignedIn & { refreshToken: string }} before
   */
  async function renew(before) {
    const tokens = await client.refreshTokenGrant(await provider(), before.refreshToken)
    // A provider need not send another ID token, nor another refresh token: the old ones go on.
    const refreshToken = tokens.refresh_token ?? before.refreshToken
    if (!tokens.id_token) return { ...before, accessToken: tokens.access_token, refreshToken }

    const after = signedIn(tokens, refreshToken)
    if (after.sub !== before.sub) throw new Error('the new tokens are for somebody else')
    return after
  }

  /**
   * 4. Sign out at the provider: where to send the browser, or undefined if there is no such place.
   * @param {string} idToken says whose session to end, so that nobody has to be asked
   * @param {string} state
   */
  async function signOutUrl(idToken, state) {
    const configuration = await provider()
    if (!configuration.serverMetadata().end_session_endpoint) return undefined
    return client.buildEndSessionUrl(configuration, {
      id_token_hint: idToken,
      post_logout_redirect_uri: `${baseUrl}/signed-out`,
      state,
    })
  }

  /** @type {ReturnType<typeof createRemoteJWKSet> | undefined} */
  let providerKeys
  /** @type {Map<string, number>} */
  const usedLogoutTokens = new Map()

  /**
   * 5. Signed out elsewhere: the provider posts a logout token (OpenID Connect Back-Channel Logout
   * 1.0, section 2.6). Anybody can post here, so nothing ends before all of this holds. The keys
   * are public ones, so `alg: none` and shared-secret signatures fail by themselves.
   * @param {string} logoutToken
   * @returns {Promise<{ sid?: string, sub?: string }>} whose session has ended
   */
  async function readLogoutToken(logoutToken) {
    const metadata = (await provider()).serverMetadata()
    if (!metadata.jwks_uri) throw new Error('the provider publishes no keys')
    providerKeys ??= createRemoteJWKSet(new URL(metadata.jwks_uri))

    const { payload } = await jwtVerify(logoutToken, providerKeys, {
      typ: 'logout+jwt',
      issuer: metadata.issuer,
      audience: clientId,
      requiredClaims: ['iat', 'exp', 'jti'],
      maxTokenAge: '10 minutes',
      clockTolerance: '10 seconds',
    })
    const { sid, sub, jti, exp, events } = /** @type {Record<string, any>} */ (payload)
    if (!isObject(events?.[logoutEvent])) throw new Error('not about a logout')
    if ('nonce' in payload) throw new Error('has a nonce: this is an ID token')
    if (typeof sid !== 'string' && typeof sub !== 'string') throw new Error('names neither sid nor sub')

    const now = Date.now() / 1000
    for (const [used, end] of usedLogoutTokens) if (end + 60 < now) usedLogoutTokens.delete(used)
    if (usedLogoutTokens.has(jti)) throw new Error('was used before')
    usedLogoutTokens.set(jti, exp)
    return { sid, sub }
  }

  return { begin, finish, renew, signOutUrl, readLogoutToken }
}

/**
 * @param {client.TokenEndpointResponse & client.TokenEndpointResponseHelpers} tokens
 * @param {string | undefined} refreshToken
 * @returns {import('./sessions.js').SignedIn}
 */
function signedIn(tokens, refreshToken) {
  const claims = tokens.claims()
  if (!claims || !tokens.id_token) throw new Error('the provider sent no ID token')
  return {
    sub: claims.sub,
    sid: typeof claims.sid === 'string' ? claims.sid : undefined,
    claims,
    idToken: tokens.id_token,
    accessToken: tokens.access_token,
    refreshToken,
  }
}

/** @param {unknown} value */
const isObject = value => typeof value === 'object' && value !== null

/** @param {string} url */
function isOnThisMachine(url) {
  const { hostname } = new URL(url)
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}
