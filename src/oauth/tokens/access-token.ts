/** Access tokens: JWTs by RFC 9068, no row written for one; opaque ones by choice of the client or the resource. */
import { signJwt } from '../../keys/jwt.ts'
import { isSigningAlgorithm } from '../../keys/signing-key.ts'
import type { Services } from '../../services.ts'
import type { Write } from '../../store/commit.ts'
import { seconds } from '../../store/single-use.ts'
import { randomText } from '../../store/text-key.ts'
import { audienceOf, resourcesMeant } from '../parameters/resource.ts'
import { newOpaqueToken } from './opaque-token.ts'

export type AccessTokenGrant = {
  /** The authorization it belongs to; `-` for a client's own (client_credentials). */
  authorizationId: string
  clientId: string
  sub: string
  scope: readonly string[]
  resources: readonly string[]
  /** The client asked for opaque ones. */
  wantsOpaque: boolean
  /** How the person had signed in (RFC 9068 section 2.2.1). */
  signedIn?: { authTime: number; amr: string[]; acr: string }
}

export type AccessTokenSettings = { accessTokenTtl: number }

export type IssuedAccessToken = {
  token: string
  /** Seconds. */
  expiresIn: number
  /** For the commit of the grant: none for a JWT, a row for an opaque token. */
  writes: Write[]
}

type Needs = Pick<Services, 'issuer' | 'keys' | 'now' | 'resources'>

/** Makes an access token. Its `jti` is `<authorization>.<random>`, by which it is revoked with its authorization. */
export const issueAccessToken = async (
  { issuer, keys, now, resources }: Needs,
  settings: AccessTokenSettings,
  grant: AccessTokenGrant,
): Promise<IssuedAccessToken> => {
  const meant = resourcesMeant(grant.resources, grant.scope, resources)
  const expiresIn = Math.min(
    ...[settings.accessTokenTtl, ...meant.flatMap(resource => resource.lifetime ?? [])],
  )
  const iat = seconds(now())
  const claims = {
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
  }
  if (grant.wantsOpaque || meant.some(resource => resource.tokenFormat === 'opaque')) {
    const { token, write } = newOpaqueToken(claims, claims.exp, now())
    return { token, expiresIn, writes: [write] }
  }
  // The algorithm and the type belong to the resource; a token for several has the common ones.
  const only = meant.length === 1 ? meant[0] : undefined
  const alg = only && isSigningAlgorithm(only.alg) && keys.canSign(only.alg) ? only.alg : 'ES256'
  return { token: await signJwt(keys.signer(alg), only?.tokenTyp ?? 'at+jwt', claims), expiresIn, writes: [] }
}
