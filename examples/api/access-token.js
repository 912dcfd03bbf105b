// @ts-check
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

/**
 * Who is calling, and what the token allows.
 * @typedef {object} Caller
 * @property {string} sub the person; a program that calls for itself is its own `sub`
 * @property {string} clientId
 * @property {Set<string>} scopes
 * @property {import('jose').JWTPayload} claims
 */

/** An answer of RFC 6750, section 3: why a call was refused, for the program that made it. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} [error] none where no token came at all: there was nothing wrong with it
   * @param {string} [description]
   * @param {string} [scope] what would have been enough
   */
  constructor(status, error, description, scope) {
    super(description ?? 'a token is needed')
    this.status = status
    this.error = error
    this.description = description
    this.scope = scope
  }

  /** The header that tells it, and where to read how to get a token (RFC 9728, section 5.1). @param {string} metadata */
  challenge(metadata) {
    const parts = [
      this.error && `error="${this.error}"`,
      this.description && `error_description="${this.description}"`,
      this.scope && `scope="${this.scope}"`,
      `resource_metadata="${metadata}"`,
    ]
    return `Bearer ${parts.filter(Boolean).join(', ')}`
  }
}

/** Signatures that can be checked with a public key. `none` and shared secrets are not among them. */
const algorithms = ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'PS256', 'PS384', 'PS512', 'RS256']

/**
 * Checks access tokens here, with the provider's published keys: no call to the provider is needed for one.
 * @param {{ issuer: string, audience: string, typ: string }} settings
 */
export function accessTokens({ issuer, audience, typ }) {
  /** @type {ReturnType<typeof createRemoteJWKSet> | undefined} */
  let keys

  /** Where the keys are, from the provider's own description; a failure is not remembered. */
  async function providerKeys() {
    if (keys) return keys
    const answer = await fetch(`${issuer}/.well-known/openid-configuration`, {
      signal: AbortSignal.timeout(5000),
    })
    const metadata = /** @type {{ issuer?: string, jwks_uri?: string }} */ (await answer.json())
    if (metadata.issuer !== issuer || !metadata.jwks_uri)
      throw new Error(`${issuer} does not describe itself`)
    keys = createRemoteJWKSet(new URL(metadata.jwks_uri))
    return keys
  }

  /**
   * The token of a request, checked: signature, issuer, audience, times and kind (RFC 9068, section 4).
   * @param {string | undefined} authorization the header
   * @returns {Promise<Caller>}
   */
  return async function callerOf(authorization = '') {
    const [, scheme, token] = /^(\S+)(?: +(\S+))? *$/.exec(authorization) ?? []
    if (scheme?.toLowerCase() !== 'bearer') throw new Refusal(401)
    if (!token) throw new Refusal(400, 'invalid_request', 'there is no token in the Authorization header')
    try {
      const { payload } = await jwtVerify(token, await providerKeys(), {
        issuer,
        audience, // a token for another API, or for the provider itself, is worth nothing here
        typ, // nor is an ID token
        algorithms,
        requiredClaims: ['exp', 'sub', 'client_id'],
        clockTolerance: 5,
      })
      return {
        sub: String(payload.sub),
        clientId: String(payload.client_id),
        scopes: new Set(String(payload.scope ?? '').split(' ')),
        claims: payload,
      }
    } catch (error) {
      throw new Refusal(401, 'invalid_token', whatIsWrong(error))
    }
  }
}

/** @param {unknown} error @returns {string} */
function whatIsWrong(error) {
  if (error instanceof errors.JWTExpired) return 'the token has expired'
  if (error instanceof errors.JWTClaimValidationFailed) return `its ${error.claim} is not what it has to be`
  if (error instanceof errors.JWKSNoMatchingKey) return 'the provider has no such key'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature is wrong'
  // A provider that cannot be reached says nothing about the token: that is our trouble, not the caller's.
  if (!(error instanceof errors.JOSEError) || brokenKeySet.has(error.code)) throw error
  return 'it is no token of this provider'
}

const brokenKeySet = new Set(['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID'])

/** @param {Caller} caller @param {string} scope */
export function need(caller, scope) {
  if (!caller.scopes.has(scope))
    throw new Refusal(403, 'insufficient_scope', `this needs the scope ${scope}`, scope)
}
