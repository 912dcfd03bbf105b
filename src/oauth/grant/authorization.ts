/** What one run of a flow allowed. Codes and tokens refer to it; revoking it ends them all. */

import type { Knex } from 'knex'
import { cleanExpired } from '../../store/clean-up.ts'
import { type Write, write } from '../../store/commit.ts'
import { keyAt, seconds } from '../../store/single-use.ts'
import { insertion, statement } from '../../store/statement.ts'
import { newTextKey } from '../../store/text-key.ts'
import type { Client } from '../client/client.ts'

/** How somebody had signed in when it was allowed. */
export type SignedIn = { sessionId: string; authTime: number; amr: string[]; acr: string }

export type NewAuthorization = {
  userId: string
  clientId: string
  scope: readonly string[]
  /** What was asked for and not granted: asking for it again is no offence (contracts.md section 6). */
  dropped: readonly string[]
  resources: readonly string[]
  /** It outlives the session (`offline_access`). */
  offline: boolean
  signedIn: SignedIn
  /** Seconds that anything it gives can live. */
  ttl: number
}

type Columns = {
  id: string
  user_id: string
  client_id: string
  session_id: string
  scope: string
  asked_scope: string
  resources: string
  details: string
  offline: number
  auth_time: number
  amr: string
  acr: string
  expires_at: number
}

const inserting = insertion<Columns>('authorization', [
  'id',
  'user_id',
  'client_id',
  'session_id',
  'scope',
  'asked_scope',
  'resources',
  'details',
  'offline',
  'auth_time',
  'amr',
  'acr',
  'expires_at',
])

/** An authorization to be, and the write that makes it. */
export const newAuthorization = (one: NewAuthorization, now: Date): { id: string; write: Write } => {
  const id = newTextKey(now)
  return {
    id,
    write: write(inserting, {
      id,
      user_id: one.userId,
      client_id: one.clientId,
      session_id: one.signedIn.sessionId,
      scope: one.scope.join(' '),
      asked_scope: one.dropped.join(' '),
      resources: JSON.stringify(one.resources),
      details: '{}',
      offline: one.offline ? 1 : 0,
      auth_time: one.signedIn.authTime,
      amr: JSON.stringify(one.signedIn.amr),
      acr: one.signedIn.acr,
      expires_at: seconds(now) + one.ttl,
    }),
  }
}

const revoking = statement<{ id: string; now: number; reason: string }>(
  'authorization.revoke',
  (knex, { id, now, reason }) =>
    knex('authorization')
      .where({ id })
      .whereNull('revoked_at')
      .update({ revoked_at: now, revoke_reason: reason }),
)

/** The write that ends an authorization and all it gave. It may have ended already. */
export const revokeAuthorization = (id: string, reason: string, now: Date): Write =>
  write(revoking, { id, now: seconds(now), reason }, 'any')

/** What an authorization allows, and how its person had signed in: what tokens are made from. */
const allowedColumns = {
  clientId: 'authorization.client_id',
  sessionId: 'authorization.session_id',
  scope: 'authorization.scope',
  droppedScope: 'authorization.asked_scope',
  resources: 'authorization.resources',
  authTime: 'authorization.auth_time',
  amr: 'authorization.amr',
  acr: 'authorization.acr',
} as const

/** Whose it is, and whether it stands. */
const holdColumns = {
  authorizationId: 'authorization.id',
  userId: 'authorization.user_id',
  offline: 'authorization.offline',
  revokedAt: 'authorization.revoked_at',
  userDisabledAt: 'user.disabled_at',
  userEndedBefore: 'user.ended_before',
  sessionEndedAt: 'session.ended_at',
  sessionExpiresAt: 'session.expires_at',
  sessionSeenAt: 'session.seen_at',
  sessionIdleTtl: 'session.idle_ttl',
  consentEndedBefore: 'consent.ended_before',
  sub: 'user.sub',
  username: 'user.username',
  email: 'user.email',
  emailVerified: 'user.email_verified',
  name: 'user.name',
  claims: 'user.claims',
  userUpdatedAt: 'user.updated_at',
} as const

/** An authorization with its person and all that it hangs on, as one joined read gives it. */
export type Held = {
  authorizationId: string
  userId: string | null
  offline: number
  revokedAt: number | null
  userDisabledAt: number | null
  userEndedBefore: string | null
  sessionEndedAt: number | null
  sessionExpiresAt: number | null
  sessionSeenAt: number | null
  sessionIdleTtl: number | null
  consentEndedBefore: string | null
  sub: string | null
  username: string
  email: string | null
  emailVerified: number
  name: string | null
  claims: string
  userUpdatedAt: number
}

/** The same with what it allows. */
export type Standing = Held & {
  clientId: string
  sessionId: string | null
  scope: string
  droppedScope: string
  resources: string
  authTime: number
  amr: string
  acr: string
}

/** Adds to a read of `authorization` the tables that it hangs on, with their columns: the row then has a `Standing`. */
export const withStanding = (query: Knex.QueryBuilder): Knex.QueryBuilder =>
  query.modify(withHolds).select(allowedColumns)

/** The same without what it allows: a token says that itself, and each column costs. */
export const withHolds = (query: Knex.QueryBuilder): Knex.QueryBuilder =>
  query
    .leftJoin('user', 'user.id', 'authorization.user_id')
    .leftJoin('session', 'session.id', 'authorization.session_id')
    .leftJoin('consent', consent =>
      consent
        .on('consent.user_id', 'authorization.user_id')
        .andOn('consent.client_id', 'authorization.client_id'),
    )
    .select(holdColumns)

/**
 * Why an authorization of a client no longer stands, or undefined. Ended sessions, disabled users and withdrawn consents are
 * looked at when it is read, so that ending them is one write and is honoured at once.
 */
export const fallenReason = (one: Held, client: Pick<Client, 'createdAt'>, now: Date): string | undefined => {
  if (one.revokedAt !== null) return 'authorization_revoked'
  // The id of a client may be chosen, and given again after it was deleted: what the former one had stays ended.
  if (one.authorizationId < keyAt(new Date(client.createdAt * 1000))) return 'client_deleted'
  if (one.sub === null) return 'user_deleted'
  if (one.userDisabledAt !== null) return 'user_disabled'
  if (one.authorizationId < (one.userEndedBefore ?? '')) return 'access_ended'
  if (one.authorizationId < (one.consentEndedBefore ?? '')) return 'consent_withdrawn'
  if (one.offline === 1) return undefined
  if (one.sessionExpiresAt === null || one.sessionEndedAt !== null) return 'session_ended'
  if (one.sessionExpiresAt <= seconds(now)) return 'session_expired'
  return (one.sessionSeenAt ?? 0) + (one.sessionIdleTtl ?? 0) <= seconds(now) ? 'session_idle' : undefined
}

/** Deletes authorizations of which nothing can live any more. */
export const cleanAuthorizations = cleanExpired('authorization', 'id')
