/**
 * SQLite: one handle a process, WAL, `synchronous=FULL`. Commits that arrive in the same turn of the event
 * loop share one transaction, a savepoint each, and so one sync of the disk.
 */
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import type Sqlite from 'better-sqlite3'
import knexFactory from 'knex'
import { GuardFailed, StoreUnavailable, type Write } from './commit.ts'
import type { Store } from './database.ts'
import { isBusy, isConstraint, isFailure, isRaised, openSqliteHandle } from './sqlite-handle.ts'
import { type ColumnValue, type Compiled, compiler, type Statement, type Values } from './statement.ts'

/** How long a read or commit waits for another process's lock before it is answered 503. */
const lockPatience = 10_000

/** Between two tries for a lock: short at first, and never so long that a lock given up goes unseen. */
const longestPause = 25

/** So many commits share a transaction at most: the event loop is not held up by a crowd. */
const largestGroup = 100

type Prepared = { run: Sqlite.Statement; bind: Compiled['bind']; row: (values: ColumnValue[]) => unknown }
type Waiting = {
  writes: readonly Write[]
  until: number
  resolve: () => void
  reject: (reason: unknown) => void
}

/**
 * Has rows come as lists of values and makes objects of them: copies of one that has the columns already, which are
 * half as dear to make as the driver's, and less dear to read.
 */
const rowMaker = (run: Sqlite.Statement): Prepared['row'] => {
  const names = run
    .raw()
    .columns()
    .map(({ name }) => name)
  const empty: Record<string, ColumnValue> = Object.fromEntries(names.map(name => [name, null]))
  return values => {
    const row = { ...empty }
    for (let index = 0; index < names.length; index++) row[names[index] ?? ''] = values[index] ?? null
    return row
  }
}

const noRow: Prepared['row'] = () => undefined

/**
 * Opens SQLite as a store.
 *
 * @throws StoreUnavailable when the file cannot be opened
 */
export const openSqlite = (path: string): Store => {
  const handle = openSqliteHandle(path)
  const knex = knexFactory({ client: 'better-sqlite3', useNullAsDefault: true })
  const compiled = compiler(knex)
  const prepared = new Map<object, Prepared>()
  const begin = handle.prepare('BEGIN IMMEDIATE')
  const end = handle.prepare('COMMIT')
  const rollback = handle.prepare('ROLLBACK')
  const save = handle.prepare('SAVEPOINT one')
  const release = handle.prepare('RELEASE one')
  const undo = handle.prepare('ROLLBACK TO one')
  let waiting: Waiting[] = []
  let flushing: Promise<void> | undefined
  let closed = false

  const prepare = (statement: Statement<never, unknown>): Prepared => {
    const known = prepared.get(statement)
    if (known) return known
    const { pieces, bind } = compiled(statement)
    const run = handle.prepare(pieces.join('?'))
    const made = { run, bind, row: run.reader ? rowMaker(run) : noRow }
    prepared.set(statement, made)
    return made
  }

  const refuseClosed = (): void => {
    if (closed) throw new StoreUnavailable('the database is closed', { cause: undefined })
  }

  /** A read waits only while another process recovers the file or holds all of it, as some backups do. */
  const read = async <T>(run: () => T): Promise<T> => {
    const until = performance.now() + lockPatience
    for (let pause = 1; ; pause = Math.min(pause * 2, longestPause)) {
      refuseClosed()
      try {
        return run()
      } catch (cause) {
        if (!isFailure(cause)) throw cause
        if (!isBusy(cause) || performance.now() > until)
          throw new StoreUnavailable('the database cannot be read', { cause })
      }
      await wait(pause)
    }
  }

  const runWrites = (writes: readonly Write[]): void => {
    for (const one of writes) {
      const { run, bind } = prepare(one.statement)
      const values = bind(one.values)
      let changes: number
      try {
        changes = run.run(...values).changes
      } catch (cause) {
        if (isConstraint(cause)) throw new GuardFailed(one, { cause })
        throw isRaised(cause) ? new StoreUnavailable('the database refuses to change', { cause }) : cause
      }
      if (one.rows !== 'any' && changes !== one.rows) throw new GuardFailed(one)
    }
  }

  /** One transaction for all; after it every member knows how it ended. */
  const runGroup = (group: readonly Waiting[]): void => {
    const ends: (() => void)[] = []
    begin.run()
    try {
      for (const { writes, resolve, reject } of group) {
        save.run()
        try {
          runWrites(writes)
          release.run()
          ends.push(resolve)
        } catch (reason) {
          // A full disk or an I/O error ends the whole transaction, whatever the savepoint says.
          if (!handle.inTransaction || isFailure(reason)) throw reason
          undo.run()
          release.run()
          ends.push(() => reject(reason))
        }
      }
      end.run()
    } catch (reason) {
      if (handle.inTransaction) rollback.run()
      throw reason
    }
    for (const finish of ends) finish()
  }

  /** Those whose patience is over are told; the others wait on. */
  const waitOn = (group: readonly Waiting[], cause: unknown): void => {
    const now = performance.now()
    for (const one of group)
      if (now > one.until)
        one.reject(new StoreUnavailable('the database is locked by another process', { cause }))
    waiting = [...group.filter(one => now <= one.until), ...waiting]
  }

  const flush = async (): Promise<void> => {
    let pause = 1
    while (waiting.length > 0) {
      const group = waiting.splice(0, largestGroup)
      try {
        runGroup(group)
        pause = 1
        if (waiting.length > 0) await nextTurn()
      } catch (cause) {
        if (isBusy(cause)) {
          waitOn(group, cause)
          await wait(pause)
          pause = Math.min(pause * 2, longestPause)
        } else
          for (const { reject } of group)
            reject(new StoreUnavailable('the database cannot be written', { cause }))
      }
    }
  }

  const schedule = (): void => {
    flushing ??= nextTurn()
      .then(flush)
      .finally(() => {
        flushing = undefined
        if (waiting.length > 0) schedule()
      })
  }

  return {
    kind: 'sqlite',
    one: <V extends Values, R>(statement: Statement<V, R>, values: V) =>
      read(() => {
        const { run, bind, row } = prepare(statement)
        const found = run.get(...bind(values)) as ColumnValue[] | undefined
        return found && (row(found) as R)
      }),
    all: <V extends Values, R>(statement: Statement<V, R>, values: V) =>
      read(() => {
        const { run, bind, row } = prepare(statement)
        return (run.all(...bind(values)) as ColumnValue[][]).map(row) as R[]
      }),
    commit: writes =>
      new Promise((resolve, reject) => {
        refuseClosed()
        if (writes.length === 0) return resolve()
        waiting.push({ writes, until: performance.now() + lockPatience, resolve, reject })
        schedule()
      }),
    search: <R>(build: Parameters<Store['search']>[0]) =>
      read(() => {
        const { sql, bindings } = build(knex).toSQL().toNative()
        const run = handle.prepare(sql)
        if (!run.readonly) throw new Error('a search only reads')
        return run.all(...(bindings as ColumnValue[])) as R[]
      }),
    close: async () => {
      closed = true
      while (flushing) await flushing
      handle.close()
    },
  }
}
