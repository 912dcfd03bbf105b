/** Counts of failures in the database, so that every process sees the same (security-defaults.md, Login throttling). */
import { cleanExpired } from '../store/clean-up.ts'
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'

/** How failures of one kind are counted. */
export type ThrottleRule = {
  /** Starts the key of a count, so that no two kinds share one. */
  name: string
  /** Seconds a count lives: after its first failure, or after its last where `sliding`. */
  window: number
  sliding: boolean
  /** At this count it is locked for `lockFor` seconds, or until its window ends. */
  lockAt: number
  lockFor?: number
  /** From this count on each failure doubles a pause that starts at one second. */
  delayFrom?: number
}

export type Count = { count: number; lockedUntil: number }

/** One account, from a browser it was never signed in at: the lock ends by itself after 15 minutes. */
export const accountRule: ThrottleRule = {
  name: 'sign-in account',
  window: 900,
  sliding: true,
  lockAt: 10,
  lockFor: 900,
  delayFrom: 5,
}

/** One address, or /64 network. */
export const addressRules: ThrottleRule[] = [
  { name: 'sign-in address minute', window: 60, sliding: false, lockAt: 20 },
  { name: 'sign-in address hour', window: 3600, sliding: false, lockAt: 100 },
]

type CountRow = {
  key: string
  count: number
  first_at: number
  last_at: number
  locked_until: number
  expires_at: number
}

type UpsertValues = {
  key: string
  now: number
  window: number
  slides: number
  lock_at: number
  lock_for: number
  delay_from: number
}

const counting = statement<UpsertValues>('throttle.count', (knex, values) => {
  const { key, now, window, slides, lock_at, lock_for, delay_from } = values
  const fresh = '"throttle"."expires_at" <= ?'
  const next = `(case when ${fresh} then 1 else "throttle"."count" + 1 end)`
  const start = `(case when ${fresh} then ? else "throttle"."first_at" end)`
  return knex('throttle')
    .insert({
      key,
      count: 1,
      first_at: now,
      last_at: now,
      locked_until: 0,
      expires_at: knex.raw('cast(? as bigint) + cast(? as bigint)', [now, window]),
    })
    .onConflict('key')
    .merge({
      count: knex.raw(next, [now]),
      first_at: knex.raw(start, [now, now]),
      last_at: now,
      locked_until: knex.raw(
        `case when ${next} >= cast(? as integer) then
           (case when cast(? as integer) > 0 then cast(? as bigint) + cast(? as integer) else ${start} + cast(? as integer) end)
         when ${next} >= cast(? as integer) then cast(? as bigint) + (1 << (${next} - cast(? as integer)))
         else 0 end`,
        [now, lock_at, lock_for, now, lock_for, now, now, window, now, delay_from, now, now, delay_from],
      ),
      expires_at: knex.raw(
        `case when cast(? as integer) = 1 then cast(? as bigint) + cast(? as integer) else ${start} + cast(? as integer) end`,
        [slides, now, window, now, now, window],
      ),
    })
})

const reading = statement<{ key: string; now: number }, Count>('throttle.read', (knex, { key, now }) =>
  knex('throttle')
    .select({ count: 'count', lockedUntil: 'locked_until' })
    .where({ key })
    .andWhere(live => live.where('expires_at', '>', now).orWhere('locked_until', '>', now)),
)
const forgetting = statement<{ key: string }>('throttle.forget', (knex, { key }) =>
  knex('throttle').where({ key }).delete(),
)

const keyOf = (rule: ThrottleRule, subject: string): string => `${rule.name} ${subject}`

/** The write that counts one failure more. */
export const countFailure = (rule: ThrottleRule, subject: string, now: Date): Write =>
  write(
    counting,
    {
      key: keyOf(rule, subject),
      now: seconds(now),
      window: rule.window,
      slides: rule.sliding ? 1 : 0,
      lock_at: rule.lockAt,
      lock_for: rule.lockFor ?? 0,
      delay_from: rule.delayFrom ?? 1_000_000,
    },
    'any',
  )

const marking = insertion<CountRow>('throttle', [
  'key',
  'count',
  'first_at',
  'last_at',
  'locked_until',
  'expires_at',
])

/** The write, and guard, that counts something once in its window: refused when it was counted before. */
export const countOnce = (rule: ThrottleRule, subject: string, now: Date): Write => {
  const at = seconds(now)
  const row = { key: keyOf(rule, subject), count: 1, first_at: at, last_at: at, locked_until: 0 }
  return write(marking, { ...row, expires_at: at + rule.window })
}

/** The write that forgets a count, after a success. */
export const forgetFailures = (rule: ThrottleRule, subject: string): Write =>
  write(forgetting, { key: keyOf(rule, subject) }, 'any')

/** How many failures are counted, and how many seconds it must be waited for. */
export const readCount = async (
  store: Store,
  rule: ThrottleRule,
  subject: string,
  now: Date,
): Promise<{ count: number; wait: number }> => {
  const found = await store.one(reading, { key: keyOf(rule, subject), now: seconds(now) })
  return { count: found?.count ?? 0, wait: Math.max(0, (found?.lockedUntil ?? 0) - seconds(now)) }
}

/** Deletes counts that have ended. */
export const cleanThrottles = cleanExpired('throttle', 'key')
