/**
 * The outbox: things to deliver, written in the commit of what they tell of, so that neither is without the
 * other. Each is delivered at least once, tried again when it fails, and visible until it is cleaned away.
 */
import type { Services } from '../services.ts'
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

const longestError = 300

/** A process that claimed a delivery and died gives it back after so long; above the slowest delivery. */
const claimTtl = 60

/** So many are on their way at once in one process; the outgoing client has a narrower gate of its own. */
const mostInFlight = 100

/** Seconds to wait after each failure; after the last comes `failed`. */
const usualDelays: readonly number[] = [1, 5, 30, 120, 600]
const delaysOfKind: ReadonlyMap<string, readonly number[]> = new Map([['logout', [1, 5]]])

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
const findingDue = statement<{ kind: string; now: number; limit: number }, OutboxRow>(
  'outbox.due',
  (knex, { kind, now, limit }) =>
    knex('outbox')
      .select(columns)
      .where({ state: 'pending', kind })
      .andWhere('next_at', '<=', now)
      .orderBy('next_at')
      .limit(limit),
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
const cleaning = statement<{ before: number; limit: number }>('outbox.clean', (knex, { before, limit }) =>
  knex('outbox')
    .whereIn(
      'id',
      knex('outbox')
        .select('id')
        .whereIn('state', ['delivered', 'failed'])
        .andWhere('next_at', '<', before)
        .limit(limit),
    )
    .delete(),
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

/** What is due of a kind, longest due first. */
export const due = (store: Store, kind: string, now: Date, limit: number): Promise<OutboxRow[]> =>
  store.all(findingDue, { kind, now: seconds(now), limit })

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

/** The write that deletes entries that ended before this instant, at most `limit` at once. */
export const cleanOutbox = (before: Date, limit: number): Write =>
  write(cleaning, { before: seconds(before), limit }, 'any')

/** Delivers one payload. @throws when it was not taken; the message is shown to administrators */
export type Deliver = (payload: Record<string, unknown>) => Promise<void>

export type Delivery = {
  /**
   * Looks for what is due now, in the background. Call it after a commit that enqueued something. Resolves when all
   * that is then on its way has been tried, and never rejects: wait for it only with a limit.
   */
  wake: () => Promise<void>
  /** Starts what is due. It does not wait for receivers, so that one that hangs holds nothing up. */
  run: () => Promise<void>
  /** Starts nothing more; resolves when what is on its way has ended. */
  stop: () => Promise<void>
}

export type DeliveryOptions = Pick<Services, 'store' | 'now' | 'log' | 'metrics'> & {
  /** By kind. What has another kind waits for a process that knows it. */
  deliver: ReadonlyMap<string, Deliver>
  /** Further writes for the commit that ends an entry, such as its audit row. */
  ended?: (row: OutboxRow, state: 'delivered' | 'failed', error: string | null) => Write[]
}

/** Makes the delivery of one process; any number of processes may deliver from one outbox. */
export const makeDelivery = (options: DeliveryOptions): Delivery => {
  const { store, now, log, metrics, deliver, ended = () => [] } = options
  const inFlight = new Set<Promise<void>>()
  let round: Promise<void> | undefined
  let again = false
  let stopped = false

  const outcome = async (row: OutboxRow, error: string | null): Promise<void> => {
    const { id, attempts, kind } = row
    const delay = error === null ? undefined : (delaysOfKind.get(kind) ?? usualDelays)[attempts - 1]
    const result = error === null ? 'delivered' : delay === undefined ? 'failed' : 'retried'
    metrics.count('lintel_outbox_deliveries_total', { kind, outcome: result })
    if (error !== null) {
      const fields = { kind, id, attempts, client_id: row.client_id, reason: error }
      if (result === 'failed') log.error('delivery.failed', fields)
      else log.warn('delivery.retried', fields)
    }
    const at = seconds(now())
    if (result === 'retried')
      await store.commit([
        write(postponing, { id, attempts, next: at + (delay ?? 0), error: error ?? '' }, 'any'),
      ])
    else
      await store.commit([
        write(ending, { id, attempts, state: result, now: at, error }),
        ...ended(row, result, error),
      ])
  }

  const attempt = async (row: OutboxRow, send: Deliver): Promise<void> => {
    let error: string | null = null
    try {
      await send(JSON.parse(row.payload) as Record<string, unknown>)
    } catch (cause) {
      error = shortError(cause)
    }
    try {
      await outcome(row, error)
    } catch (cause) {
      // It was too slow and another process has it now; or it is delivered again when the claim has run out.
      if (!(cause instanceof GuardFailed))
        log.warn('delivery.not-recorded', { id: row.id, cause: asError(cause) })
    }
  }

  const start = (row: OutboxRow, send: Deliver): void => {
    const sending = attempt(row, send).finally(() => {
      const wasFull = inFlight.size >= mostInFlight
      inFlight.delete(sending)
      if (wasFull) void wake()
    })
    inFlight.add(sending)
  }

  /** @returns whether there may be more that is due */
  const startDue = async (kind: string, send: Deliver): Promise<boolean> => {
    const room = mostInFlight - inFlight.size
    if (room <= 0) return false
    const rows = await due(store, kind, now(), room)
    await Promise.all(
      rows.map(async row => {
        const mine = await claim(store, row, now())
        if (mine) start(mine, send)
      }),
    )
    return rows.length === room
  }

  const runRounds = async (): Promise<void> => {
    try {
      do {
        again = false
        for (const [kind, send] of deliver) if (await startDue(kind, send)) again = true
      } while (again && !stopped && inFlight.size < mostInFlight)
    } finally {
      // In the turn of the last look at `again`: who calls after it starts a round of its own.
      round = undefined
    }
  }

  const run = (): Promise<void> => {
    if (stopped) return Promise.resolve()
    again = true
    round ??= Promise.resolve().then(runRounds)
    return round
  }

  const wake = async (): Promise<void> => {
    try {
      await run()
      await Promise.all(inFlight)
    } catch (cause) {
      log.warn('delivery.not-started', { cause: asError(cause) })
    }
  }

  return {
    wake,
    run,
    stop: async () => {
      stopped = true
      await round?.catch(() => undefined)
      while (inFlight.size > 0) await Promise.all(inFlight)
    },
  }
}

const asError = (cause: unknown): Error => (cause instanceof Error ? cause : new Error(String(cause)))

/** One line that is safe to show: messages of peers may hold anything. */
const shortError = (cause: unknown): string =>
  asError(cause)
    .message.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]+/gu, ' ')
    .slice(0, longestError)
