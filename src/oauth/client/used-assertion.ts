/** Client assertions that were used: each `jti` once, until it would have expired (RFC 7523 section 3). */
import { type Write, write } from '../../store/commit.ts'
import { hashSecret } from '../../store/secret.ts'
import { seconds } from '../../store/single-use.ts'
import { insertion, statement } from '../../store/statement.ts'

const inserting = insertion<{ jti_hash: string; expires_at: number }>('used_assertion', [
  'jti_hash',
  'expires_at',
])
const cleaning = statement<{ now: number; limit: number }>('used_assertion.clean', (knex, { now, limit }) =>
  knex('used_assertion')
    .whereIn('jti_hash', knex('used_assertion').select('jti_hash').where('expires_at', '<', now).limit(limit))
    .delete(),
)

/** The write, and guard, that uses an assertion: refused when it was used before. `expiresAt` in seconds. */
export const useAssertion = (clientId: string, jti: string, expiresAt: number): Write =>
  write(inserting, { jti_hash: hashSecret(`${clientId}\n${jti}`), expires_at: expiresAt })

/** Deletes what has expired, at most `limit`. */
export const cleanUsedAssertions = (now: Date, limit: number): Write =>
  write(cleaning, { now: seconds(now), limit }, 'any')
