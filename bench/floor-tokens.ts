/** The floor's ids, secrets, keys and tokens: signed with ready key objects, and no signature checked twice. */
import {
  createHash,
  createHmac,
  createSecretKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { promisify } from 'node:util'

export type Claims = { jti: string; exp: number; sub: string; client_id: string; scope: string }

export const now = () => Math.floor(Date.now() / 1000)
export const sha256 = (text: string) => createHash('sha256').update(text).digest()
export const same = (secret: string, stored: Buffer) => timingSafeEqual(sha256(secret), stored)
export const makeSecret = () => random(32).toString('hex')

/** 45 bits of milliseconds and 55 random ones: 20 characters that sort by time. */
export function makeId() {
  let id = ''
  for (let digit = 0, time = Date.now(); digit < 9; digit++, time = Math.floor(time / 32)) {
    id = (time % 32).toString(32) + id
  }
  for (const byte of random(11)) id += (byte & 31).toString(32)
  return id
}

/** From a pool: asked for one by one, random bytes cost more than the row they go into. */
let [pool, used] = [Buffer.alloc(0), 0]
export function random(size: number) {
  if (used + size > pool.length) [pool, used] = [randomBytes(8192), 0]
  used += size
  return pool.subarray(used - size, used)
}

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ieee = (key: KeyObject) => ({ key, dsaEncoding: 'ieee-p1363' as const })
const [ecPrivate, ecPublic] = [ieee(ec.privateKey), ieee(ec.publicKey)]
export const publicKeys = [ec.publicKey.export({ format: 'jwk' }), rsa.publicKey.export({ format: 'jwk' })]

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const header = (alg: string, typ: string) => base64url({ alg, typ, kid: `the-only-${alg}-key` })
const accessHeader = header('ES256', 'at+jwt')
const idHeaders = { ES256: header('ES256', 'JWT'), RS256: header('RS256', 'JWT') }

/** On this thread: 40 µs are not worth the way to the thread pool. */
function es256(head: string, claims: object) {
  const input = `${head}.${base64url(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), ecPrivate).toString('base64url')}`
}

/** On the thread pool: ten times as dear, and others go on meanwhile. */
const signAside = promisify<string, Buffer, KeyObject, Buffer>(sign)
async function rs256(head: string, claims: object) {
  const input = `${head}.${base64url(claims)}`
  return `${input}.${(await signAside('sha256', Buffer.from(input), rsa.privateKey)).toString('base64url')}`
}

export function idToken(alg: 'ES256' | 'RS256', claims: object) {
  return alg === 'ES256' ? es256(idHeaders.ES256, claims) : rs256(idHeaders.RS256, claims)
}

export function accessToken(claims: object, authorization: string) {
  const [iat, jti] = [now(), `${authorization}.${random(9).toString('hex')}`]
  return es256(accessHeader, { ...claims, iat, exp: iat + 900, jti })
}

const refreshKey = createSecretKey(randomBytes(32))
export function refreshToken(family: string, generation: number, seed: Buffer) {
  const secret = createHmac('sha256', refreshKey).update(`${family}${generation}`).update(seed).digest('hex')
  return `lrt${family}${generation}.${secret}`
}

/** The claims of an access token, from the cache when its signature was checked before. */
const checked = new Map<string, Claims>()
export function presented(token: string) {
  const key = hash('sha256', token, 'base64url')
  const known = checked.get(key)
  if (known) return known
  const end = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(end + 1), 'base64url')
  if (!verify('sha256', Buffer.from(token.slice(0, end)), ecPublic, signature))
    throw new Error('bad signature')
  const claims: Claims = JSON.parse(
    Buffer.from(token.slice(token.indexOf('.') + 1, end), 'base64url').toString(),
  )
  if (checked.size >= 10_000) checked.clear()
  checked.set(key, claims)
  return claims
}
