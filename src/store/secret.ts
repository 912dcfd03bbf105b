/**
 * Secrets that we hand out: `prefix ‖ id ‖ secret`, letters and digits only, for clients disagree on how
 * Basic is encoded. Only the SHA-256 of the secret part is stored.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import { isTextKey, randomText, textKeyLength } from './text-key.ts'

/** What each kind of secret starts with: for leak scanners, and so that no kind is taken for another. */
export const secretPrefixes = {
  browser: 'lnb',
  code: 'lnc',
  accessToken: 'lna',
  refreshToken: 'lnr',
  clientSecret: 'lns',
  setUpLink: 'lnu',
  setPasswordLink: 'lnp',
  registrationToken: 'lng',
  initialAccessToken: 'lni',
  pushedRequest: 'lnq',
} as const

export type SecretKind = keyof typeof secretPrefixes

/** 52 characters of five bits: 260 bits. */
const secretLength = 52

/** A secret in the two forms it has: what its holder gets, and what we keep. */
export type HandedSecret = { text: string; hash: string }

/** Makes a secret for the record with this id. */
export const handSecret = (kind: SecretKind, id: string): HandedSecret => {
  const secret = randomText(secretLength)
  return { text: secretPrefixes[kind] + id + secret, hash: hashSecret(secret) }
}

/** What was presented, taken apart; nothing is known yet about whether it is right. */
export type PresentedSecret = { id: string; hash: string; secret: string }

/** Reads a presented secret; undefined when it has not the form of its kind. */
export const readSecret = (kind: SecretKind, text: string): PresentedSecret | undefined => {
  const prefix = secretPrefixes[kind]
  if (text.length !== prefix.length + textKeyLength + secretLength || !text.startsWith(prefix))
    return undefined
  const id = text.slice(prefix.length, prefix.length + textKeyLength)
  const secret = text.slice(prefix.length + textKeyLength)
  if (!isTextKey(id) || !/^[0-9a-z]+$/.test(secret)) return undefined
  return { id, secret, hash: hashSecret(secret) }
}

/** SHA-256 as base64url. */
export const hashSecret = (secret: string): string => hash('sha256', secret, 'base64url')

/** Whether two texts are equal, in a time that does not tell where they differ. */
export const equalInConstantTime = (one: string, other: string): boolean => {
  const left = Buffer.from(one)
  const right = Buffer.from(other)
  return left.length === right.length && timingSafeEqual(left, right)
}
