/** The secrets of clients: several, with expiry and last use. The only writer of the table `client_secret`. */
import { changed } from '../../store/change.ts'
import { type Write, write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { handSecret, hashSecret } from '../../store/secret.ts'
import { seconds } from '../../store/single-use.ts'
import { insertion, statement } from '../../store/statement.ts'
import { newTextKey } from '../../store/text-key.ts'

export type ClientSecret = {
  id: string
  hash: string
  createdAt: number
  expiresAt: number | null
  lastUsedAt: number | null
}

const readingSecrets = statement<{ id: string }, ClientSecret>('client_secret.read', (knex, { id }) =>
  knex('client_secret')
    .select({
      id: 'id',
      hash: 'hash',
      createdAt: 'created_at',
      expiresAt: 'expires_at',
      lastUsedAt: 'last_used_at',
    })
    .where({ client_id: id })
    .orderBy('id'),
)

/** The secrets of a client, oldest first. */
export const secretsOf = (store: Store, clientId: string): Promise<ClientSecret[]> =>
  store.all(readingSecrets, { id: clientId })

/** The secrets that have not ended. */
export const liveSecrets = (secrets: readonly ClientSecret[], now: Date): ClientSecret[] =>
  secrets.filter(({ expiresAt }) => expiresAt === null || expiresAt > seconds(now))

const insertingSecret = insertion<{
  id: string
  client_id: string
  hash: string
  created_at: number
  expires_at: number | null
}>('client_secret', ['id', 'client_id', 'hash', 'created_at', 'expires_at'])

/**
 * A secret of a client.
 *
 * @param brought a secret that the operator brings along; one is made where it is undefined
 */
export const newClientSecret = (
  clientId: string,
  now: Date,
  brought?: string,
): { secret: string; write: Write } => {
  const id = newTextKey(now)
  const secret = brought ?? handSecret('clientSecret', id).text
  const row = {
    id,
    client_id: clientId,
    hash: hashSecret(secret),
    created_at: seconds(now),
    expires_at: null,
  }
  return { secret, write: write(insertingSecret, row) }
}

const deletingSecrets = statement<{ id: string }>('client_secret.delete', (knex, { id }) =>
  knex('client_secret').where({ client_id: id }).delete(),
)
const expiringSecrets = statement<{ client: string; at: number }>(
  'client_secret.expire',
  (knex, { client, at }) =>
    knex('client_secret')
      .where({ client_id: client })
      .andWhere(live => live.whereNull('expires_at').orWhere('expires_at', '>', at))
      .update({ expires_at: at }),
)
const markingUsed = statement<{ id: string; now: number }>('client_secret.used', (knex, { id, now }) =>
  knex('client_secret').where({ id }).update({ last_used_at: now }),
)

/** The writes that add a secret and let the older ones end after `oldEndsIn` seconds. */
export const rotateClientSecret = (
  id: string,
  now: Date,
  oldEndsIn: number,
): { secret: string; writes: Write[] } => {
  const made = newClientSecret(id, now)
  return {
    secret: made.secret,
    writes: [
      write(expiringSecrets, { client: id, at: seconds(now) + oldEndsIn }, 'any'),
      made.write,
      changed('client'),
    ],
  }
}

/** The write that deletes all of a client. */
export const deleteSecrets = (clientId: string): Write => write(deletingSecrets, { id: clientId }, 'any')

/** When a secret was last used, written at most once an hour. */
export const markSecretUsed = (secret: ClientSecret, now: Date): Write[] =>
  secret.lastUsedAt !== null && seconds(now) - secret.lastUsedAt < 3600
    ? []
    : [write(markingUsed, { id: secret.id, now: seconds(now) }, 'any')]
