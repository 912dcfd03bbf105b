/**
 * Migrations: knex files, one a change, run in order under a lock. All that are pending run in one
 * transaction, which both databases allow for DDL, so a process killed at any statement leaves nothing
 * behind and no lock to clear by hand.
 */
import { readdirSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import knexFactory, { type Knex } from 'knex'
import type { DatabaseUrl } from '../config.ts'
import { StoreUnavailable } from './commit.ts'
import { sqlState } from './sql-state.ts'
import { isBusy, isFailure, openSqliteHandle } from './sqlite-handle.ts'

type Migration = {
  name: string
  up: (knex: Knex) => Promise<void>
  /** A version that does not know it runs on all the same (docs/decisions/0008). */
  additive: boolean
}

const directory = new URL('../../migrations/', import.meta.url)

/** The migrations of this version, in order. */
export const loadMigrations = async (): Promise<Migration[]> => {
  const names = readdirSync(directory)
    .filter(name => /^\d{4}-[a-z-]+\.(ts|js)$/.test(name))
    .sort()
  return Promise.all(
    names.map(async name => {
      const file = (await import(new URL(name, directory).href)) as {
        up: Migration['up']
        additive?: boolean
      }
      return { name: name.replace(/\.(ts|js)$/, ''), up: file.up, additive: file.additive === true }
    }),
  )
}

/** How long a process waits for another that migrates, or for a transaction that is in the way. */
const lockPatience = 120_000

/** Any number that nobody else is likely to lock. */
const advisoryLock = 7_236_548

/** Errors are thrown as well; standard output is for log lines. */
const silent = {
  warn: () => undefined,
  error: () => undefined,
  debug: () => undefined,
  deprecate: () => undefined,
}

const connect = (url: DatabaseUrl): Knex => {
  if (url.kind === 'postgres')
    return knexFactory({ client: 'pg', connection: url.url, pool: { min: 0, max: 1 }, log: silent })
  // Opened once by us first: it makes the directory and the WAL, with errors that say which file.
  openSqliteHandle(url.path).close()
  return knexFactory({
    client: 'better-sqlite3',
    useNullAsDefault: true,
    connection: { filename: url.path },
    pool: { min: 1, max: 1 },
    log: silent,
  })
}

/**
 * Runs `work` in a transaction that holds the lock which lets one process migrate while the others wait.
 * Tried again when the lock, or a table's, was not to be had; nothing of `work` has happened then.
 */
const underLock = async <T>(
  url: DatabaseUrl,
  connection: Knex,
  work: (transaction: Knex) => Promise<T>,
): Promise<T> => {
  const lock = url.kind === 'postgres' ? lockPostgres : lockSqlite
  const until = performance.now() + lockPatience
  if (url.kind === 'sqlite') await prepareSqlite(connection)
  for (;;) {
    try {
      return await connection.transaction(async transaction => {
        await lock(transaction)
        return await work(transaction)
      })
    } catch (error) {
      if (!isLocked(error) || performance.now() > until) throw error
      await wait(100)
    }
  }
}

/**
 * A table that is altered is locked against everybody, and everybody waits behind whoever waits for it (a
 * backup may read for hours): so the wait is short, and tried again.
 */
const lockPostgres = async (transaction: Knex): Promise<void> => {
  await transaction.raw(`set local lock_timeout = ${lockPatience}`)
  await transaction.raw('set local statement_timeout = 0')
  await transaction.raw(`select pg_advisory_xact_lock(${advisoryLock})`)
  await transaction.raw('set local lock_timeout = 3000')
}

/** Foreign keys are looked at in the end: a table that is made anew would delete what refers to it. */
const prepareSqlite = async (connection: Knex): Promise<void> => {
  await connection.raw('PRAGMA busy_timeout = 0')
  await connection.raw('PRAGMA synchronous = FULL')
  await connection.raw('PRAGMA foreign_keys = OFF')
}

/** The first statement is one that writes: a transaction that has read before may not write any more. */
const lockSqlite = async (transaction: Knex): Promise<void> => {
  await transaction.raw('PRAGMA user_version = 0')
}

const isLocked = (error: unknown): boolean => isBusy(error) || /^(55P03|40P01)$/.test(sqlState(error))

/**
 * Text compares by its bytes, as in SQLite, whatever the locale the database was made with: listings come in
 * the same order, and no new version of the system's collation rules makes an index of names wrong.
 */
const compareByBytes = async (transaction: Knex): Promise<void> => {
  const { rows } = (await transaction.raw(`
    select format('alter table %I %s', c.relname,
      string_agg(format('alter column %I type text collate "C"', a.attname), ', ')) as change
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and a.attnum > 0
      and not a.attisdropped and a.atttypid = 'text'::regtype and a.attcollation <> 'pg_catalog."C"'::regcollation
    group by c.relname`)) as { rows: { change: string }[] }
  for (const { change } of rows) await transaction.raw(change)
}

const checkForeignKeys = async (transaction: Knex): Promise<void> => {
  const broken = (await transaction.raw('PRAGMA foreign_key_check')) as { table: string; parent: string }[]
  const [first] = broken
  if (first)
    throw new Error(
      `${broken.length} row(s) of ${first.table} refer to rows of ${first.parent} that are not there`,
    )
}

/** What has run, by name. The column `additive` came later than the table. */
const doneMigrations = async (connection: Knex): Promise<Map<string, { additive?: number }>> => {
  if (!(await connection.schema.hasTable('migration'))) return new Map()
  const rows: { name: string; additive?: number }[] = await connection('migration').select()
  return new Map(rows.map(row => [row.name, row]))
}

const prepareTable = async (transaction: Knex): Promise<void> => {
  if (!(await transaction.schema.hasTable('migration')))
    await transaction.schema.createTable('migration', table => {
      table.text('name').primary()
      table.bigInteger('ran_at').notNullable()
    })
  if (!(await transaction.schema.hasColumn('migration', 'additive')))
    await transaction.schema.alterTable('migration', table => {
      table.integer('additive').notNullable().defaultTo(0)
    })
}

/** What a newer version has taken from the database or put in another form is not ours to run on; what it added is. */
const refuseNewer = (done: Map<string, { additive?: number }>, known: Migration[]): void => {
  for (const [name, { additive }] of done)
    if (additive !== 1 && !known.some(migration => migration.name === name))
      throw new Error(
        `the database was migrated by a newer version of Lintel (${name}); run that version or a newer one`,
      )
}

/**
 * Runs what is pending.
 *
 * @returns the names of the migrations that ran now
 * @throws StoreUnavailable when the database cannot be reached; an error when a newer version changed what is there
 */
export const migrate = async (url: DatabaseUrl): Promise<string[]> => {
  const known = await loadMigrations()
  const connection = connect(url)
  try {
    if ((await pendingOn(connection, known)).length === 0) return []
    return await underLock(url, connection, async transaction => {
      const pending = await pendingOn(transaction, known)
      if (pending.length === 0) return []
      await prepareTable(transaction)
      for (const { name, up, additive } of pending) {
        await up(transaction)
        await transaction('migration').insert({
          name,
          ran_at: Math.floor(Date.now() / 1000),
          additive: additive ? 1 : 0,
        })
      }
      await (url.kind === 'postgres' ? compareByBytes(transaction) : checkForeignKeys(transaction))
      return pending.map(migration => migration.name)
    })
  } catch (cause) {
    throw isUnreachable(cause)
      ? new StoreUnavailable(`cannot migrate: ${(cause as Error).message}`, { cause })
      : cause
  } finally {
    await connection.destroy()
  }
}

const pendingOn = async (connection: Knex, known: Migration[]): Promise<Migration[]> => {
  const done = await doneMigrations(connection)
  refuseNewer(done, known)
  return known.filter(migration => !done.has(migration.name))
}

/** Which migrations ran, those of newer versions among them, and which are pending. */
export const migrationStatus = async (url: DatabaseUrl): Promise<{ name: string; done: boolean }[]> => {
  const known = await loadMigrations()
  const connection = connect(url)
  try {
    const done = await doneMigrations(connection)
    const names = new Set([...known.map(({ name }) => name), ...done.keys()])
    return [...names].map(name => ({ name, done: done.has(name) }))
  } finally {
    await connection.destroy()
  }
}

/** The database's trouble: no connection to be had (no SQLSTATE), or one that is refused or ends. */
const isUnreachable = (error: unknown): boolean => {
  if (isFailure(error) || /^(08|28|3D|53|57P|55P03)/.test(sqlState(error))) return true
  const codes = [error, ...(error instanceof AggregateError ? error.errors : [])].map(one =>
    String(Object(one).code),
  )
  return (
    codes.some(code => /^E[A-Z_]{4,}$/.test(code)) ||
    /timeout acquiring|Connection terminated/i.test(String(error))
  )
}
