import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { build } from '../cli/lintel-process.ts'
import { until } from '../store/support.ts'
import { startCluster } from '../support/cluster.ts'
import { asAdmin, type FreshDatabase, sized } from '../support/databases.ts'
import { expectInvariants } from '../support/invariants.ts'
import { markAsStandby, type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { startSwitch } from '../support/switch.ts'
import { introspect } from '../support/tokens.ts'
import { startTraffic } from '../support/traffic.ts'

const cleaning: (() => unknown)[] = []
beforeAll(build, 120_000)
afterEach(async () => {
  for (const clean of cleaning.splice(0).reverse()) await clean()
})

const start = async (standbyOf?: PostgresServer): Promise<PostgresServer> => {
  const server = await startPostgres({ durable: true, ...(standbyOf ? { standbyOf } : {}) })
  cleaning.push(server.stop)
  return server
}

const valueAt = async ({ url }: PostgresServer, sql: string): Promise<unknown> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(sql)
  await client.end()
  return rows[0]?.value
}

/** A primary whose commits wait for a standby, and an address before both. */
const startPair = async () => {
  const primary = await start()
  const standby = await start(primary)
  await asAdmin(
    primary.url,
    "alter system set synchronous_standby_names = 'standby'",
    'select pg_reload_conf()',
  )
  const state = "select sync_state as value from pg_stat_replication where application_name = 'standby'"
  await until(async () => (await valueAt(primary, state)) === 'sync')
  const address = await startSwitch(primary.port)
  cleaning.push(address.stop)
  const url = new URL(primary.url)
  url.port = String(address.port)
  const database: FreshDatabase = {
    kind: 'postgres',
    url: url.href,
    parsed: { kind: 'postgres', url: url.href },
    remove: async () => undefined,
  }
  return { primary, standby, address, database }
}

it(
  'REL-09 a synchronous standby takes over under load: nothing acknowledged is lost, and the old primary gets no write',
  async () => {
    const rounds = sized(1, 10, 'fail-overs')
    for (let round = 0; round < rounds; round++) {
      const { primary, standby, address, database } = await startPair()
      const cluster = await startCluster('postgres', 2, {}, database)
      cleaning.push(cluster.stop)
      const { endpoint, client, people, instances } = cluster
      const traffic = startTraffic(endpoint, client, people)
      while (traffic.answered() < 60 && traffic.wrong.length === 0) await wait(10)

      await primary.crash()
      // The old one comes back first, as a standby that only reads: nobody is served by it.
      markAsStandby(primary.directory)
      await primary.start()
      address.leadTo(primary.port)
      for (const instance of instances) await cluster.untilReady(instance, false)
      expect(await valueAt(primary, 'select pg_is_in_recovery() as value')).toBe(true)
      const endOfOld = 'select pg_last_wal_replay_lsn()::text as value'
      const old = await valueAt(primary, endOfOld)

      await asAdmin(standby.url, 'select pg_promote()')
      await asAdmin(standby.url, 'alter system reset synchronous_standby_names', 'select pg_reload_conf()')
      address.leadTo(standby.port)
      for (const instance of instances) await cluster.untilReady(instance)
      const before = traffic.answered()
      while (traffic.answered() < before + 60 && traffic.wrong.length === 0) await wait(10)
      await traffic.stop()

      expect(traffic.wrong).toEqual([])
      expect(traffic.interrupted.length).toBeGreaterThan(0)
      for (const { access_token, refresh_token } of traffic.held)
        for (const token of [access_token, refresh_token])
          expect((await introspect(endpoint, client, token)).json['active']).toBe(true)
      for (const { token } of traffic.revoked)
        expect((await introspect(endpoint, client, token)).json['active']).toBe(false)
      expect(await valueAt(primary, endOfOld)).toBe(old)
      await expectInvariants(database)
      for (const clean of cleaning.splice(0).reverse()) await clean()
    }
  },
  sized(180_000, 7_200_000),
)
