import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { openDatabase } from '../../src/store/database.ts'
import { statement } from '../../src/store/statement.ts'
import { databaseKinds, sized } from '../support/databases.ts'
import { allThings, newThing, type Part, scratchStore, startChild, until } from './support.ts'

const script = fileURLToPath(new URL('commit-child.ts', import.meta.url))
const readingParts = statement<Record<never, never>, Part>('part.all', knex =>
  knex('part').select('id', 'thing_id'),
)

describe.each(databaseKinds)('a process that is killed, on %s', kind => {
  it('loses no acknowledged commit, and leaves none half done (REL-02, INV-4)', async () => {
    const fresh = await scratchStore(kind)
    await fresh.store.commit([newThing('counter')])
    const { parsed } = fresh.database
    const directory = mkdtempSync(join(tmpdir(), 'lintel-acknowledged-'))
    const kills = sized(2, 50, 'kills of two processes')
    for (let round = 0; round < kills; round++) {
      const where = parsed.kind === 'sqlite' ? parsed.path : parsed.url
      const children = ['a', 'b'].map(name => {
        const file = join(directory, `${name}${round}`)
        writeFileSync(file, '')
        const child = startChild(script, parsed.kind, where, `${name}${round}-`, file)
        return { ...child, acknowledged: () => readFileSync(file, 'utf8').split('\n').filter(Boolean) }
      })
      await until(async () => children.every(child => child.acknowledged().length > 5))
      await wait(Math.random() * 100)
      for (const child of children) child.kill()
      for (const child of children) expect(await child.ended).toBe('SIGKILL')
      // What the killed process still had on its way to the server may end a moment later.
      await wait(kind === 'postgres' ? 50 : 0)
      const reopened = await openDatabase(parsed, { poolSize: 2 })
      const present = new Set((await allThings(reopened)).map(({ id }) => id))
      const parts = new Set((await reopened.all(readingParts, {})).map(part => part.thing_id))
      await reopened.close()
      const acknowledged = children.flatMap(child => child.acknowledged())
      expect(acknowledged.length).toBeGreaterThan(5)
      expect(acknowledged.filter(id => !present.has(id))).toEqual([])
      expect([...present].filter(id => id !== 'counter' && !parts.has(id))).toEqual([])
    }
    await fresh.remove()
    rmSync(directory, { recursive: true })
  }, 1_800_000)
})
