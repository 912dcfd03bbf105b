/** Clean-up of what is over (REL-28): in batches, by one of two servers, and to the end. */
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../store/support.ts'
import { databaseKind, freshDatabase, fromOutside, sized } from '../support/databases.ts'
import { type ServerOptions, startServer, type TestServer } from '../support/server.ts'

const cleaning: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const clean of cleaning.splice(0).reverse()) await clean()
})

/** So many rows that are over, in tables of each way to be cleaned. */
const fillings = (rows: number): string[] => {
  const numbers =
    databaseKind() === 'sqlite'
      ? `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${rows}) `
      : ''
  const from = databaseKind() === 'sqlite' ? 'n' : `generate_series(1, ${rows}) as n(i)`
  return [
    `insert into revoked_access_token (jti, expires_at) ${numbers}select 'jti' || i, 1000 from ${from}`,
    `insert into used_assertion (jti_hash, expires_at) ${numbers}select 'jti' || i, 1000 from ${from}`,
    `insert into opaque_token (id, secret_hash, claims, expires_at) ${numbers}select '0000000' || i, 'hash', '{}', 1000 from ${from}`,
  ]
}

const tables = ['revoked_access_token', 'used_assertion', 'opaque_token']

const rowsOf = async ({ services }: TestServer): Promise<number> => {
  let rows = 0
  for (const table of tables) {
    const [found] = await services.store.search<{ n: number }>(knex => knex(table).count({ n: '*' }))
    rows += found?.n ?? 0
  }
  return rows
}

describe('what is over', () => {
  it('REL-28 goes in batches of at most a thousand, one server at a time, until nothing is left', async () => {
    const database = await freshDatabase(databaseKind())
    cleaning.push(() => database.remove())
    const rows = sized(2500, 330_000, 'rows in each of three tables')
    await fromOutside(database, ...fillings(rows))
    const deletes: { server: string; of: string; limit: number; began: number; ended: number }[] = []
    const start = async (name: string): Promise<TestServer> => {
      const options: ServerOptions = {
        database: { ...database, remove: async () => undefined },
        wrapStore: store => ({
          ...store,
          commit: async writes => {
            const began = performance.now()
            await store.commit(writes)
            const [first] = writes
            if (first?.statement.name.endsWith('.clean'))
              deletes.push({
                server: name,
                of: first.statement.name,
                limit: Number(first.values['limit']),
                began,
                ended: performance.now(),
              })
          },
        }),
      }
      const server = await startServer(options)
      cleaning.push(() => server.stop())
      return server
    }
    const one = await start('one')
    const two = await start('two')
    await until(async () => (await rowsOf(one)) === 0, 1_800_000)
    expect(deletes.filter(({ of }) => of === 'opaque_token.clean').length).toBeGreaterThanOrEqual(rows / 1000)
    expect(deletes.filter(({ limit }) => limit > 1000)).toEqual([])
    const together = deletes.filter(a =>
      deletes.some(b => a.server !== b.server && a.began < b.ended && b.began < a.ended),
    )
    expect(together).toEqual([])
    expect((await two.browser().send('/readyz')).status).toBe(200)
  }, 1_900_000)
})
