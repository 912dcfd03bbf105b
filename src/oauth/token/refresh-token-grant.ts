/** grant_type=refresh_token (RFC 6749 section 6, RFC 9700 section 4.14). */
import type { Context } from 'koa'
import type { Params } from '../../http/params.ts'
import type { Refusal } from '../../http/refusal.ts'
import { visitOf } from '../../http/visit.ts'
import { touchSession } from '../../identity/session.ts'
import { GuardFailed, type Write } from '../../store/commit.ts'
import type { Client } from '../client/client.ts'
import { invalidGrant, invalidScope, unauthorizedClient } from '../errors.ts'
import { revokeAuthorization, type Standing } from '../grant/authorization.ts'
import { narrowResources } from '../parameters/resource.ts'
import { splitScope } from '../parameters/scope.ts'
import { grantedBy, issueTokens } from '../tokens/issue.ts'
import {
  familyEndedReason,
  findRefreshFamily,
  judgeRotation,
  type RefreshFamily,
  refreshTokenOf,
  rotateFamily,
  scopeLeft,
} from '../tokens/refresh-token.ts'
import type { Grant, GrantNeeds } from './grants.ts'

/** How often a lost race is looked at again: each time another request has moved the family on. */
const mostTries = 3

export const refreshTokenGrant: Grant = async (services, settings, { ctx, client, params }) => {
  const { store, refreshTokenKey } = services
  if (!client.grantTypes.has('refresh_token'))
    throw unauthorizedClient('this client is not registered for the refresh token grant')
  const presented = params.need('refresh_token')
  for (let tries = 1; ; tries++) {
    const found = await findRefreshFamily(store, refreshTokenKey, presented)
    // A forged or foreign token changes nothing: it still works for its owner.
    if (!found) throw await rejected(services, ctx, client, undefined, 'unknown_refresh_token')
    const { family, generation } = found
    if (family.familyClientId !== client.id)
      throw await rejected(services, ctx, client, family, 'client_mismatch')
    const fallen = familyEndedReason(family, client, settings, {
      resources: services.resources,
      now: services.now(),
    })
    if (fallen !== undefined) throw await rejected(services, ctx, client, family, fallen)
    const verdict = judgeRotation(family, generation, { isPublic: client.isPublic, now: services.now() })
    if (verdict === 'reused') throw await reused(services, ctx, client, found)
    const { answer, writes } = await issueTokens(services, settings, {
      client,
      standing: family as Standing & { sub: string },
      narrowed: narrow(services, params, client, family),
    })
    const next = nextGeneration(client, family, verdict)
    try {
      await store.commit([...next.writes(services.now()), ...writes, ...activity(family, services.now())])
      answer.refresh_token = refreshTokenOf(refreshTokenKey, family, next.generation)
      return answer
    } catch (error) {
      if (!(error instanceof GuardFailed) || tries === mostTries) throw error
    }
  }
}

/** Which token the answer brings, and what must be written for it. */
const nextGeneration = (
  client: Client,
  family: RefreshFamily,
  verdict: 'rotates' | 'repeats',
): { generation: number; writes: (now: Date) => Write[] } => {
  if (verdict === 'repeats') return { generation: family.generation, writes: () => [] }
  const generation = client.policy.rotateRefreshTokens ? family.generation + 1 : family.generation
  return { generation, writes: now => [rotateFamily(family, generation, now)] }
}

/** A refresh is activity of the session that the token is bound to (architecture section 2, session). */
const activity = (family: RefreshFamily, now: Date): Write[] =>
  family.offline === 1 || family.sessionId === null
    ? []
    : touchSession({ id: family.sessionId, seenAt: family.sessionSeenAt ?? 0 }, now)

/**
 * What this access token is for: all that was allowed, or the part that is asked for. A scope that the client has lost
 * since is gone; one that was asked for at first and not granted is dropped again, not refused.
 */
const narrow = (
  { resources }: GrantNeeds,
  params: Params,
  client: Client,
  family: RefreshFamily,
): { scope: string[]; resources: string[] } => {
  const granted = grantedBy(family)
  const dropped = family.droppedScope === '' ? [] : family.droppedScope.split(' ')
  const left = scopeLeft(family, client, resources)
  const asked = params.has('scope') ? splitScope(params.need('scope')) : left
  const fresh = asked.find(scope => !granted.scope.includes(scope) && !dropped.includes(scope))
  if (fresh !== undefined) throw invalidScope(`the scope ${fresh} was not asked for when this was allowed`)
  const narrowed = narrowResources(params, { resources: granted.resources, scope: left }, resources)
  return { ...narrowed, scope: narrowed.scope.filter(name => asked.includes(name)) }
}

const about = (ctx: Context, client: Client, family: RefreshFamily | undefined) => ({
  visit: visitOf(ctx),
  clientId: client.id,
  userId: family?.userId ?? undefined,
})

/** Somebody has a token that was used before: the thief or the owner, and nobody knows which. All of it ends. */
const reused = async (
  { store, now, audit }: GrantNeeds,
  ctx: Context,
  client: Client,
  { family, generation }: { family: RefreshFamily; generation: number },
): Promise<Refusal> => {
  await store.commit([
    revokeAuthorization(family.authorizationId, 'refresh_reused', now()),
    audit.write({
      event: 'refresh.reused',
      ...about(ctx, client, family),
      reason: 'refresh_reused',
      detail: { authorization: family.authorizationId, generation, present: family.generation },
    }),
    audit.write({
      event: 'grant.revoked',
      ...about(ctx, client, family),
      reason: 'refresh_reused',
      detail: { authorization: family.authorizationId },
    }),
  ])
  return invalidGrant('the refresh token was already used; what it belonged to has ended', {
    reason: 'refresh_reused',
  })
}

const descriptions: Record<string, string> = {
  unknown_refresh_token: 'the refresh token is not known',
  client_mismatch: 'the refresh token was not issued to this client',
  refresh_expired: 'the refresh token has reached the end of its longest life',
  refresh_idle: 'the refresh token was not used for too long',
  scope_removed: 'nothing is left of what this was allowed for',
}

const rejected = async (
  { audit }: GrantNeeds,
  ctx: Context,
  client: Client,
  family: RefreshFamily | undefined,
  reason: string,
): Promise<Refusal> => {
  await audit.record({ event: 'token.rejected', ...about(ctx, client, family), reason })
  return invalidGrant(descriptions[reason] ?? 'what the person allowed has ended', { reason })
}
