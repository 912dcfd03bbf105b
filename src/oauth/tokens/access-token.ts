/** Access tokens: JWTs by RFC 9068, no row written for one. */
import { signJwt } from '../../keys/jwt.ts'
import { isSigningAlgorithm } from '../../keys/key-ring.ts'
import type { Services } from '../../services.ts'
import { seconds } from '../../store/single-use.ts'
import { randomText } from '../../store/text-key.ts'
import { audienceOf, resourcesMeant } from '../parameters/resource.ts'

export type AccessTokenGrant = {
  /** The authorization it belongs to; `-` for a client's own (client_credentials). */
  authorizationId: string
  clientId: string
  sub: string
  scope: readonly string[]
  resources: readonly string[]
  /** How the person had signed in (RFC 9068 section 2.2.1). */
  signedIn?: { authTime: number; amr: string[]; acr: string }
}

export type AccessTokenSettings = { accessTokenTtl: number }

/**
 * Makes an access token. Its `jti` is `<authorization>.<random>`, by which it is revoked with its authorization.
 *
 * @returns the token and its lifetime in seconds
 */
export const issueAccessToken = async (
  { issuer, keys, now, resources }: Pick<Services, 'issuer' | 'keys' | 'now' | 'resources'>,
  settings: AccessTokenSettings,
  grant: AccessTokenGrant,
): Promise<{ token: string; expiresIn: number }> => {
  const meant = resourcesMeant(grant.resources, grant.scope, resources)
  const [only] = meant
  const alg = meant.length === 1 && only && isSigningAlgorithm(only.alg) ? only.alg : 'ES256'
  const expiresIn = Math.min(
    settings.accessTokenTtl,
    ...meant.map(resource => resource.lifetime ?? settings.accessTokenTtl),
  )
  const iat = seconds(now())
  const token = await signJwt(keys.signer(alg), meant.length === 1 && only ? only.tokenTyp : 'at+jwt', {
    iss: issuer,
    sub: grant.sub,
    aud: audienceOf(grant, issuer, resources),
    client_id: grant.clientId,
    scope: grant.scope.join(' '),
    iat,
    exp: iat + expiresIn,
    jti: `${grant.authorizationId}.${randomText(16)}`,
    ...(grant.signedIn
      ? { auth_time: grant.signedIn.authTime, amr: grant.signedIn.amr, acr: grant.signedIn.acr }
      : {}),
  })
  return { token, expiresIn }
}
