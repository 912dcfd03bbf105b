/** The audit: who did what, written in the commit of what it tells, never with a secret. */
import type { Visit } from '../http/visit.ts'
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'

/** Every event there is. Rows are named as security-cases.md names them. */
export type AuditEventName =
  | 'admin.changed'
  | 'admin.denied'
  | 'authorization.granted'
  | 'authorize.rejected'
  | 'client.created'
  | 'client.deleted'
  | 'client.rejected'
  | 'client.updated'
  | 'client_auth.failed'
  | 'code.replayed'
  | 'consent.given'
  | 'consent.refused'
  | 'consent.withdrawn'
  | 'csrf.rejected'
  | 'delivery.retried'
  | 'grant.revoked'
  | 'group.created'
  | 'group.deleted'
  | 'initial_access_token.created'
  | 'key.created'
  | 'key.requested'
  | 'key.retired'
  | 'key.revoked'
  | 'key.rotated'
  | 'login.failed'
  | 'login.locked'
  | 'login.succeeded'
  | 'logout.delivered'
  | 'logout.failed'
  | 'outbound.blocked'
  | 'password.changed'
  | 'refresh.reused'
  | 'resource.changed'
  | 'session.ended'
  | 'session.revoked'
  | 'set_up.completed'
  | 'token.rejected'
  | 'token.revoked'
  | 'user.created'
  | 'user.deleted'
  | 'user.updated'

export type AuditEvent = {
  event: AuditEventName
  visit?: Visit | undefined
  clientId?: string | undefined
  userId?: string | undefined
  reason?: string | undefined
  /** More that helps: received against registered, what changed. Never a secret. */
  detail?: Record<string, unknown>
}

type AuditColumns = {
  time: number
  event: string
  request_id: string | null
  client_id: string | null
  user_id: string | null
  ip: string | null
  reason: string | null
  detail: string
}

/** Every column, in the order that seals hash them. */
export const auditColumns = [
  'id',
  'time',
  'event',
  'request_id',
  'client_id',
  'user_id',
  'ip',
  'reason',
  'detail',
] as const

const inserting = insertion<AuditColumns>('audit', [
  'time',
  'event',
  'request_id',
  'client_id',
  'user_id',
  'ip',
  'reason',
  'detail',
])

const longestText = 300

const short = (text: string | undefined): string | null =>
  text === undefined ? null : text.length > longestText ? `${text.slice(0, longestText)}…` : text

const shortDetail = (detail: Record<string, unknown> = {}): string =>
  JSON.stringify(detail, (_, value: unknown) => (typeof value === 'string' ? short(value) : value))

export type Audit = {
  /** The write of one event, for the commit of what it tells. */
  write: (event: AuditEvent) => Write
  /** Writes events that accompany nothing else, such as refusals. */
  record: (...events: AuditEvent[]) => Promise<void>
}

/** Makes the audit of a store. */
export const makeAudit = (store: Store, now: () => Date): Audit => {
  const row = ({ event, visit, clientId, userId, reason, detail }: AuditEvent): Write =>
    write(inserting, {
      time: seconds(now()),
      event,
      request_id: visit?.requestId ?? null,
      client_id: short(clientId),
      user_id: userId ?? null,
      ip: visit?.ip ?? null,
      reason: short(reason),
      detail: shortDetail(detail),
    })
  return { write: row, record: (...events) => store.commit(events.map(row)) }
}

export type AuditRow = {
  id: number
  time: number
  event: AuditEventName
  request_id: string | null
  client_id: string | null
  user_id: string | null
  ip: string | null
  reason: string | null
  detail: string
}

const listing = statement<{ limit: number }, AuditRow>('audit.list', (knex, { limit }) =>
  knex('audit').select(auditColumns).orderBy('id', 'desc').limit(limit),
)
const paging = statement<{ after: number; limit: number }, AuditRow>('audit.page', (knex, { after, limit }) =>
  knex('audit').select(auditColumns).where('id', '>', after).orderBy('id').limit(limit),
)

const forgetting = statement<{ upTo: number; limit: number }>('audit.forget', (knex, { upTo, limit }) =>
  knex('audit')
    .whereIn('id', knex('audit').select('id').where('id', '<=', upTo).orderBy('id').limit(limit))
    .delete(),
)

/** The write that deletes the oldest events up to this one, at most `limit` at once. */
export const forgetAudit = (upTo: number, limit: number): Write => write(forgetting, { upTo, limit }, 'any')

/** The last events, newest last. */
export const listAudit = async (store: Store, limit: number): Promise<AuditRow[]> =>
  (await store.all(listing, { limit })).reverse()

/** How many events are looked through at once for those of some names: no index is kept for so seldom a question. */
const window = 20_000

/**
 * Events of these names, newest first, before an id.
 *
 * @returns the events, and the id that older ones lie before; undefined at the beginning of the audit
 */
export const searchAudit = async (
  store: Store,
  names: readonly AuditEventName[],
  { before, limit }: { before?: number | undefined; limit: number },
): Promise<{ rows: AuditRow[]; next: number | undefined }> => {
  const [newest] = await store.all(listing, { limit: 1 })
  const from = Math.min(before ?? Number.MAX_SAFE_INTEGER, (newest?.id ?? 0) + 1)
  const rows = await store.search<AuditRow>(knex =>
    knex('audit')
      .select(auditColumns)
      .whereIn('event', names)
      .where('id', '<', from)
      .where('id', '>=', from - window)
      .orderBy('id', 'desc')
      .limit(limit + 1),
  )
  const shown = rows.slice(0, limit)
  const next = rows.length > limit ? shown.at(-1)?.id : from - window
  return { rows: shown, next: next !== undefined && next > 1 ? next : undefined }
}

/** The next events after this one, oldest first. */
export const auditAfter = (store: Store, id: number, limit: number): Promise<AuditRow[]> =>
  store.all(paging, { after: id, limit })
