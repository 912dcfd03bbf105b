/** grant_type=authorization_code (RFC 6749 section 4.1.3, RFC 7636 section 4.5). */
import type { Context } from 'koa'
import { throttleAddress } from '../../http/proxy.ts'
import { type Refusal, tooManyRequests } from '../../http/refusal.ts'
import { visitOf } from '../../http/visit.ts'
import { GuardFailed } from '../../store/commit.ts'
import { hashSecret } from '../../store/secret.ts'
import { seconds } from '../../store/single-use.ts'
import { countFailure, countOnce, readCount, type ThrottleRule } from '../../throttle/throttle.ts'
import { type Code, findCode, takeCode } from '../authorize/code.ts'
import type { Client } from '../client/client.ts'
import { markRegistrationUsed } from '../client/registration.ts'
import { invalidGrant, unauthorizedClient } from '../errors.ts'
import { fallenReason, revokeAuthorization, type Standing } from '../grant/authorization.ts'
import { judgeVerifier } from '../parameters/pkce.ts'
import { narrowResources } from '../parameters/resource.ts'
import { grantedBy, issueTokens } from '../tokens/issue.ts'
import { newRefreshFamily } from '../tokens/refresh-token.ts'
import type { Grant, GrantNeeds } from './grants.ts'

/** Different wrong codes of one client from one address; the same one again is no new guess (contracts.md section 6). */
const guessRule: ThrottleRule = { name: 'code guess', window: 60, sliding: false, lockAt: 100 }
const sameGuessRule: ThrottleRule = { name: 'code guess seen', window: 60, sliding: false, lockAt: 1_000_000 }

export const authorizationCodeGrant: Grant = async (services, settings, { ctx, client, params }) => {
  const { store, now } = services
  if (!client.grantTypes.has('authorization_code'))
    throw unauthorizedClient('this client is not registered for the authorization code grant')
  const presented = params.need('code')
  const code = await findCode(store, presented)
  if (!code) throw await wrongGuess(services, ctx, client, presented)
  // The code of another client is left as it is: who holds it must not be able to burn it (SEC-016).
  if (code.codeClientId !== client.id) throw await rejected(services, ctx, client, code, 'client_mismatch')
  if (code.usedAt !== null) throw await replayed(services, ctx, client, code)
  if (code.codeExpiresAt <= seconds(now())) throw await rejected(services, ctx, client, code, 'code_expired')
  const redirectUri = params.get('redirect_uri')
  // Not needed where PKCE ties the code to its request (OAuth 2.1 section 10.2); wrong is wrong all the same.
  if (redirectUri === undefined ? code.codeChallenge === null : redirectUri !== code.redirectUri)
    throw await rejected(services, ctx, client, code, 'redirect_mismatch')
  const verdict = judgeVerifier(code.codeChallenge, params.get('code_verifier'))
  if (verdict !== 'fits') throw await burnt(services, ctx, client, code, verdict)
  const fallen = fallenReason(code, client, now())
  if (fallen !== undefined) throw await rejected(services, ctx, client, code, fallen)
  const { answer, writes } = await issueTokens(services, settings, {
    client,
    standing: code as Standing & { sub: string },
    nonce: code.nonce,
    narrowed: narrowResources(params, grantedBy(code), services.resources),
  })
  const family = client.grantTypes.has('refresh_token')
    ? newRefreshFamily(
        services.refreshTokenKey,
        { authorizationId: code.authorizationId, clientId: client.id, ttl: settings.refreshTtl },
        now(),
      )
    : undefined
  try {
    await store.commit([
      takeCode(code, now()),
      ...(family ? [family.write] : []),
      ...writes,
      ...markRegistrationUsed(client, now()),
    ])
  } catch (error) {
    // Of parallel redemptions exactly one gets past the guard; for the others it is a second use.
    if (!(error instanceof GuardFailed)) throw error
    throw await replayed(services, ctx, client, code)
  }
  if (family) answer.refresh_token = family.token
  return answer
}

/** A second use: whoever was first may have been a thief, so what the code gave ends (RFC 6749 section 4.1.2). */
const replayed = async (
  { store, now, audit }: GrantNeeds,
  ctx: Context,
  client: Client,
  code: Code,
): Promise<Refusal> => {
  const about = { visit: visitOf(ctx), clientId: client.id, userId: code.userId ?? undefined }
  await store.commit([
    revokeAuthorization(code.authorizationId, 'code_replayed', now()),
    audit.write({ event: 'code.replayed', ...about, reason: 'already_used' }),
    audit.write({
      event: 'grant.revoked',
      ...about,
      reason: 'code_replayed',
      detail: { authorization: code.authorizationId },
    }),
  ])
  return invalidGrant('the code was already used', { reason: 'code_replayed' })
}

const descriptions: Record<string, string> = {
  client_mismatch: 'the code was not issued to this client',
  code_expired: 'the code has expired',
  redirect_mismatch: 'redirect_uri is not the one of the authorization request',
  pkce_mismatch: 'code_verifier does not fit the code_challenge',
  pkce_missing: 'code_verifier is missing',
  pkce_downgrade: 'code_verifier was sent, but the authorization request had no code_challenge',
}

const rejected = async (
  { audit }: GrantNeeds,
  ctx: Context,
  client: Client,
  code: Code,
  reason: string,
): Promise<Refusal> => {
  await audit.record({
    event: 'token.rejected',
    visit: visitOf(ctx),
    clientId: client.id,
    userId: code.userId ?? undefined,
    reason,
  })
  return invalidGrant(descriptions[reason] ?? 'what the person allowed has ended', { reason })
}

/** A failed proof burns the code: the next try could be a guess (RFC 9700 section 4.5.3.1). */
const burnt = async (
  services: GrantNeeds,
  ctx: Context,
  client: Client,
  code: Code,
  reason: string,
): Promise<Refusal> => {
  const { store, now, audit } = services
  try {
    await store.commit([
      takeCode(code, now()),
      audit.write({
        event: 'token.rejected',
        visit: visitOf(ctx),
        clientId: client.id,
        userId: code.userId ?? undefined,
        reason,
      }),
    ])
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    return replayed(services, ctx, client, code)
  }
  return invalidGrant(descriptions[reason] ?? reason, { reason })
}

const wrongGuess = async (
  { store, now, audit }: GrantNeeds,
  ctx: Context,
  client: Client,
  presented: string,
): Promise<Refusal> => {
  const visit = visitOf(ctx)
  const subject = `${client.id} ${throttleAddress(visit.ip)}`
  const { wait } = await readCount(store, guessRule, subject, now())
  if (wait > 0) return tooManyRequests('too many wrong codes', wait)
  const told = audit.write({ event: 'token.rejected', visit, clientId: client.id, reason: 'unknown_code' })
  try {
    const once = countOnce(sameGuessRule, hashSecret(presented), now())
    await store.commit([once, countFailure(guessRule, subject, now()), told])
  } catch (error) {
    // The same wrong code again is no new guess.
    if (!(error instanceof GuardFailed)) throw error
    await store.commit([told])
  }
  return invalidGrant('the code is not known', { reason: 'unknown_code' })
}
