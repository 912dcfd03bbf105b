/** A fresh, migrated database for each test, copied from a template that global-setup.ts made. */
import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { inject } from 'vitest'
import { getCurrentTest } from 'vitest/suite'
import type { DatabaseUrl } from '../../src/config.ts'
import { openDatabase, type Store } from '../../src/store/database.ts'

export type DatabaseKind = DatabaseUrl['kind']

/** Both databases, for `describe.each`. */
export const databaseKinds: readonly DatabaseKind[] = ['sqlite', 'postgres']

/** The database of tests that run on one: SQLite, or what LINTEL_TEST_DATABASE says. */
export const databaseKind = (): DatabaseKind =>
  process.env['LINTEL_TEST_DATABASE'] === 'postgres' ? 'postgres' : 'sqlite'

/** The master key that the signing keys of the templates are encrypted under, as LINTEL_MASTER_KEY takes it. */
export const testMasterKey = 'bGludGVsIHRlc3QgbWFzdGVyIGtleSwgMzIgYnl0ZXM='

declare module 'vitest' {
  interface TaskMeta {
    /** How large a long test was: `100 kills`. */
    sizes?: string[]
  }
}

/** How much of the large sizes a long run takes, where there is less time; all of it by default. */
const share = Number(process.env['LINTEL_TEST_SHARE'] ?? 1)

/**
 * Sizes of stress tests: small in every run, large with LINTEL_TEST_LONG.
 *
 * @param what it counts, for the record of the long run; what counts something may be done in part
 */
export const sized = (small: number, large: number, what?: string): number => {
  const inPart = what === undefined ? large : Math.max(small, Math.round(large * share))
  const size = process.env['LINTEL_TEST_LONG'] ? inPart : small
  const test = getCurrentTest()
  if (test && what !== undefined) test.meta.sizes = [...(test.meta.sizes ?? []), `${size} ${what}`]
  return size
}

/** Where the templates are: what global-setup.ts provides. */
export type DatabaseCoordinates = {
  /** A migrated SQLite file that nobody has open. */
  sqliteTemplate: string
  /** The URL of the server's own database, as its superuser. */
  postgresAdmin: string
  /** The migrated database that others are copied from. */
  postgresTemplate: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    databases: DatabaseCoordinates
  }
}

export type FreshDatabase = {
  kind: DatabaseKind
  /** As LINTEL_DATABASE_URL takes it. */
  url: string
  /** As openDatabase and migrate take it. */
  parsed: DatabaseUrl
  remove: () => Promise<void>
}

/** A migrated database of its own, with signing keys; `empty` leaves out both. */
export const freshDatabase = async (
  kind: DatabaseKind,
  content: 'migrated' | 'empty' = 'migrated',
): Promise<FreshDatabase> => (kind === 'sqlite' ? freshSqlite(content) : freshPostgres(content))

const freshSqlite = (content: 'migrated' | 'empty'): FreshDatabase => {
  const directory = mkdtempSync(join(tmpdir(), 'lintel-test-'))
  const path = join(directory, 'lintel.db')
  if (content === 'migrated') copyFileSync(inject('databases').sqliteTemplate, path)
  return {
    kind: 'sqlite',
    url: `sqlite:${path}`,
    parsed: { kind: 'sqlite', path },
    remove: async () => rmSync(directory, { recursive: true, force: true }),
  }
}

const freshPostgres = async (content: 'migrated' | 'empty'): Promise<FreshDatabase> => {
  const { postgresAdmin, postgresTemplate } = inject('databases')
  const name = `test_${randomBytes(6).toString('hex')}`
  await asAdmin(
    postgresAdmin,
    `create database ${name} template ${content === 'migrated' ? postgresTemplate : 'template0'}`,
  )
  const url = new URL(postgresAdmin)
  url.pathname = `/${name}`
  return {
    kind: 'postgres',
    url: url.href,
    parsed: { kind: 'postgres', url: url.href },
    remove: () => asAdmin(postgresAdmin, `drop database if exists ${name} with (force)`),
  }
}

/** Runs statements at the server's own database. */
export const asAdmin = async (url: string, ...statements: string[]): Promise<void> => {
  const client = new pg.Client({ connectionString: url })
  // The server may be stopped while it says goodbye.
  client.on('error', () => undefined)
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

/** Runs statements on a database from outside, over a connection of their own. */
export const fromOutside = async ({ parsed }: FreshDatabase, ...statements: string[]): Promise<void> => {
  if (parsed.kind === 'postgres') return asAdmin(parsed.url, ...statements)
  const handle = new Sqlite(parsed.path)
  try {
    for (const statement of statements) handle.exec(statement)
  } finally {
    handle.close()
  }
}

/** A store on a fresh database; `remove` closes it too. */
export const freshStore = async (
  kind: DatabaseKind,
  options: { poolSize: number } = { poolSize: 10 },
): Promise<{ store: Store; database: FreshDatabase; remove: () => Promise<void> }> => {
  const database = await freshDatabase(kind)
  const store = await openDatabase(database.parsed, options)
  return {
    store,
    database,
    remove: async () => {
      await store.close()
      await database.remove()
    },
  }
}
