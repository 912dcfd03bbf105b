import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDatabase } from '../../src/store/database.ts'
import { giveLease, takeLease } from '../../src/store/lease.ts'
import { databaseKinds, freshStore, sized } from '../support/databases.ts'

describe.each(databaseKinds)('a lease on %s', kind => {
  let fresh: Awaited<ReturnType<typeof freshStore>>
  beforeEach(async () => {
    fresh = await freshStore(kind)
  })
  afterEach(() => fresh.remove())
  const at = (second: number): Date => new Date(Date.UTC(2026, 0, 1) + second * 1000)

  it('one process holds it, prolongs it, and loses it when it has run out', async () => {
    const { store } = fresh
    expect(await takeLease(store, 'jobs', 'one', at(0), 15)).toBe(true)
    expect(await takeLease(store, 'jobs', 'other', at(14), 15)).toBe(false)
    expect(await takeLease(store, 'jobs', 'one', at(14), 15)).toBe(true)
    expect(await takeLease(store, 'jobs', 'other', at(28), 15)).toBe(false)
    expect(await takeLease(store, 'jobs', 'other', at(29), 15)).toBe(true)
    expect(await takeLease(store, 'jobs', 'one', at(30), 15)).toBe(false)
    expect(await takeLease(store, 'else', 'one', at(30), 15)).toBe(true)
  })

  it('is free when its end lies further ahead than any clock of today sets one (REL-19)', async () => {
    const { store } = fresh
    // The clock was an hour ahead, its process died, and the clock was set back.
    expect(await takeLease(store, 'jobs', 'one', at(3600), 15)).toBe(true)
    expect(await takeLease(store, 'jobs', 'other', at(0), 15)).toBe(true)
    // A clock that is some seconds slow takes nothing from who lives.
    expect(await takeLease(store, 'jobs', 'other', at(10), 15)).toBe(true)
    expect(await takeLease(store, 'jobs', 'slow', at(2), 15)).toBe(false)
  })

  it('is given back at once by who holds it, and by nobody else', async () => {
    const { store } = fresh
    await takeLease(store, 'jobs', 'one', at(0), 15)
    await giveLease(store, 'jobs', 'other')
    expect(await takeLease(store, 'jobs', 'other', at(1), 15)).toBe(false)
    await giveLease(store, 'jobs', 'one')
    expect(await takeLease(store, 'jobs', 'other', at(1), 15)).toBe(true)
  })

  it('of many that reach for it at once one gets it (REL-16)', async () => {
    const other = await openDatabase(fresh.database.parsed, { poolSize: 10 })
    const rounds = sized(5, 100, 'rounds')
    for (let round = 0; round < rounds; round++) {
      const taken = await Promise.all(
        Array.from({ length: 12 }, (_, n) =>
          takeLease(
            n % 2 ? fresh.store : other,
            `lease ${round % 2}`,
            `holder ${round}-${n}`,
            at(round * 100),
            15,
          ),
        ),
      )
      expect(taken.filter(Boolean)).toHaveLength(1)
    }
    await other.close()
  })
})
