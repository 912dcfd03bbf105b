/** Username and password against what is stored: unknown user and wrong password take the same time and say the same. */

import { throttleAddress } from '../http/proxy.ts'
import type { Visit } from '../http/visit.ts'
import type { Services } from '../services.ts'
import type { Write } from '../store/commit.ts'
import { hashSecret } from '../store/secret.ts'
import { statement } from '../store/statement.ts'
import { accountRule, addressRules, countFailure, forgetFailures, readCount } from '../throttle/throttle.ts'
import { identifierKey } from './identifier.ts'
import { confirmPassword, isPossiblePassword } from './password.ts'

export type PasswordAttempt = { username: string; password: string; browserId: string; visit: Visit }

export type CheckOutcome =
  | { kind: 'proved'; userId: string /** For the commit that signs in. */; writes: Write[] }
  | { kind: 'wrong' }
  | { kind: 'throttled'; retryAfter: number }

type Candidate = { id: string; hash: string | null; disabledAt: number | null; known: number }

const finding = statement<{ key: string; browser: string }, Candidate>(
  'password-check.find',
  (knex, { key, browser }) =>
    knex('user')
      .leftJoin('password', 'password.user_id', 'user.id')
      .select({ id: 'user.id', hash: 'password.hash', disabledAt: 'user.disabled_at' })
      .select({
        known: knex('session')
          .count('*')
          .whereRaw('"session"."user_id" = "user"."id"')
          .andWhere({ browser_id: browser }),
      })
      .where({ username_key: key })
      .orWhere({ email_key: key })
      // A name goes before an address: nobody can take over a sign-in by naming their account like an address.
      .orderByRaw('case when username_key = ? then 0 else 1 end', [key])
      .limit(1),
)

type Needs = Pick<Services, 'store' | 'now' | 'audit' | 'passwords' | 'metrics'>

/**
 * Checks one attempt in the queue of passwords. The throttle is read and the failure written within the turn, so
 * that parallel guesses are counted before the next one is looked at.
 *
 * @throws Refusal 503 when the queue is too long
 */
export const checkPassword = (services: Needs, attempt: PasswordAttempt): Promise<CheckOutcome> =>
  services.passwords.inTurn(async () => {
    const outcome = await judge(services, attempt)
    services.metrics.count('lintel_sign_ins_total', { outcome: outcome.kind })
    return outcome
  })

const judge = async (
  { store, now, audit, passwords }: Needs,
  { username, password, browserId, visit }: PasswordAttempt,
): Promise<CheckOutcome> => {
  const key = identifierKey(username.slice(0, 300))
  const candidate = await store.one(finding, { key, browser: browserId })
  // By the user where there is one, so that name and address share a count. Hashed, for people type passwords into
  // the wrong field. A browser that the user signed in at before counts for itself, so that nobody locks a user out
  // of their own device.
  const account =
    hashSecret(candidate?.id ?? key) + (candidate && Number(candidate.known) > 0 ? ` ${browserId}` : '')
  const address = throttleAddress(visit.ip)
  const ofAccount = await readCount(store, accountRule, account, now())
  const ofAddress = await Promise.all(addressRules.map(rule => readCount(store, rule, address, now())))
  const wait = Math.max(ofAccount.wait, ...ofAddress.map(count => count.wait))
  if (wait > 0) return { kind: 'throttled', retryAfter: wait }
  const fits =
    isPossiblePassword(password) && (await passwords.verify(candidate?.hash ?? undefined, password))
  if (candidate?.hash && fits && candidate.disabledAt === null) {
    const { id, hash } = candidate
    const next = passwords.isOutdated(hash) ? await passwords.hash(password) : hash
    const forget = ofAccount.count > 0 ? [forgetFailures(accountRule, account)] : []
    return { kind: 'proved', userId: id, writes: [confirmPassword(id, hash, next), ...forget] }
  }
  const userId = candidate?.id
  const locks = ofAccount.count + 1 === accountRule.lockAt
  await store.commit([
    countFailure(accountRule, account, now()),
    ...addressRules.map(rule => countFailure(rule, address, now())),
    audit.write({ event: 'login.failed', visit, userId, reason: failureReason(candidate, fits) }),
    ...(locks ? [audit.write({ event: 'login.locked', visit, userId, reason: 'too_many_failures' })] : []),
  ])
  return { kind: 'wrong' }
}

const failureReason = (candidate: Candidate | undefined, fits: boolean): string => {
  if (!candidate) return 'unknown_user'
  if (candidate.disabledAt !== null) return 'disabled'
  if (candidate.hash === null) return 'no_password'
  return fits ? 'refused' : 'wrong_password'
}
