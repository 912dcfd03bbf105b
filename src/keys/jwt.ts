/** Our own tokens: signed and checked with ready key objects, `typ` and algorithm from our tables, never from the header. */
import { constants, type KeyObject, sign as signBytes, verify as verifyBytes } from 'node:crypto'
import type { SigningKey, VerificationKey } from './key-ring.ts'
import type { SigningAlgorithm } from './signing-key.ts'

export type Claims = Record<string, unknown>

/** How large a token may be before anybody looks into it (security-defaults: JWT ≤ 16 KB). */
const longestToken = 16 * 1024

/** Node's base64url skips what does not belong; a token with anything between is none of ours. */
const compactForm = /^[\w-]+\.[\w-]+\.[\w-]+$/

const keyOptions = (alg: SigningAlgorithm, key: KeyObject) =>
  alg === 'ES256'
    ? { key, dsaEncoding: 'ieee-p1363' as const }
    : alg === 'PS256'
      ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : { key }

const digestOf = (alg: SigningAlgorithm): 'sha256' | null => (alg === 'EdDSA' ? null : 'sha256')

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Headers are the same for every token of a key and type. */
const headers = new WeakMap<SigningKey, Map<string, string>>()

const headerOf = (key: SigningKey, typ: string): string => {
  const ofKey = headers.get(key) ?? new Map<string, string>()
  headers.set(key, ofKey)
  const header = ofKey.get(typ) ?? encode({ alg: key.alg, typ, kid: key.kid })
  ofKey.set(typ, header)
  return header
}

/**
 * Signs claims. Elliptic curves sign on this thread (24–65 µs), RSA on the thread pool.
 *
 * @param typ the header's `typ`, such as `at+jwt` (RFC 8725 section 3.11)
 */
export const signJwt = (key: SigningKey, typ: string, claims: Claims): Promise<string> => {
  const input = `${headerOf(key, typ)}.${encode(claims)}`
  const bytes = Buffer.from(input)
  const options = keyOptions(key.alg, key.privateKey)
  if (key.alg === 'ES256' || key.alg === 'EdDSA')
    return Promise.resolve(`${input}.${signBytes(digestOf(key.alg), bytes, options).toString('base64url')}`)
  return new Promise((resolve, reject) => {
    signBytes(digestOf(key.alg), bytes, options, (error, signature) =>
      error ? reject(error) : resolve(`${input}.${signature.toString('base64url')}`),
    )
  })
}

const isRecord = (value: unknown): value is Claims =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const decode = (part: string): Claims | undefined => {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * Checks the signature and type of a token that we made.
 *
 * @param find the key of this `kid`, from the ring; it alone says which algorithm counts
 * @returns the claims; undefined for anything that is not such a token. Times are not looked at.
 */
export const verifyJwt = (
  token: string,
  typ: string,
  find: (kid: string) => VerificationKey | undefined,
): Claims | undefined => {
  if (token.length > longestToken || !compactForm.test(token)) return undefined
  const [headerPart = '', claimsPart = '', signaturePart = ''] = token.split('.')
  const header = decode(headerPart)
  if (header?.['typ'] !== typ || typeof header['kid'] !== 'string' || 'crit' in header) return undefined
  const key = find(header['kid'])
  if (!key || header['alg'] !== key.alg) return undefined
  const genuine = verifyBytes(
    digestOf(key.alg),
    Buffer.from(`${headerPart}.${claimsPart}`),
    keyOptions(key.alg, key.publicKey),
    Buffer.from(signaturePart, 'base64url'),
  )
  return genuine ? decode(claimsPart) : undefined
}
