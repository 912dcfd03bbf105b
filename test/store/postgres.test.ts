import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { GuardFailed, StoreUnavailable, write } from '../../src/store/commit.ts'
import { openDatabase, type Store } from '../../src/store/database.ts'
import { statement } from '../../src/store/statement.ts'
import { fromOutside, sized } from '../support/databases.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import {
  allThings,
  countThings,
  ending,
  newThing,
  relabel,
  scratchStore,
  scratchTables,
  type Thing,
  take,
} from './support.ts'

/** A connection of somebody else's, such as a backup or an administrator. */
const outsider = async (url: string) => {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

const ownBackends =
  "select pid from pg_stat_activity where application_name = 'lintel' and datname = current_database()"
const killBackends = `select pg_terminate_backend(pid) from (${ownBackends}) as own`

const setting = async (store: Store, name: string): Promise<unknown> =>
  (
    await store.search<{ value: string }>(knex =>
      knex.select(knex.raw('current_setting(?) as value', [name])),
    )
  )[0]?.value

/** Makes updates of `thing` raise, as often as it says; counted in a sequence, which no rollback sets back. */
const raising = (code: string, times: number): string[] => [
  'drop sequence if exists tries',
  'create sequence tries',
  `create or replace function raise_error() returns trigger language plpgsql as $$ begin
     if nextval('tries') <= ${times} then raise exception 'injected' using errcode = '${code}'; end if;
     return new; end $$`,
  'create or replace trigger injected before update on thing for each row execute function raise_error()',
]

describe('PostgreSQL', () => {
  let fresh: Awaited<ReturnType<typeof scratchStore>>
  let other: pg.Client
  beforeEach(async () => {
    fresh = await scratchStore('postgres', { poolSize: 4 })
    other = await outsider(fresh.database.url)
    await fresh.store.commit([newThing('a'), newThing('b')])
  })
  afterEach(async () => {
    await other.end()
    await fresh.remove()
  })

  it('commits are on disk before they are answered, and patience is short', async () => {
    const { store } = fresh
    expect(await setting(store, 'synchronous_commit')).toBe('on')
    expect(await setting(store, 'statement_timeout')).toBe('5s')
    expect(await setting(store, 'lock_timeout')).toBe('2s')
    expect(await setting(store, 'idle_in_transaction_session_timeout')).toBe('10s')
    expect(await setting(store, 'default_transaction_isolation')).toBe('read committed')
  })

  it('those settings stand above what the database or its URL says', async () => {
    await fromOutside(
      fresh.database,
      `alter database ${new URL(fresh.database.url).pathname.slice(1)} set synchronous_commit = off`,
    )
    const url = `${fresh.database.url}?options=-c%20default_transaction_isolation%3Dserializable`
    const store = await openDatabase({ kind: 'postgres', url }, { poolSize: 1 })
    expect(await setting(store, 'synchronous_commit')).toBe('on')
    expect(await setting(store, 'default_transaction_isolation')).toBe('read committed')
    await store.close()
  })

  it('other users of pg in the process keep their own parsers', () => {
    expect(pg.types.getTypeParser(pg.types.builtins.INT8)('5')).toBe('5')
  })

  it('an integer above 2^53 is an error and not a wrong number', async () => {
    await fromOutside(fresh.database, "update thing set expires_at = 9007199254740993 where id = 'a'")
    await expect(allThings(fresh.store)).rejects.toBeInstanceOf(RangeError)
    await fromOutside(fresh.database, "update thing set expires_at = 9007199254740991 where id = 'a'")
    expect((await allThings(fresh.store))[0]?.expires_at).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('a commit that is the victim of a deadlock runs again', async () => {
    await other.query(
      "begin; set local deadlock_timeout = '20s'; update thing set label = 'o' where id = 'b'",
    )
    const commit = ending(fresh.store.commit([relabel('a', 'ours'), relabel('b', 'ours too')]))
    await wait(200)
    const crossing = other.query("update thing set label = 'p' where id = 'a'")
    await crossing
    await other.query('commit')
    expect(await commit).toBe('done')
    expect((await allThings(fresh.store)).map(({ label }) => label)).toEqual(['ours', 'ours too'])
  })

  it.each(['40001', '40P01'])('%s is tried again three times, then it is 503', async code => {
    await fromOutside(fresh.database, ...raising(code, 3))
    await fresh.store.commit([take('a')])
    await fromOutside(fresh.database, ...raising(code, 99))
    expect(await ending(fresh.store.commit([take('b')]))).toBeInstanceOf(StoreUnavailable)
    expect((await other.query('select last_value from tries')).rows).toEqual([{ last_value: '4' }])
  })

  it("the database's trouble is 503, changes nothing, and is over when its cause is", async () => {
    const { store } = fresh
    const codes = '53100 53200 53300 58030 XX001 57014 55P03 25006 08006 57P01 57P03 P0001'.split(' ')
    for (const [index, code] of codes.entries()) {
      await fromOutside(fresh.database, ...raising(code, 1))
      const commit = [newThing(code), relabel('a', code)]
      expect(await ending(store.commit(commit)), code).toMatchObject({ status: 503 })
      expect(await countThings(store), code).toBe(2 + index)
      await store.commit(commit)
    }
  })

  it('a mistake of ours is no 503', async () => {
    for (const code of ['22012', '42501', '23514', '23502']) {
      await fromOutside(fresh.database, ...raising(code, 1))
      const end = await ending(fresh.store.commit([take('a')]))
      expect(end).toMatchObject({ code })
      expect(end).not.toBeInstanceOf(StoreUnavailable)
    }
  })

  it('a row that somebody holds fails only who needs it, after two seconds', async () => {
    await other.query("begin; update thing set label = 'held' where id = 'a'")
    const began = performance.now()
    const held = ending(fresh.store.commit([take('a')]))
    let waits = true
    void held.then(() => {
      waits = false
    })
    for (let n = 0; n < 20; n++) await fresh.store.commit([newThing(`n${n}`)])
    expect(waits).toBe(true)
    expect(await held).toBeInstanceOf(StoreUnavailable)
    expect(performance.now() - began).toBeLessThan(5000)
    await other.query('rollback')
    await fresh.store.commit([take('a')])
  })

  it('who waits two seconds for a connection is told 503', async () => {
    await other.query('begin; update thing set used_at = null')
    const began = performance.now()
    const ends = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        ending(n % 2 ? fresh.store.commit([take('a')]) : allThings(fresh.store)),
      ),
    )
    expect(performance.now() - began).toBeLessThan(6000)
    expect(ends.every(end => end === 'done' || end instanceof StoreUnavailable)).toBe(true)
    await other.query('rollback')
    await fresh.store.commit([take('a')])
  })

  it('connections that were killed while idle are noticed by nobody', async () => {
    const { store } = fresh
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 4 }, () => allThings(store)))
      await other.query(killBackends)
      // The server's goodbye is on its way: a read meets it now and then, and is sent again.
      expect(await countThings(store)).toBe(2)
      await wait(20)
      await store.commit([relabel('a', `round ${round}`)])
    }
  })

  it('a connection that is killed under a commit is 503, and the next commit gets another', async () => {
    await other.query("begin; update thing set label = 'held' where id = 'a'")
    const held = ending(fresh.store.commit([take('a')]))
    await wait(100)
    await other.query(killBackends)
    expect(await held).toBeInstanceOf(StoreUnavailable)
    await other.query('rollback')
    await fresh.store.commit([take('a')])
  })

  it('while connections are killed all the time, what was acknowledged is there', async () => {
    const { store } = fresh
    const end = performance.now() + sized(1500, 60_000)
    let n = 0
    const done = new Set<string>()
    const others: unknown[] = []
    const work = async (): Promise<void> => {
      while (performance.now() < end) {
        const id = `k${++n}`
        const how = await ending(store.commit([newThing(id)]))
        if (how === 'done') done.add(id)
        else others.push(how)
      }
    }
    const killing = (async () => {
      while (performance.now() < end - 100) {
        await wait(50)
        await other.query(killBackends)
      }
    })()
    await Promise.all([work(), work(), work(), work(), killing])
    expect(others.every(how => how instanceof StoreUnavailable)).toBe(true)
    expect(done.size).toBeGreaterThan(10)
    const present = new Set((await allThings(store)).map(({ id }) => id))
    expect([...done].filter(id => !present.has(id))).toEqual([])
  }, 120_000)

  it('a change of a table that a prepared statement reads is noticed by nobody', async () => {
    const everything = statement<Record<never, never>, Thing>('thing.everything', knex =>
      knex('thing').select(),
    )
    const { store } = fresh
    await Promise.all(Array.from({ length: 4 }, () => store.all(everything, {})))
    await fromOutside(fresh.database, 'alter table thing add column note text')
    expect(await store.all(everything, {})).toHaveLength(2)
    await store.commit([take('a')])
  })

  it('more shapes of commits than are kept ready still work', async () => {
    const { store } = fresh
    const shapes = Array.from({ length: 520 }, (_, n) =>
      statement<{ id: string }>(`thing.shape-${n}`, (knex, { id }) =>
        knex('thing')
          .where({ id })
          .update({ label: knex.raw(`'${n}'`) }),
      ),
    )
    for (let round = 0; round < 2; round++)
      for (const shape of shapes) await store.commit([write(shape, { id: 'a' })])
    expect((await allThings(store))[0]?.label).toBe('519')
  })

  it('a guard that fails costs no connection', async () => {
    const { store } = fresh
    const pids = async (): Promise<unknown> => (await other.query(`${ownBackends} order by pid`)).rows
    await Promise.all(Array.from({ length: 4 }, () => allThings(store)))
    const before = await pids()
    await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        expect(store.commit([n % 2 ? take('-') : newThing('a')])).rejects.toBeInstanceOf(GuardFailed),
      ),
    )
    expect(await pids()).toEqual(before)
  })

  it('an address where nobody answers, and a wrong password, are 503 at once', async () => {
    const wrong = new URL(fresh.database.url)
    wrong.password = 'wrong'
    for (const url of ['postgres://a:b@127.0.0.1:1/x', wrong.href])
      expect(await ending(openDatabase({ kind: 'postgres', url }, { poolSize: 1 }))).toBeInstanceOf(
        StoreUnavailable,
      )
  })
})

describe('a PostgreSQL that goes and comes', () => {
  let server: PostgresServer
  let store: Store
  beforeAll(async () => {
    server = await startPostgres({ durable: true })
    const client = await outsider(server.url)
    for (const sql of scratchTables('postgres')) await client.query(sql)
    const guard = await import('../../migrations/0006-commit-guard.ts')
    const { default: knexFactory } = await import('knex')
    const knex = knexFactory({ client: 'pg', connection: server.url })
    await guard.up(knex)
    await knex.destroy()
    await client.end()
    store = await openDatabase({ kind: 'postgres', url: server.url }, { poolSize: 4 })
  })
  afterAll(async () => {
    await store.close()
    await server.stop()
  })

  /** Commits as fast as four can until it is told to stop. */
  const underLoad = (prefix: string) => {
    let stopped = false
    let n = 0
    const done = new Set<string>()
    const failures: { at: number; reason: unknown }[] = []
    let lastDone = 0
    const work = async (): Promise<void> => {
      while (!stopped) {
        const id = `${prefix}${++n}`
        const how = await ending(store.commit([newThing(id)]))
        if (how === 'done') {
          done.add(id)
          lastDone = performance.now()
        } else {
          failures.push({ at: performance.now(), reason: how })
          await wait(20)
        }
      }
    }
    const working = Promise.all(Array.from({ length: 4 }, work))
    return {
      done,
      failures,
      lastDone: () => lastDone,
      stop: async () => {
        stopped = true
        await working
      },
    }
  }

  const expectAcknowledged = async (done: Set<string>): Promise<void> => {
    const present = new Set((await allThings(store)).map(({ id }) => id))
    expect([...done].filter(id => !present.has(id))).toEqual([])
  }

  it('a fast restart under load: what fails is 503, and it works again within five seconds (REL-08)', async () => {
    const rounds = sized(2, 10, 'restarts')
    for (let round = 0; round < rounds; round++) {
      const load = underLoad(`restart-${round}-`)
      await wait(200)
      await server.restart()
      const back = performance.now()
      await wait(300)
      while (load.lastDone() < back && performance.now() < back + 5000) await wait(10)
      await load.stop()
      expect(load.lastDone()).toBeGreaterThan(back)
      expect(load.failures.every(({ reason }) => reason instanceof StoreUnavailable)).toBe(true)
      await expectAcknowledged(load.done)
    }
  }, 120_000)

  it('a crash loses no acknowledged commit', async () => {
    const rounds = sized(1, 10, 'crashes')
    for (let round = 0; round < rounds; round++) {
      const load = underLoad(`crash-${round}-`)
      await wait(300)
      await server.crash()
      await wait(100)
      await server.start()
      await wait(200)
      await load.stop()
      expect(load.failures.every(({ reason }) => reason instanceof StoreUnavailable)).toBe(true)
      expect(load.done.size).toBeGreaterThan(0)
      await expectAcknowledged(load.done)
    }
  }, 120_000)

  it('connections to a server that became read-only leave the pool (REL-09)', async () => {
    const client = await outsider(server.url)
    const become = async (readOnly: 'on' | 'off'): Promise<void> => {
      await client.query('set default_transaction_read_only = off')
      await client.query(`alter system set default_transaction_read_only = ${readOnly}`)
      await client.query('select pg_reload_conf()')
      await wait(100)
    }
    await Promise.all(Array.from({ length: 4 }, () => allThings(store)))
    const pids = async (): Promise<number[]> => (await client.query(ownBackends)).rows.map(row => row.pid)
    const before = await pids()
    await become('on')
    for (let n = 0; n < 3; n++)
      expect(await ending(store.commit([newThing(`read-only-${n}`)]))).toBeInstanceOf(StoreUnavailable)
    await become('off')
    await store.commit([newThing('writable')])
    expect((await pids()).filter(pid => before.includes(pid))).toEqual([])
    expect((await allThings(store)).some(({ id }) => id.startsWith('read-only'))).toBe(false)
    await client.end()
  })

  it.runIf(process.env['LINTEL_TEST_LONG'])(
    'a server that says nothing any more is 503 after seven seconds',
    async () => {
      const client = await outsider(server.url)
      await Promise.all(Array.from({ length: 4 }, () => allThings(store)))
      const pids = (await client.query(ownBackends)).rows.map(row => Number(row.pid))
      for (const pid of pids) process.kill(pid, 'SIGSTOP')
      const began = performance.now()
      try {
        const ends = await Promise.all([ending(allThings(store)), ending(store.commit([newThing('silent')]))])
        expect(ends.every(end => end instanceof StoreUnavailable)).toBe(true)
        expect(performance.now() - began).toBeLessThan(9000)
        // Two of the four connections are dead now and gone; new ones are made in their place.
        await store.commit([newThing('again')]).catch(() => undefined)
      } finally {
        for (const pid of pids) process.kill(pid, 'SIGCONT')
        await client.end()
      }
    },
  )
})
