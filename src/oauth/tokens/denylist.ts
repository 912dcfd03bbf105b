/** Access tokens that were revoked one by one, by `jti`, until they would have expired anyway. */
import { cleanExpired } from '../../store/clean-up.ts'
import { type Write, write } from '../../store/commit.ts'
import { statement } from '../../store/statement.ts'

const denying = statement<{ jti: string; expires: number }>('denylist.add', (knex, { jti, expires }) =>
  knex('revoked_access_token').insert({ jti, expires_at: expires }).onConflict('jti').ignore(),
)

/** The write that revokes one access token. `expiresAt` in seconds, as its `exp` says. */
export const denyAccessToken = (jti: string, expiresAt: number): Write =>
  write(denying, { jti, expires: expiresAt }, 'any')

/** Deletes entries whose tokens have expired. */
export const cleanDenylist = cleanExpired('revoked_access_token', 'jti')
