import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { LogFields } from '../../src/observe/log.ts'
import { makeMetrics } from '../../src/observe/metrics.ts'
import { GuardFailed } from '../../src/store/commit.ts'
import type { Store } from '../../src/store/database.ts'
import { openDatabase } from '../../src/store/database.ts'
import { claim, cleanOutbox, due, enqueue, listOutbox, retry } from '../../src/store/outbox.ts'
import { type Deliver, type DeliveryOptions, makeDelivery } from '../../src/store/outbox-delivery.ts'
import { databaseKinds, freshStore, sized } from '../support/databases.ts'
import { until } from './support.ts'

const quiet = (lines: string[] = []) => {
  const say = (event: string, fields?: LogFields): void =>
    void lines.push(`${event} ${JSON.stringify(fields)}`)
  return { debug: say, info: say, warn: say, error: say, flush: () => undefined }
}

describe.each(databaseKinds)('the outbox on %s', kind => {
  const ends: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  const start = async (deliver: Record<string, Deliver>, more: Partial<DeliveryOptions> = {}) => {
    const fresh = await freshStore(kind)
    ends.push(fresh.remove)
    let clock = Date.UTC(2026, 0, 1)
    const lines: string[] = []
    const now = (): Date => new Date(clock)
    const deliveryOn = (store: Store) => {
      const delivery = makeDelivery({
        store,
        now,
        log: quiet(lines),
        metrics: makeMetrics(),
        deliver: new Map(Object.entries(deliver)),
        ...more,
      })
      ends.push(delivery.stop)
      return delivery
    }
    return {
      store: fresh.store,
      database: fresh.database,
      now,
      lines,
      sleep: (seconds: number): void => {
        clock += seconds * 1000
      },
      delivery: deliveryOn(fresh.store),
      deliveryOn,
      put: (kindOf: string, payload: Record<string, unknown> = {}, clientId: string | null = null) =>
        fresh.store.commit([enqueue({ kind: kindOf, clientId, userId: null, payload, now: now() })]),
      states: async () =>
        (await listOutbox(fresh.store, { limit: 100 })).map(({ state, attempts }) => `${state} ${attempts}`),
    }
  }

  it('delivers what was committed, once', async () => {
    const got: unknown[] = []
    const { delivery, put, states, sleep } = await start({ mail: async payload => void got.push(payload) })
    await put('mail', { to: 'alice', text: 'naïve “quotes” 🚪' })
    await delivery.run()
    await until(async () => (await states())[0] === 'delivered 1')
    sleep(3600)
    await delivery.run()
    expect(got).toEqual([{ to: 'alice', text: 'naïve “quotes” 🚪' }])
  })

  it('an entry is not there when the commit that wrote it failed', async () => {
    const { store, put, now } = await start({})
    await put('mail')
    const failing = [
      enqueue({ kind: 'mail', clientId: null, userId: null, payload: {}, now: now() }),
      retry(999_999, now()),
    ]
    await expect(store.commit(failing)).rejects.toBeInstanceOf(GuardFailed)
    expect(await listOutbox(store, { limit: 10 })).toHaveLength(1)
  })

  it.each([
    ['mail', [1, 5, 30, 120, 600]],
    ['logout', [1, 5]],
  ])('tries %s again after %j seconds, then gives up and shows why', async (kindOf, delays) => {
    let tries = 0
    const { delivery, put, states, sleep, store, now, lines } = await start({
      [kindOf]: async () => {
        tries += 1
        throw new Error(`refused\n\u202e${'x'.repeat(1000)}`)
      },
    })
    await put(kindOf, {}, 'shop')
    for (const [index, delay] of delays.entries()) {
      await delivery.run()
      await until(async () => (await listOutbox(store, { limit: 1 }))[0]?.last_error !== null)
      await until(async () => (await states())[0] === `pending ${index + 1}` && (await isPostponed(store)))
      sleep(delay - 1)
      await delivery.run()
      expect(tries).toBe(index + 1)
      sleep(1)
    }
    await delivery.run()
    await until(async () => (await states())[0] === `failed ${delays.length + 1}`)
    const [row] = await listOutbox(store, { limit: 1, state: 'failed', clientId: 'shop' })
    expect(row?.last_error).toHaveLength(300)
    expect(row?.last_error).toMatch(/^refused x+$/)
    expect(lines.filter(line => line.startsWith('delivery.failed'))).toHaveLength(1)
    sleep(86_400)
    await delivery.run()
    expect(tries).toBe(delays.length + 1)

    await store.commit([retry(row?.id ?? 0, now())])
    await delivery.run()
    await until(async () => tries === delays.length + 2)
    await expect(store.commit([retry(row?.id ?? 0, now())])).rejects.toBeInstanceOf(GuardFailed)

    async function isPostponed(of: Store): Promise<boolean> {
      const claimTtl = 60
      const next = (await listOutbox(of, { limit: 1 }))[0]?.next_at ?? 0
      return next !== Math.floor(now().getTime() / 1000) + claimTtl
    }
  })

  it('receivers that hang hold up neither the good ones nor the round', async () => {
    const hanging: (() => void)[] = []
    const got: unknown[] = []
    const { delivery, put } = await start({
      logout: payload =>
        payload['hang']
          ? new Promise(resolve => hanging.push(resolve))
          : Promise.resolve(void got.push(payload)),
    })
    for (let n = 0; n < 40; n++) await put('logout', n % 2 ? { n } : { hang: true })
    await delivery.run()
    await until(async () => got.length === 20 && hanging.length === 20)
    await put('logout', { late: true })
    await delivery.run()
    await until(async () => got.length === 21)
    for (const release of hanging) release()
  })

  it('starts at most a hundred at once, and the others as those end', async () => {
    const waiting: (() => void)[] = []
    const { delivery, put } = await start({ mail: () => new Promise(resolve => waiting.push(resolve)) })
    await Promise.all(Array.from({ length: 130 }, (_, n) => put('mail', { n })))
    await delivery.run()
    await until(async () => waiting.length === 100)
    await delivery.run()
    expect(waiting).toHaveLength(100)
    for (const release of waiting.slice(0, 40)) release()
    await until(async () => waiting.length === 130)
    for (const release of waiting) release()
  })

  it('two processes deliver each entry once', async () => {
    const seen = new Map<unknown, number>()
    const { delivery, deliveryOn, put, database, states } = await start({
      mail: async payload => void seen.set(payload['n'], (seen.get(payload['n']) ?? 0) + 1),
    })
    const other = await openDatabase(database.parsed, { poolSize: 5 })
    ends.push(() => other.close())
    const second = deliveryOn(other)
    const many = sized(60, 2000, 'deliveries')
    await Promise.all(Array.from({ length: many }, (_, n) => put('mail', { n })))
    let done = false
    await Promise.all([
      ...[delivery, second].map(async one => {
        while (!done) {
          await one.run()
          await wait(1)
        }
      }),
      until(async () => seen.size === many).finally(() => {
        done = true
      }),
    ])
    await Promise.all([delivery.stop(), second.stop()])
    expect([...seen.values()].every(times => times === 1)).toBe(true)
    expect(new Set(await states())).toEqual(new Set(['delivered 1']))
  })

  it('one of two claims of an entry succeeds', async () => {
    const { store, put, now } = await start({})
    await put('mail')
    const [row] = await due(store, 'mail', now(), 10)
    if (!row) throw new Error('nothing is due')
    const claims = await Promise.all([claim(store, row, now()), claim(store, row, now())])
    expect(claims.filter(mine => mine !== undefined)).toHaveLength(1)
    expect(await due(store, 'mail', now(), 10)).toEqual([])
  })

  it('what a process claimed and did not end is delivered by another after a minute', async () => {
    const got: unknown[] = []
    const { store, put, now, sleep, delivery } = await start({
      mail: async payload => void got.push(payload),
    })
    await put('mail')
    const [row] = await due(store, 'mail', now(), 10)
    if (row) await claim(store, row, now())
    sleep(59)
    await delivery.run()
    expect(got).toEqual([])
    sleep(1)
    await delivery.run()
    await until(async () => got.length === 1)
  })

  it('what was enqueued, or claimed by a process that died, before the clock was set back waits for nothing (REL-19)', async () => {
    const got: unknown[] = []
    const { store, put, now, sleep, delivery } = await start({
      mail: async payload => void got.push(payload),
    })
    await put('mail')
    await put('mail')
    const [row] = await due(store, 'mail', now(), 1)
    if (row) await claim(store, row, now())
    sleep(-3600)
    await delivery.run()
    await until(async () => got.length === 2)
    // What waits for its turn by the clock as it is now waits on.
    await put('mail')
    const [other] = await due(store, 'mail', now(), 1)
    if (other) await claim(store, other, now())
    await delivery.run()
    expect(await due(store, 'mail', now(), 1)).toEqual([])
  })

  it('waits with a kind that this version does not know', async () => {
    const { delivery, put, states } = await start({ mail: async () => undefined })
    await put('pigeon')
    await delivery.run()
    expect(await states()).toEqual(['pending 0'])
  })

  it('writes what accompanies the end in its commit', async () => {
    const { delivery, put, states } = await start(
      { mail: async () => undefined },
      {
        ended: (row, state) => [
          enqueue({ kind: 'told', clientId: state, userId: row.kind, payload: {}, now: new Date(0) }),
        ],
      },
    )
    await put('mail')
    await delivery.run()
    await until(async () => (await states()).join() === 'delivered 1,pending 0')
  })

  it('wake delivers without a round of the job', async () => {
    const got: unknown[] = []
    const { delivery, put } = await start({ mail: async payload => void got.push(payload) })
    await put('mail')
    delivery.wake()
    delivery.wake()
    await until(async () => got.length === 1)
  })

  it('cleans ended entries in batches, and keeps those that wait', async () => {
    const { store, put, delivery, states, sleep, now } = await start({ mail: async () => undefined })
    for (let n = 0; n < 5; n++) await put('mail')
    await delivery.run()
    await until(async () => (await states()).every(state => state === 'delivered 1'))
    await put('pigeon')
    sleep(31 * 86_400)
    const before = new Date(now().getTime() - 30 * 86_400_000)
    await cleanOutbox(store, before, 3)
    expect(await states()).toHaveLength(3)
    await cleanOutbox(store, before, 3)
    expect(await states()).toEqual(['pending 0'])
  })
})
