import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { build } from '../cli/lintel-process.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { sized } from '../support/databases.ts'
import { expectInvariants } from '../support/invariants.ts'
import { makeNextVersion } from '../support/next-version.ts'
import { introspect } from '../support/tokens.ts'
import { startTraffic } from '../support/traffic.ts'

const cleaning: (() => unknown)[] = []
beforeAll(build, 120_000)
afterEach(async () => {
  for (const clean of cleaning.splice(0).reverse()) await clean()
})

const start = async (): Promise<Cluster> => {
  const cluster = await startCluster('postgres', 2)
  cleaning.push(cluster.stop)
  return cluster
}

const nextVersion = (name: string, migration: string): string => {
  const next = makeNextVersion(name, migration)
  cleaning.push(next.remove)
  return next.bin
}

/** What a migration may add: a table, columns of tables in use, an index. */
const adding = `export const additive = true
export const up = async knex => {
  await knex.schema.createTable('next_thing', table => table.text('id').primary())
  await knex.schema.alterTable('authorization', table => table.text('next_note'))
  await knex.schema.alterTable('refresh_family', table => {
    table.bigInteger('next_at').notNullable().defaultTo(0)
  })
  await knex.schema.alterTable('user', table => {
    table.text('next_name')
    table.index(['next_name'])
  })
}`

it(
  'REL-14 a new version comes in under load, both live side by side, and the old one comes back: no request fails',
  async () => {
    const cluster = await start()
    const { endpoint, client, people, instances } = cluster
    const next = nextVersion('9998-what-is-added', adding)
    const traffic = startTraffic(endpoint, client, people)
    const goOn = async (): Promise<void> => {
      const before = traffic.answered()
      while (traffic.answered() < before + 60 && traffic.wrong.length === 0) await wait(10)
    }
    const rounds = sized(1, 20, 'upgrades of both, and back')
    for (let round = 0; round < rounds; round++) {
      await goOn()
      const old = traffic.held.slice(-5)
      for (const bin of [next, undefined])
        for (const instance of instances) {
          await instance.stop()
          await cluster.untilReady(instance, false)
          await instance.start(bin)
          await cluster.untilReady(instance)
          await goOn()
          // What one version issued, the other takes; traffic goes to both in turn.
          for (const { access_token, refresh_token } of old)
            for (const token of [access_token, refresh_token])
              for (const one of instances)
                expect((await introspect(one.endpoint, client, token)).json['active']).toBe(true)
        }
    }
    await traffic.stop()
    expect(traffic.interrupted).toEqual([])
    expect(traffic.wrong).toEqual([])
    await expectInvariants(cluster.database)
  },
  sized(180_000, 7_200_000),
)

it('REL-14 a version that took something away lets the old one not start, and that says so', async () => {
  const cluster = await start()
  const [one] = cluster.instances
  if (!one) throw new Error('no instance')
  await one.stop()
  await one.start(
    nextVersion(
      '9999-what-is-taken',
      `export const up = knex => knex.schema.alterTable('session_client', table => table.dropColumn('first_at'))`,
    ),
  )
  await one.stop()
  await expect(one.start()).rejects.toThrow('newer version of Lintel (9999-what-is-taken)')
}, 120_000)
