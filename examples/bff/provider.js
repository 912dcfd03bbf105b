// @ts-check
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as openid from 'openid-client'

/**
 * What has to be remembered from leaving for the provider to coming back.
 * @typedef {{ state: string, nonce: string, codeVerifier: string }} Attempt
 *
 * Everything a session holds. None of it but the name ever reaches the browser.
 * @typedef {object} SignedIn
 * @property {string} sub
 * @property {string | undefined} sid
 * @property {string} username
 * @property {string} idToken
 * @property {string} accessToken
 * @property {number} accessTokenEndsAt in milliseconds
 * @property {string | undefined} refreshToken
 */

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout'

/**
 * All of OpenID Connect in this app.
 * @param {{ issuer: string, clientId: string, clientSecret: string, baseUrl: string, apiUrl: string }} settings
 */
export function openIdConnect({ issuer, clientId, clientSecret, baseUrl, apiUrl }) {
  /** @type {Promise<openid.Configuration> | undefined} */
  let discovery

  /** What the provider says of itself, read when first needed; a failure is not remembered. */
  function provider() {
    const execute = [openid.enableNonRepudiationChecks] // the ID token's signature is checked as well
    // Plain http only where nobody can listen: on this machine.
    if (/^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(issuer))
      execute.push(openid.allowInsecureRequests)
    discovery ??= openid
      .discovery(new URL(issuer), clientId, clientSecret, undefined, { execute })
      .catch(error => {
        discovery = undefined
        throw error
      })
    return discovery
  }

  /** Where to send the browser. The tokens are to be for the API alone (RFC 8707). */
  async function begin() {
    const attempt = {
      state: openid.randomState(),
      nonce: openid.randomNonce(),
      codeVerifier: openid.randomPKCECodeVerifier(),
    }
    const url = openid.buildAuthorizationUrl(await provider(), {
      redirect_uri: `${baseUrl}/callback`,
      scope: 'openid profile tasks:read tasks:write',
      resource: apiUrl,
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await openid.calculatePKCECodeChallenge(attempt.codeVerifier),
      code_challenge_method: 'S256',
    })
    return { url, attempt }
  }

  /** @param {string} query what came back @param {Attempt} attempt @returns {Promise<SignedIn>} */
  async function finish(query, attempt) {
    const tokens = await openid.authorizationCodeGrant(
      await provider(),
      new URL(`${baseUrl}/callback?${query}`),
      {
        expectedState: attempt.state,
        expectedNonce: attempt.nonce,
        pkceCodeVerifier: attempt.codeVerifier,
        idTokenExpected: true,
      },
    )
    const claims = tokens.claims()
    if (!claims || !tokens.id_token) throw new Error('the provider sent no ID token')
    return {
      sub: claims.sub,
      sid: typeof claims.sid === 'string' ? claims.sid : undefined,
      username: String(claims.preferred_username ?? claims.email ?? claims.sub),
      idToken: tokens.id_token,
      ...accessOf(tokens),
      refreshToken: tokens.refresh_token,
    }
  }

  /**
   * Another access token, or undefined when the provider gives none any more: then the session is over.
   * @param {SignedIn} before
   * @returns {Promise<SignedIn | undefined>}
   */
  async function renew(before) {
    if (!before.refreshToken) return undefined
    try {
      const tokens = await openid.refreshTokenGrant(await provider(), before.refreshToken)
      return { ...before, ...accessOf(tokens), refreshToken: tokens.refresh_token ?? before.refreshToken }
    } catch (error) {
      if (error instanceof openid.ResponseBodyError && error.error === 'invalid_grant') return undefined
      throw error
    }
  }

  /** @param {SignedIn} signedIn @param {string} state @returns {Promise<URL | undefined>} */
  async function signOutUrl({ idToken }, state) {
    const configuration = await provider()
    if (!configuration.serverMetadata().end_session_endpoint) return undefined
    const post_logout_redirect_uri = `${baseUrl}/signed-out`
    return openid.buildEndSessionUrl(configuration, {
      id_token_hint: idToken,
      post_logout_redirect_uri,
      state,
    })
  }

  /** @type {ReturnType<typeof createRemoteJWKSet> | undefined} */
  let keys
  /** @type {Map<string, number>} */
  const used = new Map()

  /**
   * Whose session has ended, from a logout token that holds (Back-Channel Logout 1.0, section 2.6).
   * @param {string} logoutToken
   * @returns {Promise<{ sid?: string, sub?: string }>}
   */
  async function readLogoutToken(logoutToken) {
    const metadata = (await provider()).serverMetadata()
    keys ??= createRemoteJWKSet(new URL(metadata.jwks_uri ?? ''))
    const { payload } = await jwtVerify(logoutToken, keys, {
      typ: 'logout+jwt', // or an ID token would do
      issuer: metadata.issuer,
      audience: clientId,
      requiredClaims: ['iat', 'exp', 'jti'],
      maxTokenAge: 600,
      clockTolerance: 10,
    })
    const { sid, sub, nonce, events, jti, exp } = /** @type {Record<string, any>} */ (payload)
    const isLogout = typeof (events?.[logoutEvent] ?? undefined) === 'object' && nonce === undefined
    if (!isLogout || typeof (sid ?? sub) !== 'string') throw new Error('it tells of no logout')
    for (const [id, end] of used) if (end + 10 < Date.now() / 1000) used.delete(id)
    if (used.has(jti)) throw new Error('it was used before')
    used.set(jti, exp)
    return { sid, sub }
  }

  return { begin, finish, renew, signOutUrl, readLogoutToken }
}

/** @param {openid.TokenEndpointResponse & openid.TokenEndpointResponseHelpers} tokens */
const accessOf = tokens => ({
  accessToken: tokens.access_token,
  accessTokenEndsAt: Date.now() + (tokens.expiresIn() ?? 300) * 1000,
})
