/** One person in one browser. Its id never changes while it lives, so each client's `sid` stays. */

import type { Visit } from '../http/visit.ts'
import type { Services } from '../services.ts'
import { cleanUp } from '../store/clean-up.ts'
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'
import { newTextKey } from '../store/text-key.ts'

export type Session = {
  id: string
  browserId: string
  userId: string
  sub: string
  username: string
  authTime: number
  amr: string[]
  acr: string
  ip: string | null
  userAgent: string | null
  idleTtl: number
  createdAt: number
  seenAt: number
  expiresAt: number
  endedAt: number | null
  userDisabledAt: number | null
}

type SessionRow = Omit<Session, 'amr'> & { amr: string }

export const sessionColumns = {
  id: 'session.id',
  browserId: 'session.browser_id',
  userId: 'session.user_id',
  sub: 'user.sub',
  username: 'user.username',
  authTime: 'session.auth_time',
  amr: 'session.amr',
  acr: 'session.acr',
  ip: 'session.ip',
  userAgent: 'session.user_agent',
  idleTtl: 'session.idle_ttl',
  createdAt: 'session.created_at',
  seenAt: 'session.seen_at',
  expiresAt: 'session.expires_at',
  endedAt: 'session.ended_at',
  userDisabledAt: 'user.disabled_at',
} as const

/** The methods of a stored `amr`. */
export const readAmr = (text: string): string[] => JSON.parse(text) as string[]

const fromRow = (row: SessionRow): Session => ({ ...row, amr: readAmr(row.amr) })

const byId = statement<{ id: string }, SessionRow>('session.by-id', (knex, { id }) =>
  knex('session')
    .join('user', 'user.id', 'session.user_id')
    .select(sessionColumns)
    .where({ 'session.id': id }),
)
const byBrowser = statement<{ browser: string }, SessionRow>('session.by-browser', (knex, { browser }) =>
  knex('session')
    .join('user', 'user.id', 'session.user_id')
    .select(sessionColumns)
    .where({ browser_id: browser })
    .orderBy('session.id'),
)
const byUser = statement<{ user: string }, SessionRow>('session.by-user', (knex, { user }) =>
  knex('session')
    .join('user', 'user.id', 'session.user_id')
    .select(sessionColumns)
    .where({ user_id: user })
    .whereNull('ended_at')
    .orderBy('session.id'),
)

/** The times a session is alive between, as they stand in its row. */
export type SessionLife = Pick<Session, 'endedAt' | 'expiresAt' | 'seenAt' | 'idleTtl' | 'userDisabledAt'>

/** Whether a session lives: decided when it is read, by the wall clock, never by a timer or by clean-up. */
export const isAlive = (session: SessionLife, now: Date): boolean =>
  session.endedAt === null &&
  session.userDisabledAt === null &&
  session.expiresAt > seconds(now) &&
  session.seenAt + session.idleTtl > seconds(now)

/** Whether the person asked to stay signed in: such a session ends by age, never by idleness. */
const isRemembered = ({ idleTtl, expiresAt, authTime }: Session): boolean => idleTtl >= expiresAt - authTime

/**
 * Seconds that a browser's cookie outlives its window: until the last session ends whose person asked to stay signed
 * in. Undefined where nobody did.
 */
export const cookieLife = (sessions: readonly Session[], now: Date): number | undefined => {
  const remembered = sessions.filter(session => isAlive(session, now) && isRemembered(session))
  return remembered.length === 0
    ? undefined
    : Math.max(...remembered.map(session => session.expiresAt)) - seconds(now)
}

export const findSession = async (store: Store, id: string): Promise<Session | undefined> => {
  const row = await store.one(byId, { id })
  return row && fromRow(row)
}

/** Everybody who is or was signed in at a browser, oldest first. */
export const sessionsOfBrowser = async (store: Store, browserId: string): Promise<Session[]> =>
  (await store.all(byBrowser, { browser: browserId })).map(fromRow)

/** The sessions of a user that nobody has ended. Some may have ended by age. */
export const sessionsOfUser = async (store: Store, userId: string): Promise<Session[]> =>
  (await store.all(byUser, { user: userId })).map(fromRow)

export type Authenticated = { userId: string; amr: string[]; acr: string }

const inserting = insertion<{
  id: string
  browser_id: string
  user_id: string
  auth_time: number
  amr: string
  acr: string
  ip: string
  user_agent: string
  idle_ttl: number
  created_at: number
  seen_at: number
  expires_at: number
}>('session', [
  'id',
  'browser_id',
  'user_id',
  'auth_time',
  'amr',
  'acr',
  'ip',
  'user_agent',
  'idle_ttl',
  'created_at',
  'seen_at',
  'expires_at',
])

/** A session to be, and the write that makes it. */
export const newSession = (
  { userId, amr, acr }: Authenticated,
  {
    browserId,
    visit,
    now,
    idleTtl,
    ttl,
  }: { browserId: string; visit: Visit; now: Date; idleTtl: number; ttl: number },
): { id: string; write: Write } => {
  const id = newTextKey(now)
  const at = seconds(now)
  return {
    id,
    write: write(inserting, {
      id,
      browser_id: browserId,
      user_id: userId,
      auth_time: at,
      amr: JSON.stringify(amr),
      acr,
      ip: visit.ip,
      user_agent: visit.userAgent,
      idle_ttl: idleTtl,
      created_at: at,
      seen_at: at,
      expires_at: at + ttl,
    }),
  }
}

const renewing = statement<{
  id: string
  now: number
  amr: string
  acr: string
  idle_ttl: number
  expires: number
}>('session.renew', (knex, { id, now, amr, acr, idle_ttl, expires }) =>
  knex('session')
    .where({ id })
    .whereNull('ended_at')
    .update({ auth_time: now, seen_at: now, amr, acr, idle_ttl, expires_at: expires }),
)
const touching = statement<{ id: string; now: number }>('session.touch', (knex, { id, now }) =>
  knex('session').where({ id }).whereNull('ended_at').andWhere('seen_at', '<', now).update({ seen_at: now }),
)

/**
 * The same person has signed in again: a new `auth_time`, the same id. Who asked to stay signed in before stays so:
 * an app that wants to see the password once more takes nothing of that back.
 */
export const renewSession = (
  session: Session,
  { amr, acr }: Authenticated,
  { now, idleTtl, ttl }: { now: Date; idleTtl: number; ttl: number },
): Write => {
  const stays = isRemembered(session)
  const expires = seconds(now) + ttl
  return write(renewing, {
    id: session.id,
    now: seconds(now),
    amr: JSON.stringify(amr),
    acr,
    idle_ttl: stays ? Math.max(session.idleTtl, idleTtl) : idleTtl,
    expires: stays ? Math.max(session.expiresAt, expires) : expires,
  })
}

/** Activity, written at most once a minute. */
export const touchSession = (session: { id: string; seenAt: number }, now: Date): Write[] =>
  seconds(now) - session.seenAt < 60 ? [] : [write(touching, { id: session.id, now: seconds(now) }, 'any')]

/** Why a session ended. All but `idle` are told to every app; `idle` to those that ask for it. */
export type EndReason =
  | 'signed_out'
  | 'revoked'
  | 'expired'
  | 'idle'
  | 'password_changed'
  | 'user_disabled'
  | 'user_deleted'

/** Who listens when sessions end: the writes of `oauth/logout`, for the same commit. */
export type SessionEnded = (
  sessions: readonly { id: string; userId: string }[],
  reason: EndReason,
) => Promise<Write[]>

const ending = statement<{ id: string; now: number; reason: string }>(
  'session.end',
  (knex, { id, now, reason }) =>
    knex('session').where({ id }).whereNull('ended_at').update({ ended_at: now, end_reason: reason }),
)

/**
 * The writes that end sessions, with all that hangs on them. The first of them is a guard: refused when somebody
 * else ended the first session meanwhile.
 */
export const endSessions = async (
  { now, audit, sessionEnded }: Pick<Services, 'now' | 'audit' | 'sessionEnded'>,
  sessions: readonly { id: string; userId: string }[],
  reason: EndReason,
  visit?: Visit,
): Promise<Write[]> => [
  ...sessions.map(session => write(ending, { id: session.id, now: seconds(now()), reason })),
  ...sessions.map(session =>
    audit.write({
      event:
        reason === 'signed_out' || reason === 'expired' || reason === 'idle'
          ? 'session.ended'
          : 'session.revoked',
      visit,
      userId: session.userId,
      reason,
      detail: { session: session.id },
    }),
  ),
  ...(await sessionEnded(sessions, reason)),
]

const agedOut = statement<{ now: number; limit: number }, { id: string; userId: string; expiresAt: number }>(
  'session.aged-out',
  (knex, { now, limit }) => {
    const columns = { id: 'id', userId: 'user_id', expiresAt: 'expires_at' }
    const alive = () => knex('session').select(columns).whereNull('ended_at')
    // Two reads in one, each by its own index: with OR or UNION, SQLite looks through every session.
    return alive()
      .andWhereRaw('seen_at + idle_ttl <= ?', [now])
      .unionAll(alive().andWhere('expires_at', '<=', now))
      .limit(limit)
  },
)

/** Sessions that have ended by age or idleness and that nobody was told of yet. */
export const agedOutSessions = (store: Store, now: Date, limit: number) =>
  store.all(agedOut, { now: seconds(now), limit })

/** Deletes sessions that ended long ago: until then the browser counts as known to the user. */
export const cleanSessions = cleanUp(
  'session',
  'id',
  (rows, before) => rows.where('expires_at', '<', before).whereNotNull('ended_at'),
  seconds,
)
