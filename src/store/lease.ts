/** Who runs the jobs: a named lease that one process holds at a time. */
import { GuardFailed, write } from './commit.ts'
import type { Store } from './database.ts'
import { seconds } from './single-use.ts'
import { statement } from './statement.ts'

const making = statement<{ name: string }>('lease.make', (knex, { name }) =>
  knex('lease').insert({ name, holder: '', expires_at: 0 }).onConflict('name').ignore(),
)
const taking = statement<{ name: string; holder: string; now: number; until: number; farthest: number }>(
  'lease.take',
  (knex, { name, holder, now, until, farthest }) =>
    knex('lease')
      .where({ name })
      .andWhere(free =>
        free.where({ holder }).orWhere('expires_at', '<=', now).orWhere('expires_at', '>', farthest),
      )
      .update({ holder, expires_at: until }),
)
const giving = statement<{ name: string; holder: string }>('lease.give', (knex, { name, holder }) =>
  knex('lease').where({ name, holder }).update({ expires_at: 0 }),
)

/**
 * Takes or prolongs a lease. One that ends later than clocks a `ttl` apart could have set it is of a time before the
 * clock was set back, and free: its holder may be dead, and nobody waits for the clock to come there again.
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
  const at = seconds(now)
  const take = write(taking, { name, holder, now: at, until: at + ttl, farthest: at + 2 * ttl })
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
