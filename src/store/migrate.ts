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
import { openSqliteHandle } from './sqlite.ts'

type Migration = { name: string; up: (knex: Knex) => Promise<void> }

const directory = new URL('../../migrations/', import.meta.url)

/** The migrations of this version, in order. */
export const loadMigrations = async (): Promise<Migration[]> => {
  const names = readdirSync(directory)
    .filter(name => /^\d{4}-[a-z-]+\.(ts|js)$/.test(name))
    .sort()
  return Promise.all(
    names.map(async name => {
      const file = (await import(new URL(name, directory).href)) as { up: Migration['up'] }
      return { name: name.replace(/\.(ts|js)$/, ''), up: file.up }
    }),
  )
}

const connect = (url: DatabaseUrl): Knex => {
  if (url.kind === 'postgres')
    return knexFactory({ client: 'pg', connection: url.url, pool: { min: 0, max: 1 } })
  // Opened once by us first: it makes the directory and the WAL, with errors that say which file.
  openSqliteHandle(url.path).close()
  return knexFactory({
    client: 'better-sqlite3',
    useNullAsDefault: true,
    connection: { filename: url.path },
    pool: { min: 1, max: 1 },
  })
}

/** Holds the lock that lets one process migrate while the others wait; ends with the transaction. */
const lock = async (url: DatabaseUrl, connection: Knex): Promise<void> => {
  if (url.kind === 'postgres') {
    await connection.raw('begin')
    await connection.raw("set local lock_timeout = '120s'")
    await connection.raw('select pg_advisory_xact_lock(7236548)')
    return
  }
  await connection.raw('PRAGMA busy_timeout = 0')
  await connection.raw('PRAGMA synchronous = FULL')
  for (let tries = 0; ; tries++) {
    try {
      await connection.raw('BEGIN IMMEDIATE')
      return
    } catch (cause) {
      if (tries > 1200 || !String(cause).includes('locked')) throw cause
      await wait(100)
    }
  }
}

const doneNames = async (connection: Knex): Promise<Set<string>> => {
  if (!(await connection.schema.hasTable('migration'))) return new Set()
  const rows: { name: string }[] = await connection('migration').select('name')
  return new Set(rows.map(row => row.name))
}

/** What a newer version than this one has done to the database is not ours to run on. */
const refuseNewer = (done: Set<string>, known: Migration[]): void => {
  const unknown = [...done].find(name => !known.some(migration => migration.name === name))
  if (unknown !== undefined)
    throw new Error(
      `the database was migrated by a newer version of Lintel (${unknown}); run that version or a newer one`,
    )
}

/**
 * Runs what is pending.
 *
 * @returns the names of the migrations that ran now
 * @throws StoreUnavailable when the database cannot be reached; an error when a newer version migrated it
 */
export const migrate = async (url: DatabaseUrl): Promise<string[]> => {
  const known = await loadMigrations()
  const connection = connect(url)
  try {
    if ((await pendingOn(connection, known)).length === 0) return []
    await lock(url, connection)
    const pending = await pendingOn(connection, known)
    if (pending.length > 0 && !(await connection.schema.hasTable('migration')))
      await connection.schema.createTable('migration', table => {
        table.text('name').primary()
        table.bigInteger('ran_at').notNullable()
      })
    for (const { name, up } of pending) {
      await up(connection)
      await connection('migration').insert({ name, ran_at: Math.floor(Date.now() / 1000) })
    }
    await connection.raw('commit')
    return pending.map(migration => migration.name)
  } catch (cause) {
    throw isUnreachable(cause)
      ? new StoreUnavailable(`cannot migrate: ${(cause as Error).message}`, { cause })
      : cause
  } finally {
    await connection.destroy()
  }
}

const pendingOn = async (connection: Knex, known: Migration[]): Promise<Migration[]> => {
  const done = await doneNames(connection)
  refuseNewer(done, known)
  return known.filter(migration => !done.has(migration.name))
}

/** Which migrations ran and which are pending. */
export const migrationStatus = async (url: DatabaseUrl): Promise<{ name: string; done: boolean }[]> => {
  const known = await loadMigrations()
  const connection = connect(url)
  try {
    const done = await doneNames(connection)
    return known.map(({ name }) => ({ name, done: done.has(name) }))
  } finally {
    await connection.destroy()
  }
}

const isUnreachable = (error: unknown): boolean =>
  error instanceof Error &&
  /ECONNREFUSED|ENOTFOUND|ETIMEDOUT|SQLITE_|timeout acquiring/i.test(
    `${error.message} ${'code' in error ? error.code : ''}`,
  )
