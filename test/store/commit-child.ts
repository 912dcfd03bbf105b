/** Commits as fast as it can, and says which commits were acknowledged, until it is killed. */
import { openSync, writeSync } from 'node:fs'
import { openDatabase } from '../../src/store/database.ts'
import { newPart, newThing, relabel } from './support.ts'

const [kind = '', where = '', prefix = '', acknowledged = ''] = process.argv.slice(2)
// A file keeps what was written to it, whenever this process is killed.
const file = openSync(acknowledged, 'a')
const store = await openDatabase(
  kind === 'sqlite' ? { kind, path: where } : { kind: 'postgres', url: where },
  {
    poolSize: 5,
  },
)
let n = 0
const work = async (): Promise<void> => {
  for (;;) {
    const id = `${prefix}${++n}`
    await store.commit([newThing(id), newPart(`${id}-part`, id), relabel('counter', id)])
    writeSync(file, `${id}\n`)
  }
}
await Promise.all(Array.from({ length: 5 }, work))
