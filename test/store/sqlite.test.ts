import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GuardFailed, StoreUnavailable, write } from '../../src/store/commit.ts'
import { openDatabase, type Store } from '../../src/store/database.ts'
import { insertion, statement } from '../../src/store/statement.ts'
import { fromOutside, sized } from '../support/databases.ts'
import {
  allThings,
  type Child,
  countThings,
  ending,
  loopGap,
  newThing,
  otherSqliteProcess,
  relabel,
  scratchStore,
  scratchTables,
  take,
  until,
} from './support.ts'

const padding = insertion<{ name: string; size: null; at: null; content: null }>('note', [
  'name',
  'size',
  'at',
  'content',
])
const fill = (bytes: number) =>
  write(padding, { name: 'x'.repeat(bytes), size: null, at: null, content: null })

describe('SQLite', () => {
  let fresh: Awaited<ReturnType<typeof scratchStore>>
  let path: string
  const children: Child[] = []
  beforeEach(async () => {
    fresh = await scratchStore('sqlite')
    path = fresh.database.parsed.kind === 'sqlite' ? fresh.database.parsed.path : ''
  })
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill()
      await child.ended
    }
    await fresh.remove()
  })
  const other = (...statements: string[]): Child => {
    const child = otherSqliteProcess(path, ...statements)
    children.push(child)
    return child
  }

  it('while another process holds the write lock no request fails and the loop runs on (REL-06)', async () => {
    const { store } = fresh
    const held = sized(1500, 3000)
    const child = other('begin immediate', `-- wait ${held}`, 'commit')
    await until(async () => child.lines.includes('begin immediate'))
    const gap = loopGap()
    const began = performance.now()
    const commits: Promise<unknown>[] = []
    for (let n = 0; performance.now() - began < held + 200; n++) {
      commits.push(ending(store.commit([newThing(`${n}`)])))
      await allThings(store)
      await wait(10)
    }
    expect(new Set(await Promise.all(commits))).toEqual(new Set(['done']))
    expect(await countThings(store)).toBe(commits.length)
    const { ours, beside } = await gap()
    expect(ours).toBeLessThan(Math.max(100, 5 * beside))
  })

  it.runIf(process.env['LINTEL_TEST_LONG'])(
    'a lock that is held for longer than ten seconds is 503',
    async () => {
      const child = other('begin immediate', '-- wait 14000', 'commit')
      await until(async () => child.lines.includes('begin immediate'))
      const early = ending(fresh.store.commit([newThing('early')]))
      await wait(5000)
      const late = ending(fresh.store.commit([newThing('late')]))
      expect(await early).toMatchObject({ status: 503 })
      expect(await late).toBe('done')
    },
    30_000,
  )

  it('two processes that write the same rows a hundred times a second are not in each other’s way (REL-07)', async () => {
    const { store } = fresh
    await store.commit([newThing('row')])
    const rounds = sized(80, 1000, 'rounds')
    const script = Array.from({ length: rounds }, () => [
      'begin immediate; select * from thing; update thing set expires_at = expires_at + 1; commit',
      '-- wait 5',
    ]).flat()
    const child = other(...script)
    await until(async () => child.lines.length > 1)
    let n = 0
    let running = true
    void child.ended.then(() => {
      running = false
    })
    while (running) {
      expect(await ending(store.commit([relabel('row', `${++n}`)]))).toBe('done')
      await wait(5)
    }
    const [row] = await allThings(store)
    expect(row?.label).toBe(`${n}`)
    expect((row?.expires_at ?? 0) - Date.UTC(2030, 0, 1) / 1000).toBe(rounds)
  }, 120_000)

  it('a trigger that raises fails only its commit; one that rolls back fails its group with 503', async () => {
    const { store } = fresh
    await store.commit([newThing('a'), newThing('b')])
    await fromOutside(
      fresh.database,
      "create trigger fault before update on thing when new.label = 'abort' begin select raise(abort, 'injected'); end",
      "create trigger worse before update on thing when new.label = 'rollback' begin select raise(rollback, 'injected'); end",
    )
    const together = (label: string) =>
      Promise.all([
        ending(store.commit([newThing(`${label} 1`)])),
        ending(store.commit([newThing(`${label} 2`), relabel('a', label)])),
        ending(store.commit([newThing(`${label} 3`)])),
      ])
    const aborted = await together('abort')
    expect(aborted[0]).toBe('done')
    expect(aborted[1]).toBeInstanceOf(StoreUnavailable)
    expect(aborted[2]).toBe('done')
    const rolledBack = await together('rollback')
    expect(rolledBack.every(end => end instanceof StoreUnavailable)).toBe(true)
    expect((await allThings(store)).map(({ id }) => id)).toEqual(['a', 'abort 1', 'abort 3', 'b'])
    expect(await together('fine')).toEqual(['done', 'done', 'done'])
  })

  it('a crowd does not hold the event loop up: others get their turn after every hundred commits', async () => {
    let turns = 0
    let running = true
    const turn = (): void => {
      turns += 1
      if (running) setImmediate(turn)
    }
    const many = sized(2000, 20_000, 'commits')
    const crowd = Array.from({ length: many }, (_, n) => fresh.store.commit([newThing(`${n}`)]))
    setImmediate(turn)
    await Promise.all(crowd)
    running = false
    expect(turns).toBeGreaterThanOrEqual(many / 100 - 1)
    expect(await countThings(fresh.store)).toBe(many)
  })

  it('the file is for its owner only', () => {
    for (const suffix of ['', '-wal', '-shm']) expect(statSync(path + suffix).mode & 0o077).toBe(0)
  })

  it('the WAL grows while a backup reads, and not for ever', async () => {
    const { store } = fresh
    const reader = other('begin; select count(*) from thing', `-- wait 20000`)
    await until(async () => reader.lines.length > 1)
    const megabytes = sized(8, 80, 'megabytes')
    for (let n = 0; n < megabytes; n++) await store.commit([fill(1_000_000)])
    const grown = statSync(`${path}-wal`).size
    expect(grown).toBeGreaterThan(megabytes * 1_000_000)
    reader.kill()
    await reader.ended
    for (let n = 0; n < megabytes; n++) await store.commit([fill(1_000_000)])
    expect(statSync(`${path}-wal`).size).toBeLessThan(Math.max(grown, 64 * 1024 * 1024) + 8_000_000)
    expect(statSync(`${path}-wal`).size).toBeLessThan(grown * 1.5)
  })

  it('a file that cannot be opened is 503 and says which', async () => {
    const blocked = join(mkdtempSync(join(tmpdir(), 'lintel-test-')), 'file')
    writeFileSync(
      blocked,
      'this is no database, and it is long enough to be told from an empty one'.repeat(20),
    )
    const end = await ending(openDatabase({ kind: 'sqlite', path: blocked }, { poolSize: 1 }))
    expect(end).toBeInstanceOf(StoreUnavailable)
    expect(String(end)).toContain(blocked)
    rmSync(join(blocked, '..'), { recursive: true })
  })
})

/** Mounting needs root, and not every container allows it even then. */
const canMount = (() => {
  const directory = mkdtempSync(join(tmpdir(), 'lintel-full-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory], { stdio: 'ignore' })
    execFileSync('umount', [directory])
    return true
  } catch {
    return false
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})()

// Loudly: what is not run here is run where mounting is allowed.
if (!canMount)
  process.stderr.write('\n=== NOT RUN: REL-05 (full disk), because this machine allows no mounts\n\n')

describe.runIf(canMount)('SQLite on a full disk (REL-05)', () => {
  let directory: string
  let store: Store
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'lintel-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', directory])
    const database = { kind: 'sqlite' as const, path: join(directory, 'lintel.db') }
    store = await openDatabase(database, { poolSize: 1 })
    await fromOutside(
      { kind: 'sqlite', url: '', parsed: database, remove: async () => undefined },
      ...scratchTables('sqlite'),
    )
    await store.commit([newThing('a'), newThing('b')])
  })
  afterEach(async () => {
    await store.close()
    execFileSync('umount', [directory])
    rmSync(directory, { recursive: true, force: true })
  })

  const fillDisk = (): void => {
    const { bavail, bsize } = statfsSync(directory)
    writeFileSync(join(directory, 'filling'), Buffer.alloc(bavail * bsize))
  }

  it('writes are 503, reads go on, no row is half there, and it is over when there is space again', async () => {
    fillDisk()
    // What the WAL has room for already may still be written.
    const acknowledged = new Set(['a', 'b'])
    let refused = 0
    for (let n = 0; n < 200 && refused < 50; n++) {
      const began = performance.now()
      const group = [`${n}-1`, `${n}-2`, `${n}-3`]
      const ends = await Promise.all(
        group.map(id => ending(store.commit([newThing(id), relabel('a', `${'x'.repeat(2000)}${id}`)]))),
      )
      expect(performance.now() - began).toBeLessThan(1000)
      for (const [index, end] of ends.entries())
        if (end === 'done') acknowledged.add(group[index] ?? '')
        else {
          refused += 1
          expect(end).toMatchObject({ status: 503, options: { headers: { 'Retry-After': '1' } } })
        }
      expect(await countThings(store)).toBe(acknowledged.size)
    }
    expect(refused).toBeGreaterThanOrEqual(50)
    await expect(store.commit([take('nobody'), fill(500_000)])).rejects.toBeInstanceOf(Error)
    rmSync(join(directory, 'filling'))
    await store.commit([newThing('after'), take('b')])
    acknowledged.add('after')
    expect(new Set((await allThings(store)).map(({ id }) => id))).toEqual(acknowledged)
    const checking = statement<Record<never, never>, { integrity_check: string }>('check', knex =>
      knex.raw('PRAGMA integrity_check'),
    )
    expect(await store.all(checking, {})).toEqual([{ integrity_check: 'ok' }])
  })

  it('a commit that is too large for the disk fails alone when it comes alone', async () => {
    expect(await ending(store.commit([newThing('big'), fill(3_000_000)]))).toBeInstanceOf(StoreUnavailable)
    await store.commit([newThing('c')])
    await expect(store.commit([newThing('c')])).rejects.toBeInstanceOf(GuardFailed)
    expect(await countThings(store)).toBe(3)
  })
})
