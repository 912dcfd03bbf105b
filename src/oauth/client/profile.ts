/**
 * Policies: specifications disagree at the same endpoint, and a client's profile decides. Code reads only
 * `client.policy`, worked out once at load: the preset, then the client's own settings.
 */

export type Policy = {
  /** A code challenge must be sent. Of public clients it must in every profile. */
  requirePkce: boolean
  /** Claims of scopes stand in the ID token as well as at UserInfo (OIDC Core section 5.4 names UserInfo only). */
  scopeClaimsInIdToken: boolean
  /** Refresh tokens change at every use. */
  rotateRefreshTokens: boolean
  /** What a client assertion may name as audience besides the issuer. */
  assertionAudience: 'issuer' | 'issuer-or-token-endpoint'
}

const presets = {
  oauth21: {
    requirePkce: true,
    scopeClaimsInIdToken: true,
    rotateRefreshTokens: true,
    assertionAudience: 'issuer',
  },
  oidc: {
    requirePkce: false,
    scopeClaimsInIdToken: false,
    rotateRefreshTokens: true,
    assertionAudience: 'issuer-or-token-endpoint',
  },
} as const satisfies Record<string, Policy>

export type ProfileName = keyof typeof presets
export const profileNames = Object.keys(presets) as ProfileName[]

/** What a client sets for itself. */
export type PolicyOverrides = {
  require_pkce?: boolean | undefined
  scope_claims_in_id_token?: boolean | undefined
}

/** The policy of a client. */
export const policyOf = (profile: ProfileName, own: PolicyOverrides, isPublic: boolean): Policy => ({
  ...presets[profile],
  ...(own.scope_claims_in_id_token === undefined
    ? {}
    : { scopeClaimsInIdToken: own.scope_claims_in_id_token }),
  requirePkce: isPublic || (own.require_pkce ?? presets[profile].requirePkce),
})
