/** The database: what the rest of Lintel sees of it, whichever it is. */
import type { Knex } from 'knex'
import type { DatabaseUrl } from '../config.ts'
import type { Write } from './commit.ts'
import { openSqlite } from './sqlite.ts'
import type { Statement, Values } from './statement.ts'

export type Store = {
  kind: DatabaseUrl['kind']
  /** The first row, or undefined. */
  one: <V extends Values, R>(statement: Statement<V, R>, values: V) => Promise<R | undefined>
  all: <V extends Values, R>(statement: Statement<V, R>, values: V) => Promise<R[]>
  /**
   * All writes or none, durable when it resolves.
   *
   * @throws GuardFailed naming the write that did not find its rows; StoreUnavailable
   */
  commit: (writes: readonly Write[]) => Promise<void>
  /** A read of no fixed shape (admin searches), compiled when asked. */
  search: <R>(build: (knex: Knex) => Knex.QueryBuilder) => Promise<R[]>
  close: () => Promise<void>
}

/**
 * Opens the database. The schema must be there (migrate.ts).
 *
 * @throws StoreUnavailable when it cannot be reached or opened
 */
export const openDatabase = async (url: DatabaseUrl, options: { poolSize: number }): Promise<Store> => {
  if (url.kind === 'sqlite') return openSqlite(url.path)
  // Loaded when it is needed: the driver is 15 MB of memory that the embedded default does without.
  const { openPostgres } = await import('./postgres.ts')
  return openPostgres(url.url, options)
}
