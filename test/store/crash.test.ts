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
    for (let round = 0; round < sized(3, 100); round++) {
      const where = parsed.kind === 'sqlite' ? parsed.path : parsed.url
      const children = ['a', 'b'].map(name => startChild(script, parsed.kind, where, `${name}${round}-`))
      await until(async () => children.every(({ lines }) => lines.length > 5))
      await wait(Math.random() * 100)
      for (const child of children) child.kill()
      for (const child of children) expect(await child.ended).toBe('SIGKILL')
      // What the killed process still had on its way to the server may end a moment later.
      await wait(kind === 'postgres' ? 50 : 0)
      const reopened = await openDatabase(parsed, { poolSize: 2 })
      const present = new Set((await allThings(reopened)).map(({ id }) => id))
      const parts = new Set((await reopened.all(readingParts, {})).map(part => part.thing_id))
      await reopened.close()
      const acknowledged = children.flatMap(({ lines }) => lines.filter(line => line !== 'ready'))
      expect(acknowledged.length).toBeGreaterThan(5)
      expect(acknowledged.filter(id => !present.has(id))).toEqual([])
      expect([...present].filter(id => id !== 'counter' && !parts.has(id))).toEqual([])
    }
    await fresh.remove()
  }, 300_000)
})
