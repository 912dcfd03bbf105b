/** Rotation carried out on both databases, by many processes at once. */
import { afterEach, describe, expect, it } from 'vitest'
import { applyRotation, compromiseKey, rotateKeys } from '../../src/keys/rotate-keys.ts'
import { propagation } from '../../src/keys/rotation.ts'
import { type KeyRow, type KeyState, listKeys } from '../../src/keys/signing-key.ts'
import { listAudit } from '../../src/observe/audit.ts'
import { databaseKinds, type FreshDatabase, freshDatabase, fromOutside, sized } from '../support/databases.ts'
import { day, openProcess, type Process } from './support.ts'

const actor = { by: 'test' }

const inState = (rows: readonly KeyRow[], state: KeyState): string[] =>
  rows
    .filter(row => row.state === state)
    .map(row => row.alg)
    .sort()

describe.each(databaseKinds)('on %s', kind => {
  const ends: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  const makeDatabase = async (): Promise<FreshDatabase> => {
    const database = await freshDatabase(kind)
    ends.push(() => database.remove())
    return database
  }
  const open = async (...[database, ...more]: Parameters<typeof openProcess>): Promise<Process> => {
    const opened = await openProcess(database, ...more)
    ends.push(() => opened.close())
    return opened
  }
  const audited = async (one: Process): Promise<string[]> =>
    (await listAudit(one.services.store, 100)).map(row => row.event)

  it('announces, activates, unpublishes and forgets as time goes by', async () => {
    const one = await open(await makeDatabase())
    const { services, settings } = one
    const [first] = await listKeys(services.store)
    const states = async (alg: string): Promise<KeyState[]> => {
      await applyRotation(services, settings)
      return (await listKeys(services.store)).filter(row => row.alg === alg).map(row => row.state)
    }
    expect(await states('ES256')).toEqual(['active'])
    one.sleep(77 * day)
    expect(await states('ES256')).toEqual(['active', 'announced'])
    one.sleep(14 * day)
    expect(await states('ES256')).toEqual(['retiring', 'active'])
    one.sleep(14 * day)
    expect(await states('ES256')).toEqual(['retired', 'active'])
    one.sleep(400 * day)
    await states('ES256')
    const rows = await listKeys(services.store)
    expect(rows.find(row => row.kid === first?.kid)).toMatchObject({ state: 'gone', reason: null })
    expect(services.keys.hintVerifier(first?.kid ?? '')).toBeUndefined()
    for (const row of rows) expect(row.private_box === '').toBe(!['announced', 'active'].includes(row.state))
    expect(await audited(one)).toContain('key.retired')
  })

  it('goes on after 2038, when seconds are above 2^31 (REL-20)', async () => {
    const one = await open(await makeDatabase())
    const { services, settings } = one
    const before = services.keys.signer('ES256').kid
    one.sleep(20 * 365 * day)
    await applyRotation(services, settings)
    one.sleep(propagation)
    await applyRotation(services, settings)
    const { kid } = services.keys.signer('ES256')
    expect(kid).not.toBe(before)
    const row = (await listKeys(services.store)).find(key => key.kid === kid)
    expect(row?.active_at).toBeGreaterThan(2 ** 31)
    expect(await rotateKeys(services, settings, { when: 'now' }, actor)).toHaveLength(2)
  })

  it('of 20 rotations that are due in the same second one happens (REL-16)', async () => {
    const database = await makeDatabase()
    const processes = await Promise.all(Array.from({ length: 4 }, () => open(database)))
    // Connections are made before 40 keys are: all these processes share the threads of one.
    await Promise.all([...processes, ...processes, ...processes].map(one => listKeys(one.services.store)))
    const rounds = sized(1, 20, 'rounds')
    for (let round = 0; round < rounds; round++) {
      for (const one of processes) one.sleep(77 * day)
      await Promise.all(
        Array.from({ length: 20 }, (_, n) => {
          const { services, settings } = processes[n % 4] ?? processes[0] ?? expect.fail()
          return applyRotation(services, settings)
        }),
      )
      const rows = await listKeys(processes[0]?.services.store ?? expect.fail())
      expect(inState(rows, 'announced')).toEqual(['ES256', 'RS256'])
      expect(new Set(rows.map(row => row.kid)).size).toBe(rows.length)
      for (const one of processes) await one.refresh()
      const jwks = processes.map(one => one.services.keys.jwks().body.toString())
      expect(new Set(jwks).size).toBe(1)
      for (const one of processes) one.sleep(14 * day)
      await Promise.all(processes.map(one => applyRotation(one.services, one.settings)))
      expect(inState(await listKeys(processes[0]?.services.store ?? expect.fail()), 'active')).toEqual([
        'ES256',
        'RS256',
      ])
    }
  }, 60_000)

  it.each(['seen', 'now'] as const)(
    'two rotations asked for at once (%s) make one new key an algorithm',
    async when => {
      const database = await makeDatabase()
      const processes = await Promise.all([open(database), open(database)])
      const answers = await Promise.all(
        [...processes, ...processes].map(({ services, settings }) =>
          rotateKeys(services, settings, { when }, actor),
        ),
      )
      const rows = await listKeys(processes[0].services.store)
      expect(rows).toHaveLength(4)
      for (const answer of answers)
        expect(answer.map(key => key.kid)).toEqual(answers[0]?.map(key => key.kid))
      expect(answers[0]?.map(key => key.state)).toEqual(
        when === 'now' ? ['active', 'active'] : ['announced', 'announced'],
      )
      for (const { services } of processes) {
        await services.keys.reload()
        expect(services.keys.algorithms()).toEqual(['RS256', 'ES256'])
      }
    },
  )

  it('what was asked for signs when caches have seen it, and asking again changes nothing', async () => {
    const one = await open(await makeDatabase())
    const { services, settings } = one
    const [wanted] = await rotateKeys(services, settings, { alg: 'ES256', when: 'seen' }, actor)
    expect(await rotateKeys(services, settings, { alg: 'ES256', when: 'seen' }, actor)).toMatchObject([
      { kid: wanted?.kid, state: 'announced' },
    ])
    one.sleep(propagation - 60)
    await applyRotation(services, settings)
    expect(services.keys.signer('ES256').kid).not.toBe(wanted?.kid)
    expect(services.keys.jwks().body.toString()).toContain(wanted?.kid)
    one.sleep(61)
    await applyRotation(services, settings)
    expect(services.keys.signer('ES256').kid).toBe(wanted?.kid)
    expect(await audited(one)).toEqual(['key.created', 'key.rotated', 'key.retired'])
  })

  it('an algorithm that is not configured cannot be rotated', async () => {
    const { services, settings } = await open(await makeDatabase())
    await expect(rotateKeys(services, settings, { alg: 'EdDSA', when: 'now' }, actor)).rejects.toMatchObject({
      error: 'invalid_algorithm',
    })
  })

  it('a compromised key is gone, its successor signs, and others follow the change counter (SEC-116)', async () => {
    const database = await makeDatabase()
    const [one, other] = await Promise.all([open(database), open(database)])
    const { kid } = one.services.keys.signer('ES256')
    const answers = await Promise.all(
      [one, other].map(({ services, settings }) => compromiseKey(services, settings, kid, actor)),
    )
    expect(answers).toMatchObject([{ state: 'gone', reason: 'compromised' }, { state: 'gone' }])
    await other.refresh()
    for (const { services } of [one, other]) {
      expect(services.keys.verifier(kid)).toBeUndefined()
      expect(services.keys.hintVerifier(kid)).toBeUndefined()
      expect(services.keys.jwks().body.toString()).not.toContain(kid)
      expect(services.keys.signer('ES256').kid).not.toBe(kid)
    }
    const rows = await listKeys(one.services.store)
    expect(inState(rows, 'active')).toEqual(['ES256', 'RS256'])
    expect(rows.find(row => row.kid === kid)?.private_box).toBe('')
    expect((await audited(one)).filter(event => event === 'key.revoked')).toHaveLength(1)
  })

  it('an unknown kid is not_found', async () => {
    const { services, settings } = await open(await makeDatabase())
    await expect(compromiseKey(services, settings, 'es256-unknown', actor)).rejects.toMatchObject({
      status: 404,
    })
  })

  it('when the audit cannot be written no key changes (SEC-121)', async () => {
    const database = await makeDatabase()
    const { services, settings } = await open(database)
    const before = await listKeys(services.store)
    await fromOutside(
      database,
      ...(kind === 'sqlite'
        ? [`create trigger no_audit before insert on audit begin select raise(abort, 'no'); end`]
        : [
            `create function no_audit() returns trigger language plpgsql as 'begin raise exception ''no''; end'`,
            'create trigger no_audit before insert on audit for each row execute function no_audit()',
          ]),
    )
    await expect(rotateKeys(services, settings, { when: 'now' }, actor)).rejects.toThrow()
    expect(await listKeys(services.store)).toEqual(before)
  })

  it('an algorithm that is configured later is announced first, and offered when it signs', async () => {
    const database = await makeDatabase()
    await (await openProcess(database)).close()
    const one = await open(database, { LINTEL_KEYS_ALGORITHMS: 'RS256,ES256,EdDSA,PS256' })
    const { services, settings } = one
    await applyRotation(services, settings)
    expect(inState(await listKeys(services.store), 'announced')).toEqual(['EdDSA', 'PS256'])
    expect(services.keys.algorithms()).toEqual(['RS256', 'ES256'])
    one.sleep(propagation)
    await applyRotation(services, settings)
    expect(services.keys.algorithms()).toEqual(['RS256', 'PS256', 'ES256', 'EdDSA'])
  })
})
