/**
 * The outbox: things to deliver, written in the commit of what they tell of, so that neither is without the
 * other. Each is delivered at least once, tried again when it fails, and visible until it is cleaned away.
 */
import { cleanUp } from './clean-up.ts'
import { GuardFailed, type Write, write } from './commit.ts'
import type { Store } from './database.ts'
import { seconds } from './single-use.ts'
import { insertion, statement } from './statement.ts'

/** `pending` waits for its next try, `failed` for somebody who retries it by hand. */
export type OutboxState = 'pending' | 'delivered' | 'failed'

export type OutboxRow = {
  id: number
  kind: string
  client_id: string | null
  user_id: string | null
  payload: string
  state: OutboxState
  attempts: number
  last_error: string | null
  created_at: number
  next_at: number
  ended_at: number | null
}

const columns = [
  'id',
  'kind',
  'client_id',
  'user_id',
  'payload',
  'state',
  'attempts',
  'last_error',
  'created_at',
  'next_at',
  'ended_at',
] as const

/** A process that claimed a delivery and died gives it back after so long; above the slowest delivery. */
const claimTtl = 60

/** Twice the longest pause between two tries: nothing waits for a time further ahead. */
const farthestAhead = 1200

const inserting = insertion<Omit<OutboxRow, 'id' | 'last_error' | 'ended_at'>>('outbox', [
  'kind',
  'client_id',
  'user_id',
  'payload',
  'state',
  'attempts',
  'created_at',
  'next_at',
])
const findingDue = statement<{ kind: string; now: number; farthest: number; limit: number }, OutboxRow>(
  'outbox.due',
  (knex, { kind, now, farthest, limit }) => {
    const waiting = () => knex('outbox').select(columns).where({ state: 'pending', kind })
    // Two reads in one, each by the index.
    return waiting()
      .andWhere('next_at', '<=', now)
      .unionAll(waiting().andWhere('next_at', '>', farthest))
      .orderBy('next_at')
      .limit(limit)
  },
)
const claiming = statement<{ id: number; attempts: number; next_at: number; until: number }>(
  'outbox.claim',
  (knex, { id, attempts, next_at, until }) =>
    knex('outbox')
      .where({ id, state: 'pending', attempts, next_at })
      .update({ attempts: knex.raw('attempts + 1'), next_at: until }),
)
const ending = statement<{ id: number; attempts: number; state: string; now: number; error: string | null }>(
  'outbox.end',
  (knex, { id, attempts, state, now, error }) =>
    knex('outbox')
      .where({ id, attempts, state: 'pending' })
      .update({ state, ended_at: now, next_at: now, last_error: error }),
)
const postponing = statement<{ id: number; attempts: number; next: number; error: string }>(
  'outbox.postpone',
  (knex, { id, attempts, next, error }) =>
    knex('outbox').where({ id, attempts, state: 'pending' }).update({ next_at: next, last_error: error }),
)
const retrying = statement<{ id: number; now: number }>('outbox.retry', (knex, { id, now }) =>
  knex('outbox')
    .where({ id, state: 'failed' })
    .update({ state: 'pending', attempts: 0, next_at: now, ended_at: null }),
)
const listing = statement<{ state: string | null; client_id: string | null; limit: number }, OutboxRow>(
  'outbox.list',
  (knex, { state, client_id, limit }) =>
    knex('outbox')
      .select(columns)
      .where('state', knex.raw('coalesce(?, state)', [state]))
      .andWhereRaw("coalesce(client_id, '') = coalesce(?, client_id, '')", [client_id])
      .orderBy('id', 'desc')
      .limit(limit),
)
/** The write that puts something into the outbox, due at once. Wake the delivery after its commit. */
export const enqueue = (item: {
  kind: string
  clientId: string | null
  userId: string | null
  payload: Record<string, unknown>
  now: Date
}): Write =>
  write(inserting, {
    kind: item.kind,
    client_id: item.clientId,
    user_id: item.userId,
    payload: JSON.stringify(item.payload),
    state: 'pending',
    attempts: 0,
    created_at: seconds(item.now),
    next_at: seconds(item.now),
  })

/** What is due of a kind, longest due first; and what only a clock that was set back since would have wait. */
export const due = (store: Store, kind: string, now: Date, limit: number): Promise<OutboxRow[]> =>
  store.all(findingDue, { kind, now: seconds(now), farthest: seconds(now) + farthestAhead, limit })

/** Takes a delivery for this process. @returns undefined when another process was faster */
export const claim = async (store: Store, row: OutboxRow, now: Date): Promise<OutboxRow | undefined> => {
  const until = seconds(now) + claimTtl
  try {
    await store.commit([write(claiming, { id: row.id, attempts: row.attempts, next_at: row.next_at, until })])
    return { ...row, attempts: row.attempts + 1, next_at: until }
  } catch (error) {
    if (error instanceof GuardFailed) return undefined
    throw error
  }
}

/** The write, and guard, that gives what has failed another round of tries; refused when it has not failed. */
export const retry = (id: number, now: Date): Write => write(retrying, { id, now: seconds(now) })

/** The newest entries, oldest of them first. */
export const listOutbox = async (
  store: Store,
  options: { limit: number; state?: OutboxState; clientId?: string },
): Promise<OutboxRow[]> => {
  const { limit, state = null, clientId = null } = options
  return (await store.all(listing, { state, client_id: clientId, limit })).reverse()
}

/** The newest entries first, of those before an id; of one state where that is said. Read by administrators only. */
export const pageOfOutbox = (
  store: Store,
  { before, state, limit }: { before?: number | undefined; state?: OutboxState | undefined; limit: number },
): Promise<OutboxRow[]> =>
  store.search<OutboxRow>(knex => {
    const query = knex('outbox').select(columns).orderBy('id', 'desc').limit(limit)
    if (state !== undefined) query.where({ state })
    if (before !== undefined) query.where('id', '<', before)
    return query
  })

/** Deletes deliveries that ended long ago. */
export const cleanOutbox = cleanUp(
  'outbox',
  'id',
  (rows, before) => rows.whereIn('state', ['delivered', 'failed']).andWhere('next_at', '<', before),
  seconds,
)

/** The write, and guard, that ends a claimed delivery: refused when its claim ran out and another has it. */
export const endDelivery = (
  { id, attempts }: Pick<OutboxRow, 'id' | 'attempts'>,
  state: 'delivered' | 'failed',
  now: Date,
  error: string | null,
): Write => write(ending, { id, attempts, state, now: seconds(now), error })

/** The write that tries a claimed delivery again after `delay` seconds. */
export const postponeDelivery = (
  { id, attempts }: Pick<OutboxRow, 'id' | 'attempts'>,
  delay: number,
  now: Date,
  error: string,
): Write => write(postponing, { id, attempts, next: seconds(now) + delay, error }, 'any')
