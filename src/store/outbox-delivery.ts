/**
 * Delivering what waits in the outbox: all that is due at once, so that who hangs holds nobody up, and again after a
 * pause that grows when it fails.
 */
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from './commit.ts'
import { claim, due, endDelivery, type OutboxRow, postponeDelivery } from './outbox.ts'

const longestError = 300

/** So many are on their way at once in one process; the outgoing client has a narrower gate of its own. */
const mostInFlight = 100

/** Seconds to wait after each failure; after the last comes `failed`. */
const usualDelays: readonly number[] = [1, 5, 30, 120, 600]
const delaysOfKind: ReadonlyMap<string, readonly number[]> = new Map([['logout', [1, 5]]])

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
    await store.commit(
      result === 'retried'
        ? [postponeDelivery(row, delay ?? 0, now(), error ?? '')]
        : [endDelivery(row, result, now(), error), ...ended(row, result, error)],
    )
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
