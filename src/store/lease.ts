/** Who runs the jobs: a named lease that one process holds at a time. */
import { GuardFailed, write } from './commit.ts'
import type { Store } from './database.ts'
import { seconds } from './single-use.ts'
import { statement } from './statement.ts'

const making = statement<{ name: string }>('lease.make', (knex, { name }) =>
  knex('lease').insert({ name, holder: '', expires_at: 0 }).onConflict('name').ignore(),
)
const taking = statement<{ name: string; holder: string; now: number; until: number }>(
  'lease.take',
  (knex, { name, holder, now, until }) =>
    knex('lease')
      .where({ name })
      .andWhere(free => free.where({ holder }).orWhere('expires_at', '<=', now))
      .update({ holder, expires_at: until }),
)
const giving = statement<{ name: string; holder: string }>('lease.give', (knex, { name, holder }) =>
  knex('lease').where({ name, holder }).update({ expires_at: 0 }),
)

/**
 * Takes or prolongs a lease.
 *
 * @param holder names this process
 * @param ttl seconds after which another may take it, should this process die
 * @returns whether this process holds it now
 */
export const takeLease = async (
  store: Store,
  name: string,
  holder: string,
  now: Date,
  ttl: number,
): Promise<boolean> => {
  const take = write(taking, { name, holder, now: seconds(now), until: seconds(now) + ttl })
  try {
    await store.commit([take])
    return true
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
  }
  // Nobody has ever held it, or another does now.
  try {
    await store.commit([write(making, { name })])
    await store.commit([take])
    return true
  } catch (error) {
    if (error instanceof GuardFailed) return false
    throw error
  }
}

/** Lets another process take the lease at once. */
export const giveLease = (store: Store, name: string, holder: string): Promise<void> =>
  store.commit([write(giving, { name, holder }, 'any')])
