/** What a user has allowed a client, remembered. The only writer of the table `consent`. */
import { type Write, write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { keyAt, seconds } from '../../store/single-use.ts'
import { statement } from '../../store/statement.ts'

const giving = statement<{ user: string; client: string; scope: string; now: number }>(
  'consent.give',
  (knex, { user, client, scope, now }) =>
    knex('consent')
      .insert({ user_id: user, client_id: client, scope, given_at: now })
      .onConflict(['user_id', 'client_id'])
      .merge({ scope, given_at: now }),
)
/** `given_at` 0: taken back. The row stays, for it says what has ended. */
const withdrawing = statement<{ user: string; client: string; before: string }>(
  'consent.withdraw',
  (knex, { user, client, before }) =>
    knex('consent')
      .insert({ user_id: user, client_id: client, scope: '', ended_before: before, given_at: 0 })
      .onConflict(['user_id', 'client_id'])
      .merge({ scope: '', ended_before: before, given_at: 0 }),
)
const listing = statement<{ user: string }, { clientId: string; scope: string; givenAt: number }>(
  'consent.list',
  (knex, { user }) =>
    knex('consent')
      .select({ clientId: 'client_id', scope: 'scope', givenAt: 'given_at' })
      .where({ user_id: user })
      .andWhere('given_at', '>', 0)
      .orderBy('client_id'),
)

/** The write that remembers what was allowed: what was before, and this. */
export const giveConsent = (
  { userId, clientId, scope }: { userId: string; clientId: string; scope: readonly string[] },
  now: Date,
): Write =>
  write(giving, { user: userId, client: clientId, scope: scope.join(' '), now: seconds(now) }, 'any')

/** The write that forgets it, and ends every authorization of this client for this user. */
export const withdrawConsent = (userId: string, clientId: string, now: Date): Write =>
  write(withdrawing, { user: userId, client: clientId, before: keyAt(now) }, 'any')

/** What a user has allowed, for pages. */
export const consentsOf = (store: Store, userId: string) => store.all(listing, { user: userId })

const forgetting = statement<{ user: string }>('consent.forget', (knex, { user }) =>
  knex('consent').where({ user_id: user }).delete(),
)

/** The write that forgets all that a user has allowed: for one that is deleted. */
export const forgetConsents = (userId: string): Write => write(forgetting, { user: userId }, 'any')
