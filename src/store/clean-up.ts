/** Cleaning tables of what is over, in batches small enough to hold nobody up. */
import type { Knex } from 'knex'
import { write } from './commit.ts'
import type { Store } from './database.ts'
import { keyAt, seconds } from './single-use.ts'
import { type ColumnValue, statement } from './statement.ts'

/** How many rows one commit deletes at most: a thousand a second, which is faster than any table grows. */
const batch = 1000

/**
 * Deletes what was over before an instant, at most `limit` rows.
 *
 * @returns whether there is more
 */
export type CleanUp = (store: Store, before: Date, limit?: number) => Promise<boolean>

/**
 * How a table is cleaned.
 *
 * @param over finds the rows among all; by an index, for it is asked every few seconds
 * @param at an instant as the column that `over` compares holds it
 */
export const cleanUp = (
  table: string,
  key: string,
  over: (rows: Knex.QueryBuilder, before: ColumnValue) => Knex.QueryBuilder,
  at: (before: Date) => string | number,
): CleanUp => {
  const keys = (knex: Knex, before: ColumnValue) => over(knex(table).select(`${table}.${key}`), before)
  const deleting = statement<{ before: string | number; limit: number }>(
    `${table}.clean`,
    (knex, { before, limit }) => knex(table).whereIn(key, keys(knex, before).limit(limit)).delete(),
  )
  const finding = statement<{ before: string | number }, { [column: string]: string | number }>(
    `${table}.left-to-clean`,
    (knex, { before }) => keys(knex, before).limit(1),
  )
  return async (store, instant, limit = batch) => {
    const before = at(instant)
    await store.commit([write(deleting, { before, limit }, 'any')])
    return (await store.one(finding, { before })) !== undefined
  }
}

/** Deletes the oldest rows of a table with time-ordered keys. */
export const cleanOlder = (table: string, key = 'id'): CleanUp =>
  cleanUp(table, key, (rows, before) => rows.where(key, '<', before).orderBy(key), keyAt)

/** Deletes what expired, of a table that has an index for it. */
export const cleanExpired = (table: string, key: string): CleanUp =>
  cleanUp(table, key, (rows, before) => rows.where('expires_at', '<', before), seconds)
