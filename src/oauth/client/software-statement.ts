/** Software statements (RFC 7591 section 2.3): metadata that somebody vouches for whom the operator trusts. */
import { readFileSync } from 'node:fs'
import type { JSONWebKeySet } from 'jose'
import { parseTrustedIssuer } from '../../config/setting-forms.ts'
import { ConfigError } from '../../config.ts'
import { temporarilyUnavailable } from '../../http/refusal.ts'
import type { Services } from '../../services.ts'
import { invalidSoftwareStatement, unapprovedSoftwareStatement } from '../errors.ts'
import { assertionAlgorithms } from './assertion-algorithms.ts'
import { isSoundHeader } from './foreign-header.ts'
import { makeRemoteKeySets, readKeySet } from './remote-key-sets.ts'

const longestStatement = 16 * 1024
/** Seconds. */
const tolerance = 15

/** Claims about the statement, not about the client. */
const ownClaims = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti'])

type Needs = Pick<Services, 'fetch' | 'now' | 'log' | 'issuer'>

/**
 * The metadata in a statement.
 *
 * @throws Refusal `unapproved_software_statement` for an issuer that is not trusted, `invalid_software_statement`, 503
 */
export type ReadStatement = (statement: unknown) => Promise<Record<string, unknown>>

type KeysOf = (kid: string | undefined) => Promise<JSONWebKeySet | undefined>

/**
 * Makes the reader.
 *
 * @param trusted `ISSUER=JWKS` each; with none, statements do not count and there is no reader
 * @throws ConfigError when a file of keys cannot be read
 */
export const makeStatementReader = (
  services: Needs,
  trusted: readonly string[],
): ReadStatement | undefined => {
  if (trusted.length === 0) return undefined
  const issuers = keysOfIssuers(services, trusted)
  return async statement => {
    if (typeof statement !== 'string' || statement.length > longestStatement)
      throw invalidSoftwareStatement('software_statement must be a JWT')
    const { issuer, kid } = await whoseIsIt(statement)
    const keysOf = issuers.get(issuer)
    if (!keysOf)
      throw unapprovedSoftwareStatement('software_statement is of an issuer that is not trusted here')
    const keys = await keysOf(kid)
    if (!keys) throw temporarilyUnavailable('the keys of the issuer of software_statement cannot be had', 60)
    return verified(services, statement, issuer, keys)
  }
}

const whoseIsIt = async (statement: string): Promise<{ issuer: string; kid: string | undefined }> => {
  const { decodeJwt, decodeProtectedHeader } = await import('jose')
  try {
    const header = decodeProtectedHeader(statement)
    const { iss } = decodeJwt(statement)
    if (isSoundHeader(header) && typeof iss === 'string') return { issuer: iss, kid: header.kid }
  } catch (cause) {
    throw invalidSoftwareStatement('software_statement cannot be read', { cause })
  }
  throw invalidSoftwareStatement('software_statement has a header or an issuer that does not do')
}

const verified = async (
  { now, issuer: ours }: Needs,
  statement: string,
  issuer: string,
  keys: JSONWebKeySet,
): Promise<Record<string, unknown>> => {
  const { createLocalJWKSet, jwtVerify } = await import('jose')
  try {
    const { payload } = await jwtVerify(statement, createLocalJWKSet(keys), {
      algorithms: [...assertionAlgorithms],
      issuer,
      currentDate: now(),
      clockTolerance: tolerance,
    })
    if (payload.aud === undefined || [payload.aud].flat().includes(ours))
      return Object.fromEntries(Object.entries(payload).filter(([name]) => !ownClaims.has(name)))
  } catch (cause) {
    throw invalidSoftwareStatement('software_statement is not signed by its issuer, or has expired', {
      cause,
    })
  }
  throw invalidSoftwareStatement('software_statement is meant for another server')
}

const keysOfIssuers = (services: Needs, trusted: readonly string[]): Map<string, KeysOf> => {
  const remoteKeySets = makeRemoteKeySets(services)
  return new Map(
    trusted.map(text => {
      const { issuer, keysAt } = parseTrustedIssuer(text)
      if (!/^https?:\/\//.test(keysAt)) {
        const keys = keysInFile(keysAt)
        return [issuer, async () => keys]
      }
      const failed = (cause: Error): void =>
        services.log.warn('software_statement.fetch_failed', { issuer, cause })
      return [issuer, kid => remoteKeySets({ owner: issuer, uri: keysAt, trust: 'operator', failed }, kid)]
    }),
  )
}

const keysInFile = (path: string): JSONWebKeySet => {
  try {
    return readKeySet(JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    throw new ConfigError(
      `LINTEL_REGISTRATION_TRUSTED_ISSUERS: ${path} holds no key set: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    )
  }
}
