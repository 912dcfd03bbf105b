import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { openDatabase } from '../../src/store/database.ts'
import { statement } from '../../src/store/statement.ts'
import { allThings, newThing, type Part, scratchStore } from '../store/support.ts'
import { freshStore, sized } from '../support/databases.ts'
import { expectWhole } from '../support/invariants.ts'
import { canTrace, simulateDisk, traceWrites } from '../support/power-cut.ts'

const script = fileURLToPath(new URL('../store/commit-child.ts', import.meta.url))
const readingParts = statement<Record<never, never>, Part>('part.after-cut', knex =>
  knex('part').select('id', 'thing_id'),
)

let directory = ''
afterEach(() => rmSync(directory, { recursive: true, force: true }))

it('REL-03 SQLite syncs at every commit, and keeps a log', async () => {
  directory = mkdtempSync(join(tmpdir(), 'lintel-cut-'))
  const fresh = await freshStore('sqlite')
  const setting = async (name: string): Promise<unknown> =>
    (await fresh.store.search(knex => knex.select('*').from(`pragma_${name}`)))[0]
  // 2 is FULL: NORMAL may lose the last commits of a log.
  expect(await setting('synchronous')).toEqual({ synchronous: 2 })
  expect(await setting('journal_mode')).toEqual({ journal_mode: 'wal' })
  await fresh.remove()
})

/** Where processes cannot be traced this cannot be known; `.ci/run` installs what is needed. */
describe.skipIf(!canTrace())('a power cut at any moment', () => {
  it(
    'REL-03 loses no acknowledged commit, leaves none half done, and the file is whole',
    async () => {
      const rounds = sized(1, 5, 'recorded runs')
      const most = sized(30, 200, 'cuts of each')
      for (let round = 0; round < rounds; round++) {
        directory = mkdtempSync(join(tmpdir(), 'lintel-cut-'))
        const fresh = await scratchStore('sqlite')
        if (fresh.database.parsed.kind !== 'sqlite') throw new Error('not SQLite')
        const { path } = fresh.database.parsed
        await fresh.store.commit([newThing('counter')])
        await fresh.store.close()
        const told = join(directory, 'told')
        writeFileSync(told, '')
        const disk = simulateDisk()
        disk.holds(path, readFileSync(path))
        // Enough for the log to be written back into the file, once at least: that too is cut.
        const events = await traceWrites(['--import', 'tsx', script, 'sqlite', path, 'a-', told], {
          files: [path, `${path}-wal`],
          telling: told,
          enough: text => text.split('\n').length > 1200,
        })
        const writtenBack = events.filter(event => event.kind === 'write' && event.path === path)
        expect(writtenBack.length).toBeGreaterThan(0)
        const cuts = new Set(Array.from({ length: most }, () => Math.floor(Math.random() * events.length)))
        // And some while the file itself is written.
        for (const event of writtenBack.slice(0, sized(3, 20))) cuts.add(events.indexOf(event))
        const acknowledged: string[] = []
        for (const [index, event] of events.entries()) {
          disk.happen(event)
          if (event.kind === 'said') acknowledged.push(...event.text.split('\n').filter(Boolean))
          if (!cuts.has(index)) continue
          const after = mkdtempSync(join(directory, 'after-'))
          disk.cut([0, 0.5, 1][index % 3] ?? 0, name => join(after, basename(name)))
          const store = await openDatabase(
            { kind: 'sqlite', path: join(after, basename(path)) },
            { poolSize: 1 },
          )
          await expectWhole(store)
          const present = new Set((await allThings(store)).map(({ id }) => id))
          const parts = new Set((await store.all(readingParts, {})).map(part => part.thing_id))
          await store.close()
          expect(acknowledged.filter(id => !present.has(id))).toEqual([])
          expect([...present].filter(id => id !== 'counter' && !parts.has(id))).toEqual([])
          rmSync(after, { recursive: true })
        }
        expect(acknowledged.length).toBeGreaterThan(1000)
        await fresh.database.remove()
        rmSync(directory, { recursive: true })
      }
    },
    sized(180_000, 7_200_000),
  )
})
