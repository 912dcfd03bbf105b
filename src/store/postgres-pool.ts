/** Connections to PostgreSQL: settings that durability and patience rest on, and which of them are still good. */
import pg from 'pg'
import { StoreUnavailable } from './commit.ts'
import { sqlState } from './sql-state.ts'

/** Waiting for a connection, free or new, longer than this is answered 503. */
const acquirePatience = 2_000

/** Above the server's own statement_timeout: only a server that cannot be reached is as slow. */
const answerPatience = 7_000

/**
 * One round trip for every setting. Over a URL's or a role's own, because commits rest on them: read committed,
 * so that a guard sees what another commit has just changed, and an answer only when it is on disk.
 */
const settle = `select
  set_config('synchronous_commit', case current_setting('synchronous_commit')
    when 'remote_apply' then 'remote_apply' else 'on' end, false),
  set_config('default_transaction_isolation', 'read committed', false),
  set_config('statement_timeout', '5s', false),
  set_config('lock_timeout', '2s', false),
  set_config('idle_in_transaction_session_timeout', '10s', false),
  current_setting('transaction_read_only') as read_only`

/** Values as SQLite gives them: integers of any size and sums are numbers, booleans 0 and 1. */
const readInteger = (text: string): number => {
  const number = Number(text)
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) throw new RangeError(`${text} is above 2^53`)
  return number
}
const parsers = new Map<number, (text: string) => unknown>([
  [pg.types.builtins.INT8, readInteger],
  [pg.types.builtins.NUMERIC, readInteger],
  [pg.types.builtins.BOOL, text => (text === 't' ? 1 : 0)],
])
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') =>
    parsers.get(oid) ?? pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

export type Connections = {
  /** Runs one statement on a connection of its own. */
  run: (query: pg.QueryConfig) => Promise<pg.QueryResult>
  close: () => Promise<void>
}

/** Opens a pool; connections are made when they are needed. */
export const openConnections = (url: string, poolSize: number): Connections => {
  /** Counts up when the connections there are can all no longer be trusted. */
  let epoch = 0
  const madeIn = new WeakMap<pg.ClientBase, number>()

  const onConnect = async (client: pg.ClientBase): Promise<void> => {
    // An error of a connection that nobody uses reaches the pool; one in use answers its query. Neither is uncaught.
    client.on('error', () => undefined)
    madeIn.set(client, epoch)
    const settings = await client.query({ text: settle, query_timeout: acquirePatience } as pg.QueryConfig)
    if (settings.rows[0]?.read_only === 'on') throw new Error('the server is read-only (a standby)')
  }

  const pool = new pg.Pool({
    connectionString: url,
    max: poolSize,
    types,
    connectionTimeoutMillis: acquirePatience,
    query_timeout: answerPatience,
    idleTimeoutMillis: 300_000,
    // A few statements that are rarely used are prepared on every connection; this lets the server forget them.
    maxLifetimeSeconds: 3600,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    fallback_application_name: 'lintel',
    onConnect,
  })
  // An idle connection that died is out of the pool already; whoever needs one gets another.
  pool.on('error', () => undefined)

  const acquire = async (): Promise<pg.PoolClient> => {
    for (;;) {
      let client: pg.PoolClient
      try {
        client = await pool.connect()
      } catch (cause) {
        throw new StoreUnavailable('the database cannot be reached', { cause })
      }
      if (madeIn.get(client) === epoch) return client
      client.release(true)
    }
  }

  const runOn = async (client: pg.PoolClient, query: pg.QueryConfig): Promise<pg.QueryResult> => {
    let broken = false
    try {
      return await client.query(query)
    } catch (error) {
      broken = endsConnection(error)
      if (doubtsAll(error) && madeIn.get(client) === epoch) epoch += 1
      throw error
    } finally {
      client.release(broken)
    }
  }

  /** What is on its way ends first: the pool itself would forget who waits for a connection. */
  const running = new Set<Promise<unknown>>()
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    while (running.size > 0) await Promise.allSettled(running)
    await pool.end()
  }
  return {
    run: async query => {
      if (closing) throw new StoreUnavailable('the database is closed', { cause: undefined })
      const run = acquire().then(client => runOn(client, query))
      running.add(run)
      try {
        return await run
      } finally {
        running.delete(run)
      }
    },
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

/** A mistake of ours, found before the statement was sent or after its rows came. */
const isMistake = (error: unknown): boolean => error instanceof TypeError || error instanceof RangeError

/** After these the connection is gone, or says things that cannot be relied on. */
const endsConnection = (error: unknown): boolean =>
  sqlState(error) === '' || /^(08|57P|25006|25P03|58|XX|26000|0A000)/.test(sqlState(error))

/**
 * After these the others are as doubtful: one that was lost is seldom the only one (a restart), the server became
 * a standby (25006), or prepared statements are not what we think (26000: a pooler between us; 0A000: a migration
 * changed what a statement returns).
 */
const doubtsAll = (error: unknown): boolean =>
  sqlState(error) === '' ? !isMistake(error) : /^(08|57P|25006|26000|0A000)/.test(sqlState(error))

/** The statement did not run at all because of how it was prepared: it may be sent again. */
export const isStalePlan = (error: unknown): boolean => /^(26000|0A000)$/.test(sqlState(error))

/** The connection was lost; whether the statement had run is not known. */
export const isLost = (error: unknown): boolean =>
  sqlState(error) === ''
    ? !isMistake(error) &&
      !(error instanceof StoreUnavailable) &&
      !String(error).includes('Query read timeout')
    : /^(08|57P0[123])/.test(sqlState(error))

/** Another transaction was in the way, and this one was undone: it may run again. */
export const isConflict = (error: unknown): boolean => /^(40001|40P01)$/.test(sqlState(error))

/** The database's trouble and not a mistake of ours: 503. P0001 is raised by an operator's trigger, for we have none. */
export const isUnavailable = (error: unknown): boolean =>
  sqlState(error) === ''
    ? !isMistake(error)
    : /^(08|40001|40P01|53|55P03|57|58|25006|25P03|XX|P0001)/.test(sqlState(error))
