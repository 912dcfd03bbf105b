/** ID tokens (OIDC Core section 2), and what an `id_token_hint` says. */
import { hash } from 'node:crypto'
import { type Claims, signJwt, verifyJwt } from '../../keys/jwt.ts'
import { isSigningAlgorithm, type SigningAlgorithm } from '../../keys/signing-key.ts'
import type { Services } from '../../services.ts'
import { seconds } from '../../store/single-use.ts'
import type { Client } from '../client/client.ts'

/**
 * RS256 unless the client registered another: it is what real clients expect. One that has no key here any more is
 * RS256 too, for a token that an app may refuse helps it more than no answer.
 */
export const idTokenAlgorithm = ({ keys }: Pick<Services, 'keys'>, client: Client): SigningAlgorithm => {
  const registered = client.metadata.id_token_signed_response_alg
  return registered !== undefined && isSigningAlgorithm(registered) && keys.canSign(registered)
    ? registered
    : 'RS256'
}

const digests: Record<SigningAlgorithm, string> = {
  RS256: 'sha256',
  PS256: 'sha256',
  ES256: 'sha256',
  EdDSA: 'sha512',
}

/** `at_hash`: the left half of the hash of the access token (OIDC Core section 3.1.3.6). */
const halfHash = (text: string, alg: SigningAlgorithm): string => {
  const digest = hash(digests[alg], text, 'buffer')
  return digest.subarray(0, digest.length / 2).toString('base64url')
}

export type IdTokenContent = {
  sub: string
  sid: string | null
  authTime: number
  amr: string[]
  acr: string
  nonce?: string | null
  accessToken?: string
  /** Claims about the person, where the client gets them here. */
  person: Claims
}

/** Makes an ID token for a client. One `aud`, a string; `iat` rounded down, never ahead. */
export const issueIdToken = (
  { issuer, keys, now }: Pick<Services, 'issuer' | 'keys' | 'now'>,
  settings: { idTokenTtl: number },
  client: Client,
  content: IdTokenContent,
): Promise<string> => {
  const alg = idTokenAlgorithm({ keys }, client)
  const iat = seconds(now())
  // The person's claims have none of these names, and come last: properties added to a copy cost 0.7 µs each.
  return signJwt(keys.signer(alg), 'JWT', {
    iss: issuer,
    sub: content.sub,
    aud: client.id,
    iat,
    exp: iat + settings.idTokenTtl,
    auth_time: content.authTime,
    amr: content.amr,
    acr: content.acr,
    sid: content.sid ?? undefined,
    nonce: content.nonce || undefined,
    at_hash: content.accessToken === undefined ? undefined : halfHash(content.accessToken, alg),
    ...content.person,
  })
}

export type IdTokenHint = { sub: string; clientId: string; sid?: string }

/**
 * Reads an `id_token_hint`. It may have expired, and its key may be retired (OIDC RP-Initiated Logout section 4).
 *
 * @returns undefined for anything that is not an ID token of ours
 */
export const readIdTokenHint = (
  { issuer, keys }: Pick<Services, 'issuer' | 'keys'>,
  hint: string,
): IdTokenHint | undefined => {
  const claims = verifyJwt(hint, 'JWT', keys.hintVerifier)
  if (
    !claims ||
    claims['iss'] !== issuer ||
    typeof claims['sub'] !== 'string' ||
    typeof claims['aud'] !== 'string'
  )
    return undefined
  // An access token may be typed JWT for verifiers that refuse at+jwt; it has a client_id, an ID token never does.
  if ('client_id' in claims || typeof claims['auth_time'] !== 'number') return undefined
  const sid = claims['sid']
  return { sub: claims['sub'], clientId: claims['aud'], ...(typeof sid === 'string' ? { sid } : {}) }
}
