/** Client assertions that were used: each `jti` once, until it would have expired (RFC 7523 section 3). */
import { cleanExpired } from '../../store/clean-up.ts'
import { type Write, write } from '../../store/commit.ts'
import { hashSecret } from '../../store/secret.ts'
import { insertion } from '../../store/statement.ts'

const inserting = insertion<{ jti_hash: string; expires_at: number }>('used_assertion', [
  'jti_hash',
  'expires_at',
])

/** The write, and guard, that uses an assertion: refused when it was used before. `expiresAt` in seconds. */
export const useAssertion = (clientId: string, jti: string, expiresAt: number): Write =>
  write(inserting, { jti_hash: hashSecret(`${clientId}\n${jti}`), expires_at: expiresAt })

/** Deletes assertions that nobody would take any more. */
export const cleanUsedAssertions = cleanExpired('used_assertion', 'jti_hash')
