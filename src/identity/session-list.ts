/** The living sessions, as lists show them: to those who run the server. */
import type { Knex } from 'knex'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { readAmr, type Session, sessionColumns } from './session.ts'

/** Of a read of `session`, those that have not ended: as `isAlive` says it, the user aside. */
const whereAlive = (query: Knex.QueryBuilder, now: Date): Knex.QueryBuilder =>
  query
    .whereNull('ended_at')
    .andWhere('expires_at', '>', seconds(now))
    .andWhereRaw('seen_at + idle_ttl > ?', [seconds(now)])

type Wanted = { userId?: string | undefined; after?: string; before?: string | undefined; limit?: number }

/** In order of their id, after a cursor; with `before`, the newest first, before that id (or `''`). Of one user where that is said. */
export const listSessions = async (
  store: Store,
  now: Date,
  { userId, after = '', before, limit = 100 }: Wanted = {},
): Promise<Session[]> => {
  const rows = await store.search<Omit<Session, 'amr'> & { amr: string }>(knex => {
    const query = knex('session')
      .join('user', 'user.id', 'session.user_id')
      .select(sessionColumns)
      .where('session.id', '>', after)
      .modify(whereAlive, now)
      .whereNull('user.disabled_at')
      .orderBy('session.id', before === undefined ? 'asc' : 'desc')
      .limit(limit)
    if (before) query.where('session.id', '<', before)
    return userId === undefined ? query : query.andWhere({ user_id: userId })
  })
  return rows.map(row => ({ ...row, amr: readAmr(row.amr) }))
}

/** The read of the living sessions, for counting them. */
export const livingSessions = (knex: Knex, now: Date): Knex.QueryBuilder =>
  knex('session').select('id').modify(whereAlive, now)
