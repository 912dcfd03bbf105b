/**
 * Carries rotation out: by itself every minute, when an operator asks for it, and at once when a key was compromised.
 * Each is one commit that is refused when another process has changed the keys meanwhile.
 */
import type { Config } from '../config.ts'
import { Refusal } from '../http/refusal.ts'
import type { Visit } from '../http/visit.ts'
import type { AuditEvent } from '../observe/audit.ts'
import type { Services } from '../services.ts'
import { changedFrom, readVersions } from '../store/change.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { seconds } from '../store/single-use.ts'
import {
  compromised,
  dueChanges,
  type KeyChange,
  type RotationSettings,
  requestedRotation,
} from './rotation.ts'
import {
  isSigningAlgorithm,
  type KeyLife,
  listKeys,
  moveKey,
  newSigningKey,
  type SigningAlgorithm,
} from './signing-key.ts'

type Needs = Pick<Services, 'store' | 'keys' | 'box' | 'audit' | 'log' | 'now'>

export type KeySettings = RotationSettings & { rsaBits: number }

/** What rotation goes by, from the configuration. */
export const keySettings = ({ keys, tokens }: Pick<Config, 'keys' | 'tokens'>): KeySettings => ({
  algorithms: keys.algorithms.filter(isSigningAlgorithm),
  rotateEvery: keys.rotateEvery,
  announceFor: keys.announceFor,
  retainFor: keys.retainFor,
  longestTokenTtl: Math.max(tokens.accessTokenTtl, tokens.idTokenTtl),
  rsaBits: tokens.rsaBits,
})

/** Who wants it, as the audit says it. */
export type KeyActor = {
  by: string
  visit?: Visit
  /** What else the audit is told of each change, in the same commit. */
  alsoTold?: (event: AuditEvent) => AuditEvent[]
}

type Plan = (keys: readonly KeyLife[], now: number) => KeyChange[]

type Prepared = { write: Write; event: AuditEvent }

/** Makes the rotation that is due. Any number of processes may try at once: one of them does it (REL-16). */
export const applyRotation = async (services: Needs, settings: KeySettings): Promise<void> => {
  await carryOut(services, settings.rsaBits, (keys, now) => dueChanges(keys, settings, now), {
    by: 'rotation',
  })
}

/**
 * Announces successors, which sign once caches have seen them, or lets them sign at once. Two that are asked for at
 * the same time are one.
 *
 * @returns the keys that sign next, or now
 * @throws Refusal for an algorithm that is not configured
 */
export const rotateKeys = async (
  services: Needs,
  settings: KeySettings,
  wanted: { alg?: string; when: 'seen' | 'now' },
  actor: KeyActor,
): Promise<KeyLife[]> => {
  const { alg, when } = wanted
  const algorithms = settings.algorithms.filter(one => alg === undefined || one === alg)
  if (algorithms.length === 0)
    throw new Refusal(
      'invalid_algorithm',
      `the algorithm must be one of LINTEL_KEYS_ALGORITHMS: ${settings.algorithms.join(', ')}`,
    )
  const before = await listKeys(services.store)
  /** Somebody else was faster where another key signs now: that is the rotation that was asked for. */
  const isRotated = (keys: readonly KeyLife[], one: SigningAlgorithm): boolean =>
    activeOf(keys, one) !== activeOf(before, one)
  const plan: Plan = (keys, now) =>
    requestedRotation(
      keys,
      algorithms.filter(one => when === 'seen' || !isRotated(keys, one)),
      when,
      now,
    )
  await untilDone(() => carryOut(services, settings.rsaBits, plan, actor))
  await services.keys.reload()
  const next = when === 'now' ? 'active' : 'announced'
  return services.keys.lives().filter(key => algorithms.includes(key.alg) && key.state === next)
}

const activeOf = (keys: readonly KeyLife[], alg: SigningAlgorithm): string | undefined =>
  keys.find(key => key.alg === alg && key.state === 'active')?.kid

/**
 * Takes a key out of use that somebody else may have: its successor signs at once, and nothing that it signed is
 * taken any more, a hint neither: by this process from now on, by others within a second (SEC-116).
 *
 * @throws Refusal `not_found`
 */
export const compromiseKey = async (
  services: Needs,
  settings: Pick<KeySettings, 'rsaBits'>,
  kid: string,
  actor: KeyActor,
): Promise<KeyLife> => {
  const find = (keys: readonly KeyLife[]): KeyLife => {
    const key = keys.find(one => one.kid === kid)
    if (!key) throw new Refusal('not_found', 'there is no key of this kid', 404)
    return key
  }
  await untilDone(() =>
    carryOut(services, settings.rsaBits, (keys, now) => compromised(keys, find(keys), now), actor),
  )
  await services.keys.reload()
  return find(services.keys.lives())
}

/** How often it is planned again when somebody else changes the keys all the time. */
const mostTries = 10

const untilDone = async (run: () => Promise<'done' | 'overtaken'>): Promise<void> => {
  for (let tries = 0; tries < mostTries; tries++) if ((await run()) === 'done') return
  throw new Refusal('conflict', 'others are changing the keys; try again', 409)
}

/** Plans on the keys as they are, and commits if they still are so. New keys are generated before. */
const carryOut = async (
  services: Needs,
  rsaBits: number,
  plan: Plan,
  actor: KeyActor,
): Promise<'done' | 'overtaken'> => {
  const { store, keys, audit, log, now } = services
  const { key: version } = await readVersions(store)
  const at = now()
  const changes = plan(await listKeys(store), seconds(at))
  if (changes.length > 0) {
    const prepared = await Promise.all(changes.map(change => prepare(services, rsaBits, change, at)))
    const events = prepared.map(({ event }) => withActor(event, actor))
    try {
      await store.commit([
        changedFrom('key', version),
        ...prepared.map(one => one.write),
        ...events.flatMap(event => [event, ...(actor.alsoTold?.(event) ?? [])]).map(audit.write),
      ])
    } catch (error) {
      if (error instanceof GuardFailed) return 'overtaken'
      throw error
    }
    for (const { event, detail } of events)
      log.info(event, { kid: String(detail?.['kid']), alg: String(detail?.['alg']), by: actor.by })
    await keys.reload()
  }
  return 'done'
}

const withActor = (event: AuditEvent, { by, visit }: KeyActor): AuditEvent => ({
  ...event,
  visit,
  detail: { by, ...event.detail },
})

const prepare = async (
  { box }: Pick<Needs, 'box'>,
  rsaBits: number,
  change: KeyChange,
  now: Date,
): Promise<Prepared> => {
  if (change.kind === 'move') return { write: moveKey(change.from, change.to), event: eventOf(change) }
  const { life, write } = await newSigningKey(change, { rsaBits, box, now })
  return {
    write,
    event: { event: 'key.created', detail: { kid: life.kid, alg: life.alg, state: life.state } },
  }
}

const eventOf = ({ from, to }: KeyChange & { kind: 'move' }): AuditEvent => {
  const detail = { kid: to.kid, alg: to.alg, from, state: to.state }
  if (to.reason !== null) return { event: 'key.revoked', reason: to.reason, detail }
  if (to.state === 'announced') return { event: 'key.requested', detail }
  return { event: to.state === 'active' ? 'key.rotated' : 'key.retired', detail }
}
