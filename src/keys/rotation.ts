/** Pure: which signing keys should exist now, and what has to change so that they do. */
import type { KeyLife, KeyState, SigningAlgorithm } from './signing-key.ts'

/** Seconds that others may keep our JWKS; what they have not seen by then they never cached. */
export const jwksMaxAge = 3600

/** A key stands in the JWKS at least so long before it signs: a cache may have been filled just before (SEC-115). */
export const propagation = 2 * jwksMaxAge

/** An `id_token_hint` is taken for so long after its key has left the JWKS. */
const hintMemory = 400 * 86_400

/** A time further ahead than this was written by a clock that was wrong. */
const clockTolerance = 86_400

export type RotationSettings = {
  algorithms: readonly SigningAlgorithm[]
  /** A key signs for so many seconds. */
  rotateEvery: number
  /** Its successor is announced so long before. */
  announceFor: number
  /** It stays published so long after. */
  retainFor: number
  /** The longest life of a token that is signed. */
  longestTokenTtl: number
}

export type KeyChange =
  | { kind: 'make'; alg: SigningAlgorithm; state: 'announced' | 'active'; requested: boolean }
  | { kind: 'move'; from: KeyState; to: KeyLife }

const make = (alg: SigningAlgorithm, state: 'announced' | 'active', requested = false): KeyChange => ({
  kind: 'make',
  alg,
  state,
  requested,
})

const move = (key: KeyLife, state: KeyState, now: number, reason: string | null = null): KeyChange => ({
  kind: 'move',
  from: key.state,
  to: { ...key, state, [`${state}_at`]: now, ...(reason === null ? {} : { reason }) },
})

const isOf =
  (alg: SigningAlgorithm, state: KeyState) =>
  (key: KeyLife): boolean =>
    key.alg === alg && key.state === state

/** Since when a key is in its state. */
export const since = (key: KeyLife): number => key[`${key.state}_at` as const] ?? key.announced_at

/** When the active key is due to be replaced. */
const dueAt = (active: KeyLife | undefined, settings: RotationSettings): number =>
  active ? since(active) + settings.rotateEvery : Number.NEGATIVE_INFINITY

/** How long a key stays published after it signed: whatever is set, until its last token has ended. */
export const retention = (settings: RotationSettings): number =>
  Math.max(settings.retainFor, settings.longestTokenTtl + jwksMaxAge)

/**
 * What should change now. Looked at again every minute, it follows the wall clock: there is no timer that a long
 * time could overflow, and a clock that steps back only makes it wait.
 */
export const dueChanges = (
  keys: readonly KeyLife[],
  settings: RotationSettings,
  now: number,
): KeyChange[] => {
  const ahead = keys.filter(key => key.state !== 'gone' && since(key) > now + clockTolerance)
  // Its time starts again, or it would stay in its state until the clock gets there; the others wait for the next look.
  if (ahead.length > 0) return ahead.map(key => move(key, key.state, now))
  const algorithms = new Set([...settings.algorithms, ...keys.map(key => key.alg)])
  return [
    ...[...algorithms].flatMap(alg =>
      settings.algorithms.includes(alg) ? succession(keys, alg, settings, now) : farewell(keys, alg, now),
    ),
    ...keys
      .filter(key => key.state === 'retiring' && now >= since(key) + retention(settings))
      .map(key => move(key, 'retired', now)),
    ...keys
      .filter(key => key.state === 'retired' && now >= since(key) + hintMemory)
      .map(key => move(key, 'gone', now)),
  ]
}

/** A successor is announced, seen by everybody's caches, and signs when the active key is due. */
const succession = (
  keys: readonly KeyLife[],
  alg: SigningAlgorithm,
  settings: RotationSettings,
  now: number,
): KeyChange[] => {
  const active = keys.find(isOf(alg, 'active'))
  const announced = keys.find(isOf(alg, 'announced'))
  const due = dueAt(active, settings)
  if (!announced)
    return now >= due - Math.max(settings.announceFor, propagation) ? [make(alg, 'announced')] : []
  const seenAt = announced.announced_at + propagation
  const signsAt = announced.requested_at === null ? Math.max(seenAt, due) : seenAt
  return now >= signsAt ? succeed(announced, active, now) : []
}

const succeed = (successor: KeyLife, active: KeyLife | undefined, now: number): KeyChange[] => [
  move(successor, 'active', now),
  ...(active ? [move(active, 'retiring', now)] : []),
]

/** An algorithm that is no longer configured: what it signed stays verifiable, what never signed goes. */
const farewell = (keys: readonly KeyLife[], alg: SigningAlgorithm, now: number): KeyChange[] => [
  ...keys.filter(isOf(alg, 'active')).map(key => move(key, 'retiring', now)),
  ...keys.filter(isOf(alg, 'announced')).map(key => move(key, 'gone', now)),
]

/**
 * What changes when an operator asks for new keys.
 *
 * @param when `seen`: it signs once caches have seen it, `now`: at once
 */
export const requestedRotation = (
  keys: readonly KeyLife[],
  algorithms: readonly SigningAlgorithm[],
  when: 'seen' | 'now',
  now: number,
): KeyChange[] =>
  algorithms.flatMap(alg => {
    const active = keys.find(isOf(alg, 'active'))
    const announced = keys.find(isOf(alg, 'announced'))
    if (when === 'now') return replaced(alg, announced, active, now)
    if (!announced) return [make(alg, 'announced', true)]
    if (announced.requested_at !== null) return []
    return [{ kind: 'move', from: 'announced', to: { ...announced, requested_at: now } } as const]
  })

/** An announced key is taken before a new one: some caches know it already. */
const replaced = (
  alg: SigningAlgorithm,
  announced: KeyLife | undefined,
  active: KeyLife | undefined,
  now: number,
): KeyChange[] =>
  announced
    ? succeed(announced, active, now)
    : [make(alg, 'active'), ...(active ? [move(active, 'retiring', now)] : [])]

/** What changes when somebody else may have a private key: its successor signs at once, and it is gone. */
export const compromised = (keys: readonly KeyLife[], key: KeyLife, now: number): KeyChange[] => {
  if (key.state === 'gone') return []
  const successor =
    key.state === 'active' ? replaced(key.alg, keys.find(isOf(key.alg, 'announced')), undefined, now) : []
  return [move(key, 'gone', now, 'compromised'), ...successor]
}
