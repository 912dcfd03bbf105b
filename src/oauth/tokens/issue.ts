/** The answer of the token endpoint (RFC 6749 section 5.1, OIDC Core section 3.1.3.3). */
import { readAmr } from '../../identity/session.ts'
import type { Services } from '../../services.ts'
import type { Client } from '../client/client.ts'
import type { Standing } from '../grant/authorization.ts'
import { claimsOf } from '../grant/claims.ts'
import { issueAccessToken } from './access-token.ts'
import { issueIdToken } from './id-token.ts'

export type TokenSettings = { accessTokenTtl: number; idTokenTtl: number }

export type TokenResponse = {
  access_token: string
  token_type: 'Bearer'
  expires_in: number
  scope: string
  id_token?: string
  refresh_token?: string
}

type Needs = Pick<Services, 'issuer' | 'keys' | 'now' | 'resources' | 'store'>

/**
 * Issues the tokens of an authorization for a person.
 *
 * @param standing the authorization, which must stand
 * @param narrowed scope and resources where the request asks for less than was allowed
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
    narrowed?: { scope: readonly string[]; resources: readonly string[] }
  },
): Promise<TokenResponse> => {
  const granted = standing.scope === '' ? [] : standing.scope.split(' ')
  const scope = narrowed?.scope ?? granted
  const signedIn = { authTime: standing.authTime, amr: readAmr(standing.amr), acr: standing.acr }
  const { token, expiresIn } = await issueAccessToken(services, settings, {
    authorizationId: standing.authorizationId,
    clientId: client.id,
    sub: standing.sub,
    scope,
    resources: narrowed?.resources ?? (JSON.parse(standing.resources) as string[]),
    signedIn,
  })
  const answer: TokenResponse = {
    access_token: token,
    token_type: 'Bearer',
    expires_in: expiresIn,
    scope: scope.join(' '),
  }
  if (!scope.includes('openid')) return answer
  const person = client.policy.scopeClaimsInIdToken ? await claimsOf(services.store, standing, scope) : {}
  const idToken = await issueIdToken(services, settings, client, {
    sub: standing.sub,
    sid: standing.sessionId,
    ...signedIn,
    nonce: nonce ?? null,
    accessToken: token,
    person,
  })
  return { ...answer, id_token: idToken }
}
