/** Passwords: argon2id in a queue of its own that is bounded by time, so that sign-ins never starve tokens. */
import { availableParallelism } from 'node:os'
import argon2 from 'argon2'
import { type Refusal, temporarilyUnavailable } from '../http/refusal.ts'
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { statement } from '../store/statement.ts'
import { identifierKey } from './identifier.ts'

export type PasswordSettings = { memory: number; passes: number; minLength: number }

export type PasswordHasher = {
  /**
   * Waits for a turn and runs in it: `max(1, cores - 1)` at once.
   *
   * @throws Refusal 503 with Retry-After when the wait would be longer than 5 seconds
   */
  inTurn: <T>(task: () => Promise<T>) => Promise<T>
  hash: (password: string) => Promise<string>
  /** Whether it fits. Without a hash (unknown user, no password) it takes the same time and does not fit. */
  verify: (hash: string | undefined, password: string) => Promise<boolean>
  /** Whether a hash was made with other settings than today's. */
  isOutdated: (hash: string) => boolean
}

const longestWait = 5_000

/** Makes the hasher of one server. */
export const makePasswordHasher = (
  settings: PasswordSettings,
  onWait: (seconds: number) => void,
): PasswordHasher => {
  const options = {
    memoryCost: settings.memory,
    timeCost: settings.passes,
    parallelism: 1,
    hashLength: 32,
  } as const
  const places = Math.max(1, availableParallelism() - 1)
  const waiting: { start: () => void; since: number; patience: NodeJS.Timeout }[] = []
  let running = 0
  /** How long one turn takes, as an average that follows. */
  let turn = 50
  let dummy: Promise<string> | undefined

  const leave = (startedAt: number): void => {
    turn += (performance.now() - startedAt - turn) / 8
    running -= 1
    const next = waiting.shift()
    if (!next) return
    clearTimeout(next.patience)
    running += 1
    onWait((performance.now() - next.since) / 1000)
    next.start()
  }
  const enter = async (): Promise<void> => {
    if (running < places) {
      running += 1
      return
    }
    if (expectedWait() > longestWait) throw tooMany()
    await new Promise<void>((start, refuse) => {
      // What is expected follows the turns there were: the first of a storm, or slow ones, are not foreseen.
      const patience = setTimeout(() => {
        waiting.splice(
          waiting.findIndex(one => one.start === start),
          1,
        )
        refuse(tooMany())
      }, longestWait)
      waiting.push({ start, since: performance.now(), patience })
    })
  }
  const expectedWait = (): number => (turn * (waiting.length + 1)) / places
  const tooMany = (): Refusal =>
    temporarilyUnavailable('too many people sign in at once', Math.max(1, Math.ceil(expectedWait() / 1000)))
  return {
    inTurn: async task => {
      await enter()
      const startedAt = performance.now()
      try {
        return await task()
      } finally {
        leave(startedAt)
      }
    },
    hash: password => argon2.hash(password, options),
    verify: async (hash, password) => {
      if (hash !== undefined) return argon2.verify(hash, password)
      dummy ??= argon2.hash('nobody has this password', options)
      await argon2.verify(await dummy, password)
      return false
    },
    isOutdated: hash => argon2.needsRehash(hash, options),
  }
}

const reading = statement<{ user: string }, { hash: string }>('password.read', (knex, { user }) =>
  knex('password').select('hash').where({ user_id: user }),
)
const storing = statement<{ user_id: string; hash: string; changed_at: number }>(
  'password.store',
  (knex, row) =>
    knex('password')
      .insert({ user_id: row.user_id, hash: row.hash, changed_at: row.changed_at })
      .onConflict('user_id')
      .merge(),
)

const confirming = statement<{ user: string; hash: string; next: string }>(
  'password.confirm',
  (knex, { user, hash, next }) => knex('password').where({ user_id: user, hash }).update({ hash: next }),
)

/**
 * The guard of a sign-in: refused when the password that was looked at is not the user's any more, so that a sign-in
 * under way when it changes does not outlive the change. `next` is the same hash, or one made with today's settings.
 */
export const confirmPassword = (userId: string, hash: string, next: string): Write =>
  write(confirming, { user: userId, hash, next })

export const findPasswordHash = async (store: Store, userId: string): Promise<string | undefined> =>
  (await store.one(reading, { user: userId }))?.hash

/** The write that sets or replaces a user's password hash. */
export const storePassword = (userId: string, hash: string, now: Date): Write =>
  write(storing, { user_id: userId, hash, changed_at: seconds(now) }, 'any')

/** Administrators need more (security-defaults.md, Passwords). */
const adminMinLength = 15

/** The shortest password that somebody may have. */
export const minLengthFor = (admin: boolean, minLength: number): number =>
  admin ? Math.max(adminMinLength, minLength) : minLength

const mostCharacters = 256
const mostBytes = 1024

export type PasswordFault =
  | 'required'
  | 'too_short'
  | 'too_short_admin'
  | 'too_long'
  | 'common'
  | 'contains_name'

let commonPasswords: Promise<Set<string>> | undefined

/** The 49,233 most used passwords, loaded when first asked for. */
const loadCommonPasswords = async (): Promise<Set<string>> => {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  return new Set(dictionary['passwords-common'])
}

/**
 * What is wrong with a new password: length, use by everybody, or a name in it. No rules about kinds of characters.
 *
 * @returns a reason of the catalogue, or undefined
 */
export const passwordFault = async (
  password: string,
  {
    minLength,
    admin,
    names,
  }: { minLength: number; admin: boolean; names: readonly (string | null | undefined)[] },
): Promise<PasswordFault | undefined> => {
  const length = [...password].length
  if (length === 0) return 'required'
  if (length < minLength) return 'too_short'
  if (admin && length < adminMinLength) return 'too_short_admin'
  if (length > mostCharacters || Buffer.byteLength(password) > mostBytes) return 'too_long'
  const folded = identifierKey(password)
  commonPasswords ??= loadCommonPasswords()
  if ((await commonPasswords).has(folded)) return 'common'
  const words = [
    'lintel',
    ...names.flatMap(name => (name ? [identifierKey(name), identifierKey(name.split('@')[0] ?? '')] : [])),
  ]
  // A long password may hold a name; one that is little more than a name may not.
  if (words.some(word => word.length >= 3 && folded.includes(word) && length - [...word].length < 6))
    return 'contains_name'
  return undefined
}

/** What is sent as a password at sign-in but cannot be one. */
export const isPossiblePassword = (password: string): boolean => Buffer.byteLength(password) <= mostBytes
