/** Opaque access tokens, for clients and resources that chose them: a row with the claims instead of a JWT. */

import type { Claims } from '../../keys/jwt.ts'
import { cleanOlder } from '../../store/clean-up.ts'
import { type Write, write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { equalInConstantTime, handSecret, readSecret } from '../../store/secret.ts'
import { insertion, statement } from '../../store/statement.ts'
import { newTextKey } from '../../store/text-key.ts'

const inserting = insertion<{ id: string; secret_hash: string; claims: string; expires_at: number }>(
  'opaque_token',
  ['id', 'secret_hash', 'claims', 'expires_at'],
)
const reading = statement<{ id: string }, { secretHash: string; claims: string }>(
  'opaque_token.read',
  (knex, { id }) =>
    knex('opaque_token').select({ secretHash: 'secret_hash', claims: 'claims' }).where({ id }),
)

/** A token to be, and the write that stores it. */
export const newOpaqueToken = (
  claims: Claims,
  expiresAt: number,
  now: Date,
): { token: string; write: Write } => {
  const id = newTextKey(now)
  const { text, hash } = handSecret('accessToken', id)
  const row = { id, secret_hash: hash, claims: JSON.stringify(claims), expires_at: expiresAt }
  return { token: text, write: write(inserting, row) }
}

/** The claims of a presented opaque token; undefined for anything else. Times are not looked at. */
export const readOpaqueToken = async (store: Store, token: string): Promise<Claims | undefined> => {
  const presented = readSecret('accessToken', token)
  const row = presented && (await store.one(reading, { id: presented.id }))
  return row && equalInConstantTime(row.secretHash, presented.hash)
    ? (JSON.parse(row.claims) as Claims)
    : undefined
}

/** The longest life that an access token can be given, by setting or by resource. */
export const opaqueTokenMemory = 86_400
export const cleanOpaqueTokens = cleanOlder('opaque_token')
