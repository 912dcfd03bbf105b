/** Clients that registered themselves (RFC 7591): the token they are managed with, and whether they are used. */
import { changed } from '../../store/change.ts'
import { type Write, write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { handSecret } from '../../store/secret.ts'
import { seconds } from '../../store/single-use.ts'
import { insertion, statement } from '../../store/statement.ts'

/** What the client is asked for when it manages itself (RFC 7592). */
export type Registration = { tokenHash: string; softwareStatement: string | null }

const inserting = insertion<{
  client_id: string
  token_hash: string
  software_statement: string | null
  created_at: number
}>('registration', ['client_id', 'token_hash', 'software_statement', 'created_at'])
const reading = statement<{ id: string }, Registration>('registration.read', (knex, { id }) =>
  knex('registration')
    .select({ tokenHash: 'token_hash', softwareStatement: 'software_statement' })
    .where({ client_id: id }),
)
const renewing = statement<{ id: string; hash: string }>('registration.renew', (knex, { id, hash }) =>
  knex('registration').where({ client_id: id }).update({ token_hash: hash }),
)
const restating = statement<{ id: string; text: string | null }>(
  'registration.restate',
  (knex, { id, text }) => knex('registration').where({ client_id: id }).update({ software_statement: text }),
)
const marking = statement<{ id: string; now: number }>('registration.mark-used', (knex, { id, now }) =>
  knex('registration').where({ client_id: id }).whereNull('used_at').update({ used_at: now }),
)
const deleting = statement<{ id: string }>('registration.delete', (knex, { id }) =>
  knex('registration').where({ client_id: id }).delete(),
)
const deletingUnused = statement<{ id: string }>('registration.delete-unused', (knex, { id }) =>
  knex('registration').where({ client_id: id }).whereNull('used_at').delete(),
)
const counting = statement<Record<never, never>, { count: number }>('registration.count-unused', knex =>
  knex('registration').whereNull('used_at').count({ count: '*' }),
)
const listing = statement<{ before: number; limit: number }, { clientId: string }>(
  'registration.old-unused',
  (knex, { before, limit }) =>
    knex('registration')
      .select({ clientId: 'client_id' })
      .whereNull('used_at')
      .andWhere('created_at', '<', before)
      .orderBy('created_at')
      .limit(limit),
)

/** A registration access token, and the write that registers the client with it. */
export const newRegistration = (
  clientId: string,
  softwareStatement: string | undefined,
  now: Date,
): { token: string; write: Write } => {
  const { text, hash } = handSecret('registrationToken', clientId)
  return {
    token: text,
    write: write(inserting, {
      client_id: clientId,
      token_hash: hash,
      software_statement: softwareStatement ?? null,
      created_at: seconds(now),
    }),
  }
}

export const findRegistration = (store: Store, clientId: string): Promise<Registration | undefined> =>
  store.one(reading, { id: clientId })

/** Another token in place of the one there is; refused when the client did not register itself. */
export const renewRegistrationToken = (clientId: string): { token: string; write: Write } => {
  const { text, hash } = handSecret('registrationToken', clientId)
  return { token: text, write: write(renewing, { id: clientId, hash }) }
}

/** The write that keeps another software statement. */
export const keepSoftwareStatement = (clientId: string, text: string | undefined): Write =>
  write(restating, { id: clientId, text: text ?? null })

/** The writes that tell that somebody uses a client that registered itself: it is no longer cleaned up. */
export const markRegistrationUsed = (
  { id, registration }: { id: string; registration: { usedAt: number | null } | undefined },
  now: Date,
): Write[] =>
  registration?.usedAt === null ? [write(marking, { id, now: seconds(now) }, 'any'), changed('client')] : []

/** The write that forgets a registration, for a client that is deleted. */
export const deleteRegistration = (clientId: string): Write => write(deleting, { id: clientId }, 'any')

/** The same as a guard: refused when somebody used the client meanwhile. */
export const deleteUnusedRegistration = (clientId: string): Write => write(deletingUnused, { id: clientId })

/** How many wait for their first use. */
export const countUnusedRegistrations = async (store: Store): Promise<number> =>
  (await store.one(counting, {}))?.count ?? 0

/** Clients that were registered before `before` and never used. */
export const oldUnusedRegistrations = async (store: Store, before: Date, limit: number): Promise<string[]> =>
  (await store.all(listing, { before: seconds(before), limit })).map(row => row.clientId)
