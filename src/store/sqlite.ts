/**
 * SQLite: one handle a process, WAL, `synchronous=FULL`. Commits that arrive in the same turn of the event
 * loop share one transaction, a savepoint each, and so one sync of the disk.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import knexFactory from 'knex'
import { GuardFailed, StoreUnavailable, type Write } from './commit.ts'
import type { Store } from './database.ts'
import { type ColumnValue, type Compiled, compiler, type Statement, type Values } from './statement.ts'

/** How long a commit waits for another process's write lock before it is answered 503. */
const lockPatience = 10_000

/** Opens (and makes, with its directory) the file, with the settings that durability rests on. */
export const openSqliteHandle = (path: string): Sqlite.Database => {
  try {
    if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const handle = new Sqlite(path, { timeout: 0 })
    handle.pragma('busy_timeout = 50')
    handle.pragma('journal_mode = WAL')
    handle.pragma('synchronous = FULL')
    handle.pragma('foreign_keys = ON')
    handle.pragma('busy_timeout = 0')
    return handle
  } catch (cause) {
    throw new StoreUnavailable(`cannot open ${path}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    })
  }
}

type Prepared = { run: Sqlite.Statement; bind: Compiled['bind'] }
type Waiting = { writes: readonly Write[]; resolve: () => void; reject: (reason: unknown) => void }

/** Opens SQLite as a store. */
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

  const prepare = (statement: Statement<never, unknown>): Prepared => {
    let found = prepared.get(statement)
    if (!found) {
      const { pieces, bind } = compiled(statement)
      found = { run: handle.prepare(pieces.join('?')), bind }
      prepared.set(statement, found)
    }
    return found
  }

  const read = <R>(statement: Statement<never, R>, values: Values, how: 'get' | 'all'): unknown => {
    const { run, bind } = prepare(statement)
    try {
      return run[how](...bind(values))
    } catch (cause) {
      throw isFailure(cause) ? new StoreUnavailable('the database cannot be read', { cause }) : cause
    }
  }

  const runWrites = (writes: readonly Write[]): void => {
    for (const one of writes) {
      const { run, bind } = prepare(one.statement)
      let changes: number
      try {
        changes = run.run(...bind(one.values)).changes
      } catch (cause) {
        throw isConstraint(cause) ? new GuardFailed(one, { cause }) : cause
      }
      if (one.rows !== 'any' && changes !== one.rows) throw new GuardFailed(one)
    }
  }

  /** One transaction for all; after it every member knows how it ended. */
  const runGroup = (group: Waiting[]): void => {
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

  const flush = async (): Promise<void> => {
    const patientUntil = performance.now() + lockPatience
    for (let pause = 1; waiting.length > 0; ) {
      const group = waiting
      waiting = []
      try {
        runGroup(group)
        pause = 1
      } catch (cause) {
        if (isBusy(cause) && performance.now() < patientUntil) {
          waiting = [...group, ...waiting]
          pause = Math.min(pause * 2, 50)
          await wait(pause)
          continue
        }
        for (const { reject } of group)
          reject(new StoreUnavailable('the database cannot be written', { cause }))
      }
    }
  }

  const schedule = (): void => {
    flushing ??= new Promise<void>(resolve => setImmediate(resolve)).then(flush).finally(() => {
      flushing = undefined
      if (waiting.length > 0) schedule()
    })
  }

  return {
    kind: 'sqlite',
    one: async <V extends Values, R>(statement: Statement<V, R>, values: V) =>
      read(statement, values, 'get') as R | undefined,
    all: async <V extends Values, R>(statement: Statement<V, R>, values: V) =>
      read(statement, values, 'all') as R[],
    commit: writes =>
      new Promise((resolve, reject) => {
        waiting.push({ writes, resolve, reject })
        schedule()
      }),
    search: async <R>(build: Parameters<Store['search']>[0]) => {
      const { sql, bindings } = build(knex).toSQL().toNative()
      const run = handle.prepare(sql)
      if (!run.readonly) throw new Error('a search only reads')
      return run.all(...(bindings as ColumnValue[])) as R[]
    },
    close: async () => {
      while (flushing) await flushing
      handle.close()
    },
  }
}

const sqliteCode = (error: unknown): string => (error instanceof Sqlite.SqliteError ? error.code : '')
const isBusy = (error: unknown): boolean => /^SQLITE_(BUSY|LOCKED)/.test(sqliteCode(error))
const isConstraint = (error: unknown): boolean =>
  /^SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY|FOREIGNKEY)/.test(sqliteCode(error))
const isFailure = (error: unknown): boolean =>
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|NOMEM|PROTOCOL)/.test(sqliteCode(error))
