import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Store } from '../../src/store/database.ts'
import {
  accountRule,
  addressRules,
  cleanThrottles,
  countFailure,
  forgetFailures,
  readCount,
  type ThrottleRule,
} from '../../src/throttle/throttle.ts'
import { databaseKinds, freshStore } from '../support/databases.ts'

describe.each(databaseKinds)('counts of failures on %s', kind => {
  let store: Store
  let remove: () => Promise<void>
  let at: number
  beforeEach(async () => {
    ;({ store, remove } = await freshStore(kind))
    at = 1_800_000_000
  })
  afterEach(() => remove())

  const now = (): Date => new Date(at * 1000)
  const fail = (rule: ThrottleRule, subject = 'alice'): Promise<void> =>
    store.commit([countFailure(rule, subject, now())])
  const read = (rule: ThrottleRule, subject = 'alice') => readCount(store, rule, subject, now())
  const [minute, hour] = addressRules
  if (!minute || !hour) throw new Error('the rules of an address are two')

  it('SEC-075 an account waits from the 5th on, each time twice as long, and 15 minutes from the 10th', async () => {
    const waits: number[] = []
    for (let count = 1; count <= 12; count++) {
      await fail(accountRule)
      const found = await read(accountRule)
      expect(found.count).toBe(count)
      waits.push(found.wait)
    }
    expect(waits).toEqual([0, 0, 0, 0, 1, 2, 4, 8, 16, 900, 900, 900])
    at += 899
    expect((await read(accountRule)).wait).toBe(1)
    at += 1
    expect(await read(accountRule)).toEqual({ count: 0, wait: 0 })
    await fail(accountRule)
    expect(await read(accountRule)).toEqual({ count: 1, wait: 0 })
  })

  it('SEC-075 the window of an account slides: it ends 15 minutes after the last failure', async () => {
    for (let count = 1; count <= 4; count++) {
      await fail(accountRule)
      at += 890
    }
    expect((await read(accountRule)).count).toBe(4)
    at += 11
    expect((await read(accountRule)).count).toBe(0)
  })

  it('SEC-079 the windows of an address do not: they end by themselves, however long it goes on', async () => {
    for (let count = 1; count <= 20; count++) {
      await fail(minute)
      at += 1
    }
    expect(await read(minute)).toEqual({ count: 20, wait: 40 })
    at += 39
    expect((await read(minute)).wait).toBe(1)
    at += 1
    expect(await read(minute)).toEqual({ count: 0, wait: 0 })
    for (let count = 1; count <= 99; count++) await fail(hour)
    expect((await read(hour)).wait).toBe(0)
    at += 600
    await fail(hour)
    expect(await read(hour)).toEqual({ count: 100, wait: 3000 })
  })

  it('SEC-076 200 failures at once are 200', async () => {
    await Promise.all(Array.from({ length: 200 }, () => fail(hour)))
    expect((await read(hour)).count).toBe(200)
  })

  it('a subject is nobody else’s, and a rule no other rule', async () => {
    for (let count = 0; count < 10; count++) await fail(accountRule, 'alice')
    for (const other of ['bob', 'alice ', 'Alice', 'alic', '%', 'alice%'])
      expect(await read(accountRule, other), other).toEqual({ count: 0, wait: 0 })
    expect(await read(minute, 'alice')).toEqual({ count: 0, wait: 0 })
  })

  it('a success forgets, and what has ended is cleaned away, no more at once than may be', async () => {
    await fail(accountRule, 'alice')
    await store.commit([forgetFailures(accountRule, 'alice')])
    expect((await read(accountRule, 'alice')).count).toBe(0)
    await store.commit([forgetFailures(accountRule, 'nobody')])
    for (let index = 0; index < 30; index++) await fail(accountRule, `user${index}`)
    for (let count = 0; count < 10; count++) await fail(accountRule, 'locked')
    const rows = async (): Promise<number> =>
      (await store.search(knex => knex('throttle').select('key'))).length
    await cleanThrottles(store, now(), 100)
    expect(await rows()).toBe(31)
    at += 899
    await cleanThrottles(store, now(), 100)
    expect(await rows()).toBe(31)
    at += 2
    expect(await cleanThrottles(store, now(), 20)).toBe(true)
    expect(await rows()).toBe(11)
    expect(await cleanThrottles(store, now(), 20)).toBe(false)
    expect(await rows()).toBe(0)
  })

  it('REL-20 times after 2038 are times', async () => {
    at = 2 ** 31 + 1000
    for (let count = 0; count < 10; count++) await fail(accountRule)
    expect(await read(accountRule)).toEqual({ count: 10, wait: 900 })
  })
})
