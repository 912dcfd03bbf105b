// @ts-check
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as openid from 'openid-client'

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout'

/**
 * What has to be remembered from leaving for the provider to coming back.
 * @typedef {{ state: string, nonce: string, codeVerifier: string, silent: boolean }} Attempt
 *
 * @typedef {object} Customer
 * @property {string} sub
 * @property {string | undefined} sid
 * @property {openid.UserInfoResponse} profile
 * @property {string} idToken
 * @property {string} accessToken
 */

/** The provider as this app sees it. */
export class Provider {
  /** @type {openid.Configuration} */
  #configuration
  /** @type {string} */
  #baseUrl
  /** @type {ReturnType<typeof createRemoteJWKSet>} */
  #keys
  /** @type {Map<string, number>} logout tokens that were used, and until when they must not be again */
  #used = new Map()

  /**
   * Reads the provider's own description; there is nothing to configure but its address and who we are.
   * @param {{ issuer: string, clientId: string, clientSecret: string, baseUrl: string }} settings
   */
  static async discover({ issuer, clientId, clientSecret, baseUrl }) {
    const execute = [openid.enableNonRepudiationChecks] // check the ID token's signature as well
    // Without TLS only where nobody can listen: on this machine.
    if (/^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(issuer))
      execute.push(openid.allowInsecureRequests)
    const configuration = await openid.discovery(new URL(issuer), clientId, clientSecret, undefined, {
      execute,
    })
    return new Provider(configuration, baseUrl)
  }

  /** @param {openid.Configuration} configuration @param {string} baseUrl */
  constructor(configuration, baseUrl) {
    this.#configuration = configuration
    this.#baseUrl = baseUrl
    this.#keys = createRemoteJWKSet(new URL(this.#metadata.jwks_uri ?? ''))
  }

  get #metadata() {
    return this.#configuration.serverMetadata()
  }

  /** @param {{ silent: boolean, loginHint: string | null }} wish @returns {Promise<{ url: URL, attempt: Attempt }>} */
  async begin({ silent, loginHint }) {
    const attempt = {
      state: openid.randomState(),
      nonce: openid.randomNonce(),
      codeVerifier: openid.randomPKCECodeVerifier(),
      silent,
    }
    /** @type {Record<string, string>} */
    const parameters = {
      redirect_uri: `${this.#baseUrl}/callback`,
      scope: 'openid profile email',
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await openid.calculatePKCECodeChallenge(attempt.codeVerifier),
      code_challenge_method: 'S256',
    }
    if (silent) parameters.prompt = 'none'
    if (loginHint) parameters.login_hint = loginHint

    // Pushed, the request goes from server to server, and the browser carries only its number:
    // nobody can read or change it on the way (RFC 9126).
    const url = this.#metadata.pushed_authorization_request_endpoint
      ? await openid.buildAuthorizationUrlWithPAR(this.#configuration, parameters)
      : openid.buildAuthorizationUrl(this.#configuration, parameters)
    return { url, attempt }
  }

  /**
   * Trades the code for tokens, checks them, and asks who that is.
   * @param {URLSearchParams} answer
   * @param {Attempt} attempt
   * @returns {Promise<Customer>}
   */
  async finish(answer, attempt) {
    const tokens = await openid.authorizationCodeGrant(
      this.#configuration,
      new URL(`${this.#baseUrl}/callback?${answer}`),
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
      // The answer must be about the same `sub`, or an access token of somebody else was slipped in.
      profile: await openid.fetchUserInfo(this.#configuration, tokens.access_token, claims.sub),
      idToken: tokens.id_token,
      accessToken: tokens.access_token,
    }
  }

  /** @param {string} idToken @param {string} state @returns {string | undefined} */
  signOutUrl(idToken, state) {
    if (!this.#metadata.end_session_endpoint) return undefined
    return openid.buildEndSessionUrl(this.#configuration, {
      id_token_hint: idToken,
      post_logout_redirect_uri: `${this.#baseUrl}/signed-out`,
      state,
    }).href
  }

  /**
   * Believes a logout token only after every check of Back-Channel Logout 1.0, section 2.6.
   * @param {string} logoutToken
   * @returns {Promise<{ sid?: string, sub?: string }>}
   */
  async readLogoutToken(logoutToken) {
    const { payload } = await jwtVerify(logoutToken, this.#keys, {
      typ: 'logout+jwt', // or an ID token could be posted here
      issuer: this.#metadata.issuer,
      audience: this.#configuration.clientMetadata().client_id,
      requiredClaims: ['iat', 'exp', 'jti'],
      maxTokenAge: 600,
      clockTolerance: 10,
    })
    const { sid, sub, nonce, events, jti, exp } = /** @type {Record<string, any>} */ (payload)
    if (typeof (events?.[logoutEvent] ?? false) !== 'object') throw new Error('it is about something else')
    if (nonce !== undefined) throw new Error('it has a nonce')
    if (typeof (sid ?? sub) !== 'string') throw new Error('it names nobody')

    const now = Date.now() / 1000
    for (const [number, end] of this.#used) if (end < now) this.#used.delete(number)
    if (this.#used.has(jti)) throw new Error('it was used before')
    this.#used.set(jti, exp + 10)
    return { sid, sub }
  }
}
