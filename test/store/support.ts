/** What the tests of the store share. */
import { spawn } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type Write, write } from '../../src/store/commit.ts'
import type { Store } from '../../src/store/database.ts'
import { seconds, singleUse } from '../../src/store/single-use.ts'
import { insertion, statement } from '../../src/store/statement.ts'
import { type DatabaseKind, freshStore, fromOutside } from '../support/databases.ts'

/** Waits until something is so; fails after twenty seconds, or another time. */
export const until = async (holds: () => Promise<boolean>, patience = 20_000): Promise<void> => {
  const end = performance.now() + patience
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`it did not come to be in ${patience} ms`)
    await wait(5)
  }
}

/** Tables to try things on: single-use things, their parts that refer to them, and a note of every kind of value. */
export const scratchTables = (kind: DatabaseKind): string[] => [
  'create table thing (id text primary key, label text unique, expires_at bigint not null, used_at bigint)',
  'create table part (id text primary key, thing_id text not null references thing (id), owner text)',
  `create table note (id ${kind === 'sqlite' ? 'integer primary key' : 'bigserial primary key'}, name text,
    size integer, at bigint, content ${kind === 'sqlite' ? 'blob' : 'bytea'})`,
]

export type Thing = { id: string; label: string | null; expires_at: number; used_at: number | null }
export type Part = { id: string; thing_id: string; owner: string | null }

export const things = singleUse<Thing>('thing', ['id', 'label', 'expires_at', 'used_at'])
const insertingPart = insertion<Part>('part', ['id', 'thing_id', 'owner'])
const deletingThing = statement<{ id: string }>('thing.delete', (knex, { id }) =>
  knex('thing').where({ id }).delete(),
)
const relabelling = statement<{ id: string; label: string }>('thing.relabel', (knex, { id, label }) =>
  knex('thing').where({ id }).update({ label }),
)
const relabellingAll = statement<{ from: string; label: string }>(
  'thing.relabel-all',
  (knex, { from, label }) =>
    knex('thing')
      .where('id', '>=', from)
      .update({ label: knex.raw('? || id', [label]) }),
)
const readingThings = statement<Record<never, never>, Thing>('thing.all', knex =>
  knex('thing').select('id', 'label', 'expires_at', 'used_at').orderBy('id'),
)
const countingThings = statement<Record<never, never>, { count: number }>('thing.count', knex =>
  knex('thing').count({ count: '*' }),
)

export const later = new Date(Date.UTC(2030, 0, 1))
export const now = new Date(Date.UTC(2026, 0, 1))
const far = seconds(later)

export const newThing = (id: string, label: string | null = null): Write =>
  things.insert({ id, label, expires_at: far, used_at: null })
export const newPart = (id: string, thingId: string, owner: string | null = null): Write =>
  write(insertingPart, { id, thing_id: thingId, owner })
export const take = (id: string): Write => things.take(id, now)
export const deleteThing = (id: string): Write => write(deletingThing, { id })
export const relabel = (id: string, label: string): Write => write(relabelling, { id, label })
export const relabelAll = (from: string, label: string, rows: number | 'any'): Write =>
  write(relabellingAll, { from, label }, rows)
export const allThings = (store: Store): Promise<Thing[]> => store.all(readingThings, {})
export const countThings = async (store: Store): Promise<number> =>
  (await store.one(countingThings, {}))?.count ?? 0

/** A store with the scratch tables. */
export const scratchStore = async (kind: DatabaseKind, options?: { poolSize: number }) => {
  const fresh = await freshStore(kind, options)
  await fromOutside(fresh.database, ...scratchTables(kind))
  return fresh
}

/** How a promise ended: `done`, or what it was rejected with. */
export const ending = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'done',
    error => error,
  )

const root = fileURLToPath(new URL('../..', import.meta.url))

export type Child = {
  /** Everything it has printed. */
  lines: string[]
  /** Its exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals>
  kill: () => void
}

/** Runs another process, with the sources of this repository at hand. */
export const startChild = (script: string, ...args: string[]): Child => {
  const program = script.endsWith('.ts') ? ['--import', 'tsx', script] : ['--input-type=module', '-e', script]
  const child = spawn(process.execPath, [...program, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  let rest = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
  })
  return {
    lines,
    ended: new Promise(resolve => child.once('close', (code, signal) => resolve(code ?? signal ?? 0))),
    kill: () => void child.kill('SIGKILL'),
  }
}

/** Runs statements on an SQLite file in another process; `-- wait 300` among them waits so many milliseconds. */
export const otherSqliteProcess = (path: string, ...statements: string[]): Child =>
  startChild(
    `import Sqlite from 'better-sqlite3'
     const handle = new Sqlite(process.argv[1], { timeout: 20000 })
     console.log('open')
     for (const statement of process.argv.slice(2)) {
       const pause = /^-- wait (\\d+)/.exec(statement)
       if (pause) await new Promise(resolve => setTimeout(resolve, Number(pause[1])))
       else handle.exec(statement)
       console.log(statement)
     }`,
    path,
    ...statements,
  )

/**
 * Measures how long the event loop is held up at most, and how long a thread beside it is: where that one is
 * held up too, it is the machine.
 */
export const loopGap = () => {
  const measuring = `let last = performance.now(), longest = 0
    setInterval(() => { longest = Math.max(longest, performance.now() - last); last = performance.now() }, 2)`
  const beside = new Worker(
    `const { parentPort } = require('node:worker_threads'); ${measuring}
     parentPort.once('message', () => { parentPort.postMessage(longest); process.exit() })`,
    { eval: true },
  )
  let last = performance.now()
  let longest = 0
  const look = (): void => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }
  const timer = setInterval(look, 2)
  return async (): Promise<{ ours: number; beside: number }> => {
    clearInterval(timer)
    look()
    const answer = new Promise<number>(resolve => beside.once('message', resolve))
    beside.postMessage('how long?')
    return { ours: longest, beside: await answer }
  }
}
