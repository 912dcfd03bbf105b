/** private_key_jwt (RFC 7523 section 3, OIDC Core section 9). */
import type { JWTPayload } from 'jose'
import type { Context } from 'koa'
import type { Params } from '../../http/params.ts'
import type { Services } from '../../services.ts'
import { GuardFailed } from '../../store/commit.ts'
import { seconds } from '../../store/single-use.ts'
import { assertionAlgorithms } from './assertion-algorithms.ts'
import type { Presented } from './auth-methods.ts'
import type { Client } from './client.ts'
import { isSoundHeader } from './foreign-header.ts'
import { useAssertion } from './used-assertion.ts'

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

const longestAssertion = 16 * 1024
/** Seconds. */
const longestLife = 600
const tolerance = 15

/** An assertion names its client in `sub`; a `client_id` beside it must be the same (RFC 7521 section 4.2). */
export const readAssertion = (_: Context, params: Params): Presented | undefined => {
  const assertion = params.get('client_assertion')
  if (assertion === undefined && !params.has('client_assertion_type')) return undefined
  if (
    assertion === undefined ||
    params.get('client_assertion_type') !== assertionType ||
    assertion.length > longestAssertion
  )
    return { clientId: params.get('client_id') ?? '', secrets: [] }
  return { clientId: params.get('client_id') ?? subjectOf(assertion), secrets: [assertion] }
}

const subjectOf = (assertion: string): string => {
  try {
    const claims: unknown = JSON.parse(
      Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString('utf8'),
    )
    return typeof claims === 'object' && claims !== null && 'sub' in claims && typeof claims.sub === 'string'
      ? claims.sub
      : ''
  } catch {
    return ''
  }
}

/** Why an assertion is not the client's own, fresh, meant for us and never used before, or undefined. */
export const verifyAssertion = async (
  client: Client,
  { secrets }: Presented,
  services: Pick<Services, 'store' | 'now' | 'issuer' | 'clientKeys'>,
): Promise<string | undefined> => {
  const [assertion] = secrets
  if (assertion === undefined) return 'wrong_credentials'
  const claims = await verifiedClaims(client, assertion, services)
  if (!claims || !isFitting(client, claims, services)) return 'wrong_credentials'
  try {
    await services.store.commit([
      useAssertion(client.id, claims.jti ?? '', Math.ceil(claims.exp ?? 0) + tolerance),
    ])
    return undefined
  } catch (error) {
    if (error instanceof GuardFailed) return 'replay'
    throw error
  }
}

const verifiedClaims = async (
  client: Client,
  assertion: string,
  { now, clientKeys }: Pick<Services, 'now' | 'clientKeys'>,
): Promise<JWTPayload | undefined> => {
  // Loaded when a client first sends one: few servers have such clients.
  const { decodeProtectedHeader, jwtVerify } = await import('jose')
  try {
    const header = decodeProtectedHeader(assertion)
    if (!isSoundHeader(header)) return undefined
    const keys = await clientKeys.find(client, header.kid)
    if (!keys) return undefined
    const registered = client.metadata.token_endpoint_auth_signing_alg
    const { payload } = await jwtVerify(assertion, keys, {
      algorithms: registered === undefined ? [...assertionAlgorithms] : [registered],
      currentDate: now(),
      clockTolerance: tolerance,
    })
    return payload
  } catch {
    // Whatever jose says of it, it is not an assertion that counts; which part was wrong is not told.
    return undefined
  }
}

const isFitting = (
  client: Client,
  claims: JWTPayload,
  { now, issuer }: Pick<Services, 'now' | 'issuer'>,
): boolean => {
  const { iss, sub, aud, exp, iat, jti } = claims
  if (iss !== client.id || sub !== client.id || typeof jti !== 'string' || jti === '' || jti.length > 500)
    return false
  if (typeof exp !== 'number' || exp > seconds(now()) + longestLife + tolerance) return false
  if (iat !== undefined && iat > seconds(now()) + tolerance) return false
  if (aud === issuer) return true
  if (client.policy.assertionAudience === 'issuer') return false
  const accepted = [issuer, `${issuer}/token`]
  return aud !== undefined && [aud].flat().length > 0 && [aud].flat().every(one => accepted.includes(one))
}
