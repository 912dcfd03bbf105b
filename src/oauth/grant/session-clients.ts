/** Which clients a session has been used for: they are told when it ends. */
import { cleanOlder } from '../../store/clean-up.ts'
import { type Write, write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { seconds } from '../../store/single-use.ts'
import { statement } from '../../store/statement.ts'

const adding = statement<{ session: string; client: string; now: number }>(
  'session_client.add',
  (knex, { session, client, now }) =>
    knex('session_client')
      .insert({ session_id: session, client_id: client, first_at: now })
      .onConflict()
      .ignore(),
)
const reading = statement<{ session: string }, { clientId: string; firstAt: number }>(
  'session_client.read',
  (knex, { session }) =>
    knex('session_client')
      .select({ clientId: 'client_id', firstAt: 'first_at' })
      .where({ session_id: session })
      .orderBy('first_at'),
)
const ofPerson = statement<{ user: string; client: string }, { sessionId: string; sub: string }>(
  'session_client.of-person',
  (knex, { user, client }) =>
    knex('session_client')
      .join('session', 'session.id', 'session_client.session_id')
      .join('user', 'user.id', 'session.user_id')
      .select({ sessionId: 'session.id', sub: 'user.sub' })
      .where({ 'session.user_id': user, 'session_client.client_id': client })
      .whereNull('session.ended_at')
      .orderBy('session.id'),
)
const dropping = statement<{ user: string; client: string }>(
  'session_client.drop',
  (knex, { user, client }) =>
    knex('session_client')
      .where({ client_id: client })
      .whereIn('session_id', knex('session').select('id').where({ user_id: user }))
      .delete(),
)

export const addSessionClient = (sessionId: string, clientId: string, now: Date): Write =>
  write(adding, { session: sessionId, client: clientId, now: seconds(now) }, 'any')

export const clientsOfSession = (store: Store, sessionId: string) =>
  store.all(reading, { session: sessionId })

/** The sessions of a person, not ended, in which a client was used. */
export const sessionsWithClient = (store: Store, userId: string, clientId: string) =>
  store.all(ofPerson, { user: userId, client: clientId })

/** The write that forgets that a person used a client: the next time counts as the first. */
export const dropSessionClient = (userId: string, clientId: string): Write =>
  write(dropping, { user: userId, client: clientId }, 'any')

/** Deletes what belongs to sessions that began before an instant. */
export const cleanSessionClients = cleanOlder('session_client', 'session_id')
