/** Which keys should exist: tables of moments, and properties over years of them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compromised,
  dueChanges,
  jwksMaxAge,
  type KeyChange,
  propagation,
  type RotationSettings,
  requestedRotation,
  retention,
  since,
} from '../../src/keys/rotation.ts'
import type { KeyLife, KeyState, SigningAlgorithm } from '../../src/keys/signing-key.ts'
import { sized } from '../support/databases.ts'

const hour = 3600
const day = 86_400

const settings: RotationSettings = {
  algorithms: ['RS256', 'ES256'],
  rotateEvery: 90 * day,
  announceFor: 14 * day,
  retainFor: 14 * day,
  longestTokenTtl: hour,
}
const onlyEs256 = { ...settings, algorithms: ['ES256'] as const }

/** A key that came to its state at this time, and to those before it in step. */
const key = (kid: string, state: KeyState, at: number, more: Partial<KeyLife> = {}): KeyLife => ({
  kid,
  alg: 'ES256',
  state,
  announced_at: at,
  requested_at: null,
  active_at: state === 'announced' ? null : at,
  retiring_at: state === 'announced' || state === 'active' ? null : at,
  retired_at: state === 'retired' || state === 'gone' ? at : null,
  gone_at: state === 'gone' ? at : null,
  reason: null,
  ...more,
})

/** What changes, in short: `announce ES256`, `a → active`. */
const inShort = (changes: KeyChange[]): string[] =>
  changes.map(change =>
    change.kind === 'make'
      ? `make ${change.alg} ${change.state}${change.requested ? ' requested' : ''}`
      : `${change.to.kid} → ${change.to.state}`,
  )

const start = 1_800_000_000
const active = key('a', 'active', start)

describe('what is due', () => {
  it.each<[string, KeyLife[], number, string[]]>([
    ['nothing while the key is young', [active], start + 75 * day, []],
    ['a successor is announced before the key is due', [active], start + 76 * day, ['make ES256 announced']],
    ['one successor is enough', [active, key('b', 'announced', start + 76 * day)], start + 89 * day, []],
    [
      'it signs when the key is due, and the old one stays published',
      [active, key('b', 'announced', start + 76 * day)],
      start + 90 * day,
      ['b → active', 'a → retiring'],
    ],
    [
      'however late it is, what nobody could have seen does not sign (SEC-115)',
      [active, key('b', 'announced', start + 200 * day)],
      start + 200 * day + propagation - 1,
      [],
    ],
    [
      'and signs when it could have been',
      [active, key('b', 'announced', start + 200 * day)],
      start + 200 * day + propagation,
      ['b → active', 'a → retiring'],
    ],
    [
      'what an operator asked for signs as soon as caches have seen it',
      [active, key('b', 'announced', start + 5 * day, { requested_at: start + 5 * day })],
      start + 5 * day + propagation,
      ['b → active', 'a → retiring'],
    ],
    ['a retiring key stays published', [active, key('z', 'retiring', start)], start + 14 * day - 1, []],
    ['and leaves the JWKS then', [active, key('z', 'retiring', start)], start + 14 * day, ['z → retired']],
    [
      'a retired key verifies hints for 400 days',
      [key('a', 'active', start + 399 * day), key('z', 'retired', start)],
      start + 400 * day - 1,
      [],
    ],
    [
      'and is gone then',
      [key('a', 'active', start + 399 * day), key('z', 'retired', start)],
      start + 400 * day,
      ['z → gone'],
    ],
    ['an algorithm that is new is announced before it signs', [], start, ['make ES256 announced']],
    [
      'and signs with no other before it',
      [key('a', 'announced', start)],
      start + propagation,
      ['a → active'],
    ],
    ['a key of the far future starts again', [key('a', 'active', start + 2 * day)], start, ['a → active']],
    ['an hour ahead is no far future (REL-19)', [key('a', 'active', start + hour)], start, []],
  ])('%s', (_, keys, now, expected) => {
    expect(inShort(dueChanges(keys, onlyEs256, now))).toEqual(expected)
  })

  it('a rotation of 11 years is due after 11 years, beyond 2038 and 2^31 seconds (REL-20)', () => {
    const slow = { ...onlyEs256, rotateEvery: 4200 * day }
    expect(dueChanges([active], slow, start + 4185 * day)).toEqual([])
    expect(inShort(dueChanges([active], slow, start + 4186 * day))).toEqual(['make ES256 announced'])
    expect(start + 4186 * day).toBeGreaterThan(2 ** 31)
  })

  it('a retention that is set too short is as long as the longest token and the JWKS in caches', () => {
    expect(retention({ ...settings, retainFor: 0, longestTokenTtl: 5 * hour })).toBe(6 * hour)
  })

  it('an algorithm that is no longer configured signs no more, and what it signed stays verifiable', () => {
    const keys = [
      active,
      key('e', 'active', start, { alg: 'EdDSA' }),
      key('f', 'announced', start, { alg: 'EdDSA' }),
    ]
    expect(inShort(dueChanges(keys, onlyEs256, start + 1))).toEqual(['e → retiring', 'f → gone'])
  })
})

describe('what an operator asks for', () => {
  const announced = key('b', 'announced', start + 80 * day)
  it.each<[string, KeyLife[], 'seen' | 'now', string[]]>([
    ['a new key is announced', [active], 'seen', ['make ES256 announced requested']],
    ['an announced one is taken', [active, announced], 'seen', ['b → announced']],
    ['and asking twice is asking once', [active, { ...announced, requested_at: start }], 'seen', []],
    ['--now makes one that signs', [active], 'now', ['make ES256 active', 'a → retiring']],
    ['--now takes the announced one', [active, announced], 'now', ['b → active', 'a → retiring']],
  ])('%s', (_, keys, when, expected) => {
    expect(inShort(requestedRotation(keys, ['ES256'], when, start + 81 * day))).toEqual(expected)
  })

  it.each<[string, KeyLife[], string[]]>([
    ['the active key', [active], ['a → gone', 'make ES256 active']],
    ['the active key, with a successor announced', [active, announced], ['a → gone', 'b → active']],
    ['an announced key', [{ ...announced, kid: 'a' }, key('c', 'active', start)], ['a → gone']],
    ['a retiring key', [key('a', 'retiring', start), key('c', 'active', start)], ['a → gone']],
    ['a key that is gone', [key('a', 'gone', start), key('c', 'active', start)], []],
  ])('compromised: %s (SEC-116)', (_, keys, expected) => {
    const [it] = keys.filter(one => one.kid === 'a')
    expect(inShort(compromised(keys, it ?? active, start + 81 * day))).toEqual(expected)
  })
})

type Token = { kid: string; expiresAt: number }

/** The keys of a server as time goes by, and the tokens they sign. */
class Server {
  keys: KeyLife[] = []
  tokens: Token[] = []
  /** When each key came into the JWKS, in real time. */
  readonly publishedAt = new Map<string, number>()
  /** Keys that an operator let sign at once. */
  readonly hurried = new Set<string>()
  real = start
  offset = 0
  latestClock = 0
  readonly settings: RotationSettings
  #made = 0

  constructor(chosen: RotationSettings) {
    this.settings = chosen
    this.apply(chosen.algorithms.map(alg => ({ kind: 'make', alg, state: 'active', requested: false })))
    for (const one of this.keys) this.hurried.add(one.kid)
  }

  get clock(): number {
    return this.real + this.offset
  }

  apply(changes: KeyChange[]): void {
    for (const change of changes) {
      if (change.kind === 'make') {
        const made = key(`${change.alg}-${this.#made++}`, change.state, this.clock, {
          alg: change.alg,
          requested_at: change.requested ? this.clock : null,
        })
        this.keys.push(made)
        this.publishedAt.set(made.kid, this.real)
      } else this.keys = this.keys.map(one => (one.kid === change.to.kid ? change.to : one))
    }
  }

  hurry(changes: KeyChange[]): void {
    this.apply(changes)
    for (const one of this.keys) if (one.state === 'active') this.hurried.add(one.kid)
  }

  actives(alg: SigningAlgorithm): KeyLife[] {
    return this.keys.filter(one => one.alg === alg && one.state === 'active')
  }

  sign(): void {
    this.latestClock = Math.max(this.latestClock, this.clock)
    const ttl = this.settings.longestTokenTtl
    for (const one of this.keys)
      if (one.state === 'active') this.tokens.push({ kid: one.kid, expiresAt: this.clock + ttl })
    this.tokens = this.tokens.filter(token => token.expiresAt > this.latestClock)
  }

  /** What must hold at any moment; `seen` is how long a key is published, in real time, before it signs. */
  check(seen: number): void {
    for (const alg of this.settings.algorithms) must(this.actives(alg).length === 1, `one active ${alg} key`)
    for (const one of this.keys) {
      const published = this.real - (this.publishedAt.get(one.kid) ?? 0)
      const mayBeUnseen = one.state !== 'active' || this.hurried.has(one.kid)
      must(mayBeUnseen || published >= seen, `${one.kid} signs after ${published} seconds in the JWKS`)
    }
    for (const token of this.tokens) {
      const signer = this.keys.find(one => one.kid === token.kid)
      const isPublished = signer?.state === 'active' || signer?.state === 'retiring'
      must(isPublished || signer?.reason === 'compromised', `${token.kid} is published for what it signed`)
    }
  }
}

/** `expect` is slow where it is called a million times. */
const must = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(`it does not hold: ${what}`)
}

const anySettings = fc.record({
  algorithms: fc.constantFrom<SigningAlgorithm[]>(['RS256', 'ES256'], ['RS256', 'ES256', 'EdDSA', 'PS256']),
  rotateEvery: fc.integer({ min: 0, max: 120 * day }),
  announceFor: fc.integer({ min: 0, max: 30 * day }),
  retainFor: fc.integer({ min: 0, max: 30 * day }),
  longestTokenTtl: fc.integer({ min: 60, max: 12 * hour }),
})

const anyEvent = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('wait'), seconds: fc.integer({ min: 1, max: 2 * hour }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait'), seconds: fc.integer({ min: 1, max: 40 * day }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('step'), seconds: fc.integer({ min: 0, max: jwksMaxAge }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('request'), seconds: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hurry'), seconds: fc.constant(0) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('compromise'), seconds: fc.integer({ min: 0, max: 50 }) }),
  },
)

type Happening = { kind: string; seconds: number }

const happen = (server: Server, { kind, seconds }: Happening): void => {
  const { keys, clock, settings: chosen } = server
  if (kind === 'wait') server.real += seconds
  if (kind === 'step') server.offset = seconds
  if (kind === 'request') server.apply(requestedRotation(keys, chosen.algorithms, 'seen', clock))
  if (kind === 'hurry') server.hurry(requestedRotation(keys, chosen.algorithms, 'now', clock))
  const victim = keys[seconds % keys.length]
  if (kind === 'compromise' && victim) server.hurry(compromised(keys, victim, clock))
}

/** The job runs after everything that happens, and tokens are signed before and after. */
const live = (server: Server, events: readonly Happening[], seen: number): void => {
  for (const event of events) {
    server.sign()
    happen(server, event)
    server.check(seen)
    server.sign()
    server.apply(dueChanges(server.keys, server.settings, server.clock))
    server.check(seen)
  }
}

describe('at any moment', () => {
  const runs = { numRuns: sized(150, 5000) }

  it('one key an algorithm signs, none that caches may not know, and what signed stays published (SEC-115)', () => {
    const steady = fc.array(
      anyEvent.filter(event => event.kind !== 'step'),
      { minLength: 5, maxLength: 80 },
    )
    fc.assert(
      fc.property(anySettings, steady, (chosen, events) => live(new Server(chosen), events, propagation)),
      runs,
    )
  })

  it('a clock that steps an hour back and forth breaks none of it (REL-19)', () => {
    fc.assert(
      fc.property(anySettings, fc.array(anyEvent, { minLength: 5, maxLength: 80 }), (chosen, events) =>
        // Even then the longest that a cache may keep the JWKS has passed.
        live(new Server(chosen), events, jwksMaxAge),
      ),
      runs,
    )
  })

  it('a clock that was years wrong does not stop rotation', () => {
    const server = new Server(settings)
    server.offset = 12 * 365 * day
    server.hurry(requestedRotation(server.keys, server.settings.algorithms, 'now', server.clock))
    server.apply(requestedRotation(server.keys, server.settings.algorithms, 'seen', server.clock))
    server.offset = 0
    for (let days = 0; days < 200; days++) {
      server.real += day
      server.apply(dueChanges(server.keys, server.settings, server.clock))
    }
    server.check(jwksMaxAge)
    for (const one of server.keys) expect(since(one)).toBeLessThanOrEqual(server.clock)
    expect(server.keys.filter(one => one.state === 'active').every(one => !server.hurried.has(one.kid))).toBe(
      true,
    )
  })
})
