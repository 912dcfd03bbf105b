/**
 * PostgreSQL: statements prepared by name on a pool of connections; a read and a commit are one round trip
 * each. No transaction is open while this process does something else, so nobody waits for another request.
 */
import { setTimeout as wait } from 'node:timers/promises'
import knexFactory from 'knex'
import type { QueryConfig } from 'pg'
import { StoreUnavailable, type Write } from './commit.ts'
import type { Store } from './database.ts'
import { commitWriter, guardFailure } from './postgres-commit.ts'
import { isConflict, isLost, isStalePlan, isUnavailable, openConnections } from './postgres-pool.ts'
import { numberPlaceholders } from './sql-text.ts'
import { type ColumnValue, compiler, type Statement, type Values } from './statement.ts'

/** How often a commit that met another transaction (a deadlock, a serialization failure) runs again. */
const mostRetries = 3

/**
 * Opens PostgreSQL as a store.
 *
 * @throws StoreUnavailable when no connection can be made
 */
export const openPostgres = async (url: string, options: { poolSize: number }): Promise<Store> => {
  const connections = openConnections(url, options.poolSize)
  const knex = knexFactory({ client: 'pg' })
  const compiled = compiler(knex)
  const texts = new Map<object, string>()
  const combine = commitWriter(compiled)

  const textOf = (statement: Statement<never, unknown>): string => {
    const known = texts.get(statement)
    if (known !== undefined) return known
    const text = numberPlaceholders(compiled(statement).pieces)
    texts.set(statement, text)
    return text
  }

  /** A read changes nothing, so it may be sent again when its connection turned out to be dead. */
  const read = async (query: QueryConfig): Promise<unknown[]> => {
    try {
      return (await connections.run(query)).rows
    } catch (error) {
      if (!isLost(error) && !isStalePlan(error)) throw unavailable('read', error)
    }
    try {
      return (await connections.run(query)).rows
    } catch (error) {
      throw unavailable('read', error)
    }
  }

  const readRows = async <V extends Values, R>(statement: Statement<V, R>, values: V): Promise<R[]> =>
    (await read({
      name: statement.name,
      text: textOf(statement),
      values: compiled(statement).bind(values),
    })) as R[]

  const commit = async (writes: readonly Write[]): Promise<void> => {
    const query = combine(writes)
    for (let tries = 0; ; tries++) {
      try {
        await connections.run(query)
        return
      } catch (error) {
        const failure = guardFailure(error, writes, one => textOf(one.statement))
        if (failure) throw failure
        const mayRunAgain = isConflict(error) || isStalePlan(error)
        if (!mayRunAgain || tries === mostRetries) throw unavailable('written', error)
        await wait(Math.random() * 20 * (tries + 1))
      }
    }
  }

  try {
    await connections.run({ text: 'select 1' })
  } catch (error) {
    await connections.close()
    throw unavailable('reached', error)
  }
  return {
    kind: 'postgres',
    one: async (statement, values) => (await readRows(statement, values))[0],
    all: readRows,
    commit: async writes => {
      if (writes.length > 0) await commit(writes)
    },
    search: async <R>(build: Parameters<Store['search']>[0]) => {
      const query = build(knex).toSQL()
      if (!/^(select|first|pluck)$/.test(query.method)) throw new Error('a search only reads')
      const { sql, bindings } = query.toNative()
      return (await read({ text: sql, values: bindings as ColumnValue[] })) as R[]
    },
    close: connections.close,
  }
}

/** What a caller is told: 503 for the database's trouble, the error itself for a mistake of ours. */
const unavailable = (what: string, error: unknown): unknown =>
  error instanceof StoreUnavailable || !isUnavailable(error)
    ? error
    : new StoreUnavailable(`the database cannot be ${what}`, { cause: error })
