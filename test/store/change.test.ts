import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Cached, changed, changedFrom, changeWatcher, readVersions } from '../../src/store/change.ts'
import { GuardFailed } from '../../src/store/commit.ts'
import { openDatabase } from '../../src/store/database.ts'
import { databaseKinds, freshStore } from '../support/databases.ts'
import { ending } from './support.ts'

describe.each(databaseKinds)('change counters on %s', kind => {
  let fresh: Awaited<ReturnType<typeof freshStore>>
  beforeEach(async () => {
    fresh = await freshStore(kind)
  })
  afterEach(() => fresh.remove())

  const watching = (fails: Set<Cached> = new Set()) => {
    const reloaded: Cached[] = []
    const reload = (name: Cached) => async (): Promise<void> => {
      if (fails.has(name)) throw new Error(`cannot read ${name}`)
      reloaded.push(name)
    }
    const look = changeWatcher(fresh.store, {
      client: reload('client'),
      key: reload('key'),
      denylist: reload('denylist'),
    })
    return async (): Promise<Cached[]> => {
      reloaded.length = 0
      await look()
      return [...reloaded].sort()
    }
  }

  it('what another process changed is read again, once', async () => {
    const look = watching()
    expect(await look()).toEqual(['client', 'denylist', 'key'])
    expect(await look()).toEqual([])
    const other = await openDatabase(fresh.database.parsed, { poolSize: 2 })
    await other.commit([changed('client')])
    // Whoever composes a commit of several parts may say it twice.
    await other.commit([changed('client'), changed('client')])
    await other.close()
    expect(await look()).toEqual(['client'])
    expect(await look()).toEqual([])
  })

  it('what could not be read is tried again', async () => {
    const fails = new Set<Cached>()
    const look = watching(fails)
    await look()
    fails.add('key')
    await fresh.store.commit([changed('key')])
    await expect(look()).rejects.toThrow('cannot read key')
    await expect(look()).rejects.toThrow('cannot read key')
    fails.clear()
    expect(await look()).toEqual(['key'])
  })

  it('of several that decided on one version one commits', async () => {
    const { key } = await readVersions(fresh.store)
    const ends = await Promise.all(
      Array.from({ length: 10 }, () => ending(fresh.store.commit([changedFrom('key', key)]))),
    )
    expect(ends.filter(end => end === 'done')).toHaveLength(1)
    expect(ends.filter(end => end instanceof GuardFailed)).toHaveLength(9)
    expect((await readVersions(fresh.store)).key).toBe(key + 1)
  })
})
