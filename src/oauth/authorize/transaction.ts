/** An authorization request on its way through the pages: at most 100 an address, 30 minutes, answered once. */

import { throttleAddress } from '../../http/proxy.ts'
import { Refusal, tooManyRequests } from '../../http/refusal.ts'
import type { Visit } from '../../http/visit.ts'
import { appOf, type SignInReason, signInTtl } from '../../identity/sign-in.ts'
import { cleanOlder } from '../../store/clean-up.ts'
import { type Write, write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { seconds, singleUse } from '../../store/single-use.ts'
import { statement } from '../../store/statement.ts'
import { isTextKey, newTextKey } from '../../store/text-key.ts'
import type { AuthorizationRequest } from './request.ts'

type Row = {
  id: string
  browser_id: string | null
  sign_in_id: string
  client_id: string
  request: string
  address: string
  expires_at: number
}

const transactions = singleUse<Row>('transaction', [
  'id',
  'browser_id',
  'sign_in_id',
  'client_id',
  'request',
  'address',
  'expires_at',
])

const mostPerAddress = 100

const counting = statement<{ address: string; now: number }, { open: number | string }>(
  'transaction.count',
  (knex, { address, now }) =>
    knex('transaction')
      .count({ open: '*' })
      .where({ address })
      .whereNull('used_at')
      .andWhere('expires_at', '>', now),
)

/** @throws Refusal 429 when an address has too many requests under way */
export const refuseTooMany = async (store: Store, visit: Visit, now: Date): Promise<void> => {
  const found = await store.one(counting, { address: throttleAddress(visit.ip), now: seconds(now) })
  if (Number(found?.open ?? 0) >= mostPerAddress)
    throw tooManyRequests('too many sign-ins are under way from this address; finish or close some', 60)
}

/** A transaction to be, for a sign-in record made with its id. */
export const newTransactionId = (now: Date): string => newTextKey(now)

/** The write that stores it. */
export const storeTransaction = (
  one: {
    id: string
    browserId: string | null
    signInId: string
    request: AuthorizationRequest
    visit: Visit
  },
  now: Date,
): Write =>
  transactions.insert({
    id: one.id,
    browser_id: one.browserId,
    sign_in_id: one.signInId,
    client_id: one.request.clientId,
    request: JSON.stringify(one.request),
    address: throttleAddress(one.visit.ip),
    expires_at: seconds(now) + signInTtl,
  })

export type Transaction = {
  id: string
  browserId: string | null
  signInId: string
  request: AuthorizationRequest
  reason: SignInReason
  /** What its own sign-in ended in. */
  signIn: { sessionId: string; authenticated: boolean } | undefined
  expiresAt: number
  usedAt: number | null
}

type ReadRow = {
  id: string
  browserId: string | null
  signInId: string
  request: string
  told: string
  signInSessionId: string | null
  authenticated: number
  expiresAt: number
  usedAt: number | null
}

const reading = statement<{ id: string }, ReadRow>('transaction.read', (knex, { id }) =>
  knex('transaction')
    .join('sign_in', 'sign_in.id', 'transaction.sign_in_id')
    .select({
      id: 'transaction.id',
      browserId: 'transaction.browser_id',
      signInId: 'transaction.sign_in_id',
      request: 'transaction.request',
      told: 'sign_in.told',
      signInSessionId: 'sign_in.session_id',
      authenticated: 'sign_in.authenticated',
      expiresAt: 'transaction.expires_at',
      usedAt: 'transaction.used_at',
    })
    .where({ 'transaction.id': id }),
)

const findTransaction = async (store: Store, id: string): Promise<Transaction | undefined> => {
  const row = isTextKey(id) ? await store.one(reading, { id }) : undefined
  return (
    row && {
      ...row,
      request: JSON.parse(row.request) as AuthorizationRequest,
      reason: JSON.parse(row.told) as SignInReason,
      signIn:
        row.signInSessionId === null
          ? undefined
          : { sessionId: row.signInSessionId, authenticated: row.authenticated === 1 },
    }
  )
}

/**
 * A transaction that can still be answered. Whose browser it is, the caller looks at.
 *
 * @throws Refusal `expired` or `finished`, naming the app where it is known
 */
export const openTransaction = async (store: Store, id: string, now: Date): Promise<Transaction> => {
  const transaction = await findTransaction(store, id)
  if (!transaction) throw new Refusal('expired', 'there is no such request, or it was left too long')
  if (transaction.usedAt !== null)
    throw new Refusal('finished', 'this request was answered already', 400, appOf(transaction.reason))
  if (transaction.expiresAt <= seconds(now))
    throw new Refusal(
      'expired',
      'the request was left for more than 30 minutes',
      400,
      appOf(transaction.reason),
    )
  return transaction
}

const claiming = statement<{ id: string; browser: string }>('transaction.claim', (knex, { id, browser }) =>
  knex('transaction').where({ id }).whereNull('browser_id').update({ browser_id: browser }),
)

/** The write, and guard, by which the first browser that opens it owns it. */
export const claimTransaction = (id: string, browserId: string): Write =>
  write(claiming, { id, browser: browserId })

/** The write, and guard, that answers it. */
export const takeTransaction = (id: string, now: Date): Write => transactions.take(id, now)

/** Keep transactions for a day: until then a page left open can still name its app. */
export const transactionMemory = 86_400
export const cleanTransactions = cleanOlder('transaction')
