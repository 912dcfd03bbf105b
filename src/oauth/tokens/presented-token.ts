/** An access token that somebody presents: is it ours, alive, and what does it allow. */
import { type Claims, verifyJwt } from '../../keys/jwt.ts'
import type { Services } from '../../services.ts'
import { hashSecret } from '../../store/secret.ts'
import { seconds } from '../../store/single-use.ts'
import { statement } from '../../store/statement.ts'
import { fallenReason, type Held, withHolds } from '../grant/authorization.ts'
import { readOpaqueToken } from './opaque-token.ts'

export type PresentedToken = {
  claims: Claims
  jti: string
  clientId: string
  scope: string[]
  audience: string[]
  expiresAt: number
  /** What it belongs to; undefined for a client's own token. */
  standing: Held | undefined
}

/** Verified tokens in memory, so that no signature is verified twice; bounded, emptied when keys change. */
const mostRemembered = 10_000

export type TokenReader = (token: string) => Promise<PresentedToken | undefined>

const standingOf = statement<{ id: string; jti: string }, Held & { deniedJti: string | null }>(
  'presented-token.standing',
  (knex, { id, jti }) =>
    knex('authorization')
      .modify(withHolds)
      .leftJoin('revoked_access_token', denied => denied.on('revoked_access_token.jti', knex.raw('?', [jti])))
      .select({ deniedJti: 'revoked_access_token.jti' })
      .where({ 'authorization.id': id }),
)
const denied = statement<{ jti: string }, { jti: string }>('presented-token.denied', (knex, { jti }) =>
  knex('revoked_access_token').select('jti').where({ jti }),
)

type Needs = Pick<Services, 'issuer' | 'keys' | 'store' | 'now' | 'clients' | 'resources'>

/**
 * Makes the reader of presented access tokens. Signature and type are remembered; expiry, denylist, authorization,
 * user, session and client are looked at every time.
 */
export const makeTokenReader = ({ issuer, keys, store, now, clients, resources }: Needs): TokenReader => {
  let verified = new Map<string, Claims>()
  let generation = -1
  const verify = (token: string): Claims | undefined => {
    if (generation !== keys.generation() || verified.size > mostRemembered) {
      verified = new Map()
      generation = keys.generation()
    }
    const digest = hashSecret(token)
    const known = verified.get(digest)
    if (known) return known
    const claims = verifyJwt(token, 'at+jwt', keys.verifier) ?? verifyPlainTyped(token)
    if (claims) verified.set(digest, claims)
    return claims
  }
  /** Resources may ask for `typ: JWT`; such a token still has what only an access token has. */
  const verifyPlainTyped = (token: string): Claims | undefined => {
    if (!resources.all().some(resource => resource.tokenTyp === 'JWT')) return undefined
    const claims = verifyJwt(token, 'JWT', keys.verifier)
    return claims && typeof claims['client_id'] === 'string' && typeof claims['scope'] === 'string'
      ? claims
      : undefined
  }
  return async token => {
    const claims = verify(token) ?? (await readOpaqueToken(store, token))
    if (!claims || claims['iss'] !== issuer) return undefined
    const { exp, iat, jti, client_id: clientId, scope, aud } = claims
    if (
      typeof exp !== 'number' ||
      typeof jti !== 'string' ||
      typeof clientId !== 'string' ||
      typeof scope !== 'string'
    )
      return undefined
    if (exp <= seconds(now())) return undefined
    const client = await clients.find(clientId)
    if (!client || client.disabledAt !== null) return undefined
    // Of a former client of the same id.
    if (typeof iat !== 'number' || iat < client.createdAt) return undefined
    const authorizationId = jti.slice(0, jti.indexOf('.'))
    const ofClientAlone = authorizationId === '-'
    const standing = ofClientAlone ? undefined : await store.one(standingOf, { id: authorizationId, jti })
    if (
      ofClientAlone
        ? (await store.one(denied, { jti })) !== undefined
        : !standing || standing.deniedJti !== null
    )
      return undefined
    if (standing && fallenReason(standing, client, now()) !== undefined) return undefined
    return {
      claims,
      jti,
      clientId,
      scope: scope === '' ? [] : scope.split(' '),
      audience: Array.isArray(aud) ? aud.map(String) : [String(aud)],
      expiresAt: exp,
      standing,
    }
  }
}
