/** Access tokens that were revoked one by one, by `jti`, until they would have expired anyway. */
import { type Write, write } from '../../store/commit.ts'
import { seconds } from '../../store/single-use.ts'
import { statement } from '../../store/statement.ts'

const denying = statement<{ jti: string; expires: number }>('denylist.add', (knex, { jti, expires }) =>
  knex('revoked_access_token').insert({ jti, expires_at: expires }).onConflict('jti').ignore(),
)
const cleaning = statement<{ now: number; limit: number }>('denylist.clean', (knex, { now, limit }) =>
  knex('revoked_access_token')
    .whereIn('jti', knex('revoked_access_token').select('jti').where('expires_at', '<', now).limit(limit))
    .delete(),
)

/** The write that revokes one access token. `expiresAt` in seconds, as its `exp` says. */
export const denyAccessToken = (jti: string, expiresAt: number): Write =>
  write(denying, { jti, expires: expiresAt }, 'any')

/** Deletes entries whose tokens have expired, at most `limit`. */
export const cleanDenylist = (now: Date, limit: number): Write =>
  write(cleaning, { now: seconds(now), limit }, 'any')
