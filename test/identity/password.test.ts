import argon2 from 'argon2'
import { describe, expect, it } from 'vitest'
import { Refusal } from '../../src/http/refusal.ts'
import { isPossiblePassword, makePasswordHasher, passwordFault } from '../../src/identity/password.ts'

const alice = { minLength: 8, admin: false, names: ['alice', 'alice@corp.test', 'Alice Liddell'] }
const admin = { ...alice, admin: true }

describe('what is wrong with a new password', () => {
  const cases: [string, string | undefined, string?][] = [
    ['', 'required'],
    ['1234567', 'too_short'],
    ['🔑🔑🔑🔑🔑🔑🔑', 'too_short', 'seven characters, however many bytes'],
    ['xkcdvqpz', undefined, 'eight are enough'],
    ['🔑🐎🔋📎🌂🧊🪁🧭', undefined, 'eight characters of any kind'],
    ['        x        y', undefined, 'spaces count'],
    ['a'.repeat(256), undefined],
    ['a'.repeat(257), 'too_long'],
    ['é'.repeat(256), undefined],
    ['🔑'.repeat(256), undefined, '1,024 bytes'],
    ['👨‍👩‍👧'.repeat(60), 'too_long', '1,080 bytes'],
    ['password', 'common'],
    ['PassWord', 'common', 'in any case'],
    ['password1', 'common'],
    ['12345678', 'common'],
    ['qwertyuiop', 'common'],
    ['iloveyou', 'common'],
    [' password ', 'common', 'spaces around it hide nothing'],
    ['ｐａｓｓｗｏｒｄ', 'common', 'nor does full width'],
    ['password-of-a-horse', undefined, 'a common word within a longer one is none'],
    ['alice!7q', 'contains_name'],
    ['ALICE-77', 'contains_name'],
    ['xalice99', 'contains_name'],
    ['lintel2026', 'contains_name', 'the name of the product'],
    ['alice@corp.test', 'contains_name'],
    ['alice and a long sentence', undefined, 'a long one may hold a name'],
    ['Alice Liddell!', 'contains_name'],
  ]
  for (const [password, fault, why] of cases)
    it(`SEC-082 ${JSON.stringify(password.slice(0, 30))} is ${fault ?? 'fine'}${why ? `: ${why}` : ''}`, async () => {
      expect(await passwordFault(password, alice)).toBe(fault)
    })

  it('SEC-082 an administrator needs fifteen characters', async () => {
    expect(await passwordFault('fourteen chars', admin)).toBe('too_short_admin')
    expect(await passwordFault('fifteen charact', admin)).toBeUndefined()
    expect(await passwordFault('1234567', admin)).toBe('too_short')
  })

  it('SEC-082 the setting raises the least length for everybody', async () => {
    const longer = { ...alice, minLength: 20 }
    expect(await passwordFault('x'.repeat(19), longer)).toBe('too_short')
    expect(await passwordFault('x'.repeat(20), { ...longer, admin: true })).toBeUndefined()
  })

  it('SEC-082 names that are missing or very short rule nothing out', async () => {
    const names = [undefined, null, '', 'a', 'ab', '@', 'x@y']
    expect(await passwordFault('abcdefgz', { ...alice, names })).toBeUndefined()
  })

  it('SEC-082 thousands of common ones are known', async () => {
    const { dictionary } = await import('@zxcvbn-ts/language-common')
    const common = dictionary['passwords-common'].filter(word => word.length >= 8).slice(0, 3000)
    expect(common).toHaveLength(3000)
    const faults = new Set<string | undefined>()
    for (const word of common) faults.add(await passwordFault(word, { ...alice, names: [] }))
    expect(faults).toEqual(new Set(['common']))
  })
})

it('what is sent at sign-in but cannot be anybody’s password is not hashed', () => {
  expect(isPossiblePassword('x'.repeat(1024))).toBe(true)
  expect(isPossiblePassword('x'.repeat(1025))).toBe(false)
  expect(isPossiblePassword('🔑'.repeat(257))).toBe(false)
})

describe('the hasher', () => {
  const settings = { memory: 19_456, passes: 1, minLength: 8 }
  const hasher = (onWait: (seconds: number) => void = () => undefined) => makePasswordHasher(settings, onWait)

  it('makes argon2id hashes with a salt of their own and a tag of 32 bytes', async () => {
    const one = await hasher().hash('a password')
    const other = await hasher().hash('a password')
    expect(one).not.toBe(other)
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,(t=1,p=1|p=1,t=1)\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  })

  it('fits the password to the last byte, and no hash fits anything', async () => {
    const { hash, verify } = hasher()
    const stored = await hash('a password')
    expect(await verify(stored, 'a password')).toBe(true)
    for (const other of ['A password', 'a password ', 'a passwor', ''])
      expect(await verify(stored, other)).toBe(false)
    expect(await verify(undefined, 'a password')).toBe(false)
    expect(await verify(undefined, 'nobody has this password')).toBe(false)
  })

  it('without a hash takes about as long as with one', async () => {
    const { hash, verify } = makePasswordHasher({ ...settings, passes: 10 }, () => undefined)
    const stored = await hash('a password')
    await verify(undefined, 'warm')
    const timed = async (hashed: string | undefined): Promise<number> => {
      const startedAt = performance.now()
      await verify(hashed, 'wrong')
      return performance.now() - startedAt
    }
    const best = async (hashed: string | undefined): Promise<number> =>
      Math.min(await timed(hashed), await timed(hashed), await timed(hashed))
    const known = await best(stored)
    const unknown = await best(undefined)
    // It runs: without it, it would take a thousandth.
    expect(unknown).toBeGreaterThan(known / 4)
    expect(known).toBeGreaterThan(unknown / 4)
  })

  it('knows a hash that was made with other settings', async () => {
    const { hash, isOutdated } = hasher()
    expect(isOutdated(await hash('x'))).toBe(false)
    for (const options of [
      { memoryCost: 32_768, timeCost: 1 },
      { memoryCost: 19_456, timeCost: 2 },
    ])
      expect(isOutdated(await argon2.hash('x', { ...options, parallelism: 1 }))).toBe(true)
  })

  it('lets tasks in one after the other, in order, and a task that throws gives its place on', async () => {
    const waits: number[] = []
    const { inTurn } = hasher(seconds => waits.push(seconds))
    const order: number[] = []
    let running = 0
    let most = 0
    const results = await Promise.allSettled(
      Array.from({ length: 30 }, (_, index) =>
        inTurn(async () => {
          running += 1
          most = Math.max(most, running)
          order.push(index)
          await new Promise(resolve => setTimeout(resolve, 2))
          running -= 1
          if (index % 3 === 0) throw new Error('broken')
          return index
        }),
      ),
    )
    expect(order).toEqual(Array.from({ length: 30 }, (_, index) => index))
    expect(results.filter(result => result.status === 'rejected')).toHaveLength(10)
    const { availableParallelism } = await import('node:os')
    expect(most).toBeLessThanOrEqual(Math.max(1, availableParallelism() - 1))
    expect(waits.length).toBe(30 - most)
    expect(await inTurn(async () => 'free again')).toBe('free again')
  })

  it('REL-22 refuses at once whoever would have to wait longer than 5 seconds, and those who have', async () => {
    const { inTurn } = hasher()
    const { availableParallelism } = await import('node:os')
    const places = Math.max(1, availableParallelism() - 1)
    let release = (): void => undefined
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    const holding = Array.from({ length: places }, () => inTurn(() => held))
    const startedAt = performance.now()
    const outcomes = await Promise.all(
      Array.from({ length: 3 }, () => inTurn(async () => 'ran').catch((error: unknown) => error)),
    )
    const took = performance.now() - startedAt
    expect(took).toBeGreaterThan(4_500)
    expect(took).toBeLessThan(7_000)
    for (const outcome of outcomes) {
      expect(outcome).toBeInstanceOf(Refusal)
      if (!(outcome instanceof Refusal)) continue
      expect(outcome.status).toBe(503)
      expect(Number(outcome.options.headers?.['Retry-After'])).toBeGreaterThanOrEqual(1)
    }
    release()
    await Promise.all(holding)
    // The turns of before took long: a crowd is refused without waiting.
    const crowd = await Promise.all(
      Array.from({ length: places * 40 }, () =>
        inTurn(() => new Promise(resolve => setTimeout(resolve, 5))).then(
          () => 'ran',
          () => 'refused',
        ),
      ),
    )
    expect(crowd).toContain('refused')
    expect(crowd.filter(one => one === 'ran').length).toBeGreaterThanOrEqual(places)
  }, 15_000)
})
