import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openDatabase } from '../../src/store/database.ts'
import { build } from '../cli/lintel-process.ts'
import { type Cluster, type Instance, startCluster } from '../support/cluster.ts'
import { databaseKinds, sized } from '../support/databases.ts'
import { expectInvariants } from '../support/invariants.ts'
import { introspect } from '../support/tokens.ts'
import { startTraffic, type Traffic } from '../support/traffic.ts'

let cluster: Cluster | undefined
beforeAll(build, 120_000)
afterEach(async () => {
  await cluster?.stop()
  cluster = undefined
})

/** Everything that an app was told with 200 is so, at this instance (INV-3, INV-4). */
const expectKept = async (
  { client }: Cluster,
  { endpoint }: Instance,
  { held, revoked }: Pick<Traffic, 'held' | 'revoked'>,
): Promise<void> => {
  const isActive = async (token: string): Promise<unknown> =>
    (await introspect(endpoint, client, token)).json['active']
  for (const { access_token, refresh_token } of held)
    expect([await isActive(access_token), await isActive(refresh_token)]).toEqual([true, true])
  for (const { token } of revoked) expect(await isActive(token)).toBe(false)
}

/** INV-7: what was acknowledged has its audit row. */
const expectAudited = async ({ database }: Cluster, { revoked }: Pick<Traffic, 'revoked'>): Promise<void> => {
  const store = await openDatabase(database.parsed, { poolSize: 1 })
  const rows = await store.search<{ request_id: string }>(knex =>
    knex('audit').select('request_id').where({ event: 'token.revoked' }),
  )
  await store.close()
  const present = new Set(rows.map(row => row.request_id))
  expect(revoked.filter(({ requestId }) => !present.has(requestId))).toEqual([])
}

describe.each(databaseKinds)('killed at any moment under load, on %s', kind => {
  it(
    'REL-01 nothing that was acknowledged is lost, nothing is half done, and it is back by itself',
    async () => {
      cluster = await startCluster(kind, kind === 'postgres' ? 2 : 1)
      const { endpoint, client, people, instances, database } = cluster
      const traffic = startTraffic(endpoint, client, people)
      let checked = { held: 0, revoked: 0 }
      const kills = sized(3, 100, 'kills')
      for (let round = 0; round < kills; round++) {
        const instance = instances[round % instances.length]
        if (!instance) throw new Error('no instance')
        const before = traffic.answered()
        while (traffic.answered() < before + 20) await wait(10)
        await wait(Math.random() * 200)
        await instance.kill()
        await cluster.untilReady(instance, false)
        await instance.start()
        await cluster.untilReady(instance)
        // At every instance, for what one acknowledged another must know; the traffic goes on meanwhile.
        const [held, revoked] = [traffic.held.slice(checked.held), traffic.revoked.slice(checked.revoked)]
        checked = { held: checked.held + held.length, revoked: checked.revoked + revoked.length }
        for (const one of instances) await expectKept(cluster, one, { held: held.slice(-20), revoked })
        await expectInvariants(database)
        expect(traffic.wrong).toEqual([])
      }
      await traffic.stop()
      expect(traffic.wrong).toEqual([])
      expect(traffic.held.length).toBeGreaterThan(10)
      const [one] = instances
      if (one) await expectKept(cluster, one, traffic)
      await expectInvariants(database)
      await expectAudited(cluster, traffic)
    },
    sized(180_000, 7_200_000),
  )
})
