/** The answer of the token endpoint (RFC 6749 section 5.1, OIDC Core section 3.1.3.3). */
import { readAmr } from '../../identity/session.ts'
import type { Services } from '../../services.ts'
import type { Write } from '../../store/commit.ts'
import type { Client } from '../client/client.ts'
import type { Standing } from '../grant/authorization.ts'
import { claimsOf } from '../grant/claims.ts'
import { issueAccessToken } from './access-token.ts'
import { issueIdToken } from './id-token.ts'

/** Lifetimes in seconds. */
export type TokenSettings = {
  accessTokenTtl: number
  idTokenTtl: number
  refreshTtl: number
  refreshIdleTtl: number
}

export type TokenResponse = {
  access_token: string
  token_type: 'Bearer'
  expires_in: number
  scope: string
  id_token?: string
  refresh_token?: string
}

/** An answer, and what must be committed before it is sent. */
export type Issued = { answer: TokenResponse; writes: Write[] }

type Needs = Pick<Services, 'issuer' | 'keys' | 'now' | 'resources' | 'store'>

/**
 * Issues the tokens of an authorization for a person.
 *
 * @param standing the authorization, which must stand
 * @param narrowed what was allowed, or the part of it that the request asks for
 */
export const issueTokens = async (
  services: Needs,
  settings: TokenSettings,
  {
    client,
    standing,
    nonce,
    narrowed,
  }: {
    client: Client
    standing: Standing & { sub: string }
    nonce?: string | null
    narrowed: { scope: readonly string[]; resources: readonly string[] }
  },
): Promise<Issued> => {
  const { scope, resources } = narrowed
  const signedIn = { authTime: standing.authTime, amr: readAmr(standing.amr), acr: standing.acr }
  const { token, expiresIn, writes } = await issueAccessToken(services, settings, {
    authorizationId: standing.authorizationId,
    clientId: client.id,
    sub: standing.sub,
    scope,
    resources,
    wantsOpaque: client.metadata.access_token_format === 'opaque',
    signedIn,
  })
  const answer: TokenResponse = {
    access_token: token,
    token_type: 'Bearer',
    expires_in: expiresIn,
    scope: scope.join(' '),
  }
  if (!scope.includes('openid')) return { answer, writes }
  const person = client.policy.scopeClaimsInIdToken ? await claimsOf(services.store, standing, scope) : {}
  answer.id_token = await issueIdToken(services, settings, client, {
    sub: standing.sub,
    sid: standing.sessionId,
    ...signedIn,
    nonce: nonce ?? null,
    accessToken: token,
    person,
  })
  return { answer, writes }
}

/** What an authorization allows. */
export const grantedBy = (
  standing: Pick<Standing, 'scope' | 'resources'>,
): { scope: string[]; resources: string[] } => ({
  scope: standing.scope === '' ? [] : standing.scope.split(' '),
  resources: JSON.parse(standing.resources) as string[],
})
