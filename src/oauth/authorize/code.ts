/** Authorization codes: 60 seconds, once. The only writer of the table `code`. */
import { cleanOlder } from '../../store/clean-up.ts'
import type { Write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { equalInConstantTime, handSecret, readSecret } from '../../store/secret.ts'
import { seconds, singleUse } from '../../store/single-use.ts'
import { statement } from '../../store/statement.ts'
import { newTextKey } from '../../store/text-key.ts'
import { type Standing, withStanding } from '../grant/authorization.ts'

type Row = {
  id: string
  secret_hash: string
  authorization_id: string
  client_id: string
  redirect_uri: string
  code_challenge: string | null
  nonce: string | null
  expires_at: number
}

const codes = singleUse<Row>('code', [
  'id',
  'secret_hash',
  'authorization_id',
  'client_id',
  'redirect_uri',
  'code_challenge',
  'nonce',
  'expires_at',
])

export type NewCode = {
  authorizationId: string
  clientId: string
  redirectUri: string
  codeChallenge: string | undefined
  nonce: string | undefined
  ttl: number
}

/** A code to be, and the write that stores it. */
export const newCode = (one: NewCode, now: Date): { code: string; write: Write } => {
  const id = newTextKey(now)
  const { text, hash } = handSecret('code', id)
  return {
    code: text,
    write: codes.insert({
      id,
      secret_hash: hash,
      authorization_id: one.authorizationId,
      client_id: one.clientId,
      redirect_uri: one.redirectUri,
      code_challenge: one.codeChallenge ?? null,
      nonce: one.nonce ?? null,
      expires_at: seconds(now) + one.ttl,
    }),
  }
}

export type Code = Standing & {
  codeId: string
  secretHash: string
  codeClientId: string
  redirectUri: string
  codeChallenge: string | null
  nonce: string | null
  codeExpiresAt: number
  usedAt: number | null
}

const reading = statement<{ id: string }, Code>('code.read', (knex, { id }) =>
  knex('code')
    .join('authorization', 'authorization.id', 'code.authorization_id')
    .modify(withStanding)
    .select({
      codeId: 'code.id',
      secretHash: 'code.secret_hash',
      codeClientId: 'code.client_id',
      redirectUri: 'code.redirect_uri',
      codeChallenge: 'code.code_challenge',
      nonce: 'code.nonce',
      codeExpiresAt: 'code.expires_at',
      usedAt: 'code.used_at',
    })
    .where({ 'code.id': id }),
)

/** A presented code, used and expired ones included, with the authorization it belongs to and all that hangs on. */
export const findCode = async (store: Store, presented: string): Promise<Code | undefined> => {
  const secret = readSecret('code', presented)
  if (!secret) return undefined
  const row = await store.one(reading, { id: secret.id })
  return row && equalInConstantTime(row.secretHash, secret.hash) ? row : undefined
}

/** The write, and guard, that takes a code. */
export const takeCode = (code: Pick<Code, 'codeId'>, now: Date): Write => codes.take(code.codeId, now)

/** Keep codes for an hour: until then a second use is still recognised. */
export const codeMemory = 3600
export const cleanCodes = cleanOlder('code')
