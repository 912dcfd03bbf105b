/** Initial access tokens: whoever has one may register one client (RFC 7591 section 3). */
import { cleanExpired } from '../../store/clean-up.ts'
import type { Write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { equalInConstantTime, handSecret, readSecret } from '../../store/secret.ts'
import { seconds, singleUse } from '../../store/single-use.ts'
import { statement } from '../../store/statement.ts'
import { newTextKey } from '../../store/text-key.ts'

type Row = { id: string; secret_hash: string; expires_at: number }

const tokens = singleUse<Row>('initial_access_token', ['id', 'secret_hash', 'expires_at'])
const reading = statement<{ id: string; now: number }, { secretHash: string }>(
  'initial_access_token.read',
  (knex, { id, now }) =>
    knex('initial_access_token')
      .select({ secretHash: 'secret_hash' })
      .where({ id })
      .whereNull('used_at')
      .andWhere('expires_at', '>', now),
)
/** A token, and the write that stores its hash. `ttl` in seconds. */
export const newInitialAccessToken = (
  ttl: number,
  now: Date,
): { token: string; expiresAt: number; write: Write } => {
  const id = newTextKey(now)
  const { text, hash } = handSecret('initialAccessToken', id)
  const expiresAt = seconds(now) + ttl
  return { token: text, expiresAt, write: tokens.insert({ id, secret_hash: hash, expires_at: expiresAt }) }
}

/** Looks a presented token up: the write, and guard, that uses it; undefined when it is wrong, used or too old. */
export const findInitialAccessToken = async (
  store: Store,
  token: string,
  now: Date,
): Promise<{ id: string; take: Write } | undefined> => {
  const presented = readSecret('initialAccessToken', token)
  if (!presented) return undefined
  const row = await store.one(reading, { id: presented.id, now: seconds(now) })
  if (!row || !equalInConstantTime(row.secretHash, presented.hash)) return undefined
  return { id: presented.id, take: tokens.take(presented.id, now) }
}

/** Deletes those that have expired. */
export const cleanInitialAccessTokens = cleanExpired('initial_access_token', 'id')
