/** Links that work once: the set-up link, and links to set a password. Consumed only by POST; stored as a hash. */
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { equalInConstantTime, handSecret, readSecret, type SecretKind } from '../store/secret.ts'
import { seconds, singleUse } from '../store/single-use.ts'
import { statement } from '../store/statement.ts'
import { newTextKey } from '../store/text-key.ts'

export type LinkPurpose = 'set-up' | 'set-password'

const kinds: Record<LinkPurpose, SecretKind> = { 'set-up': 'setUpLink', 'set-password': 'setPasswordLink' }

type Row = { id: string; purpose: string; secret_hash: string; user_id: string | null; expires_at: number }

const links = singleUse<Row>('one_time_link', ['id', 'purpose', 'secret_hash', 'user_id', 'expires_at'])
const reading = statement<
  { id: string; purpose: string; now: number },
  { secretHash: string; userId: string | null }
>('one_time_link.read', (knex, { id, purpose, now }) =>
  knex('one_time_link')
    .select({ secretHash: 'secret_hash', userId: 'user_id' })
    .where({ id, purpose })
    .whereNull('used_at')
    .andWhere('expires_at', '>', now),
)
const forgetting = statement<{ purpose: string; user: string | null }>(
  'one_time_link.forget',
  (knex, { purpose, user }) =>
    knex('one_time_link')
      .where({ purpose })
      .whereRaw('coalesce(user_id, ?) = coalesce(cast(? as text), ?)', ['', user, ''])
      .delete(),
)

/** A link's token, and the writes that store it in place of any earlier one for the same purpose and user. */
export const newLink = (
  purpose: LinkPurpose,
  { userId, ttl, now }: { userId?: string; ttl: number; now: Date },
): { token: string; writes: Write[] } => {
  const id = newTextKey(now)
  const { text, hash } = handSecret(kinds[purpose], id)
  return {
    token: text,
    writes: [
      write(forgetting, { purpose, user: userId ?? null }, 'any'),
      links.insert({
        id,
        purpose,
        secret_hash: hash,
        user_id: userId ?? null,
        expires_at: seconds(now) + ttl,
      }),
    ],
  }
}

/** The write that makes a user's links for a purpose stop working. */
export const forgetLinks = (purpose: LinkPurpose, userId: string): Write =>
  write(forgetting, { purpose, user: userId }, 'any')

/** Looks a presented link up; undefined when it is wrong, used or too old. `take` is the guard that uses it. */
export const findLink = async (
  store: Store,
  purpose: LinkPurpose,
  token: string,
  now: Date,
): Promise<{ userId: string | null; take: Write } | undefined> => {
  const presented = readSecret(kinds[purpose], token)
  if (!presented) return undefined
  const row = await store.one(reading, { id: presented.id, purpose, now: seconds(now) })
  if (!row || !equalInConstantTime(row.secretHash, presented.hash)) return undefined
  return { userId: row.userId, take: links.take(presented.id, now) }
}
