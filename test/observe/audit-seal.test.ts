/** The seals over the audit, on both databases. */
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { runCommandLine } from '../../src/cli/command-line.ts'
import { type AuditEvent, auditColumns, listAudit, makeAudit } from '../../src/observe/audit.ts'
import { forgetOldAudit, lastSeal, sealAudit } from '../../src/observe/audit-seal.ts'
import { verifyAudit } from '../../src/observe/audit-verification.ts'
import { openDatabase, type Store } from '../../src/store/database.ts'
import {
  databaseKinds,
  type FreshDatabase,
  freshDatabase,
  freshStore,
  fromOutside,
  sized,
  testMasterKey,
} from '../support/databases.ts'
import { eventually, startServer } from '../support/server.ts'

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const now = () => new Date()

const numbered = (n: number): AuditEvent => ({
  event: 'login.failed',
  reason: `attempt ${n} of "Zoë" \u2028 \u{1f600}`,
  ...(n % 2 ? { clientId: `client-${n}` } : {}),
  detail: { n, nested: { text: '\u0000\ud800' } },
})

describe.each(databaseKinds)('on %s', kind => {
  const start = async () => {
    const { store, database, remove } = await freshStore(kind)
    ends.push(remove)
    const audit = makeAudit(store, now)
    return {
      store,
      database,
      /** So many events, each in a commit of its own. */
      write: async (many: number): Promise<void> => {
        for (let n = 0; n < many; n++) await audit.record(numbered(n))
      },
      seal: () => sealAudit({ store, now }),
      ids: async () => (await listAudit(store, 1000)).map(row => row.id),
    }
  }

  it('covers all that was written, seal by seal', async () => {
    const { store, write, seal } = await start()
    expect(await verifyAudit({ store, now })).toMatchObject({
      ok: true,
      events: 0,
      unsealed: 0,
      lastSeal: null,
    })
    await seal()
    expect(await lastSeal(store)).toMatchObject({ id: 0 })
    await write(3)
    await seal()
    await write(4)
    await seal()
    await seal()
    await write(2)
    const { id, seal: text } = await lastSeal(store)
    expect(id).toBe(2)
    expect(await verifyAudit({ store, now })).toEqual({
      ok: true,
      events: 9,
      unsealed: 2,
      lastSeal: text,
      broken: [],
      knowsSeal: true,
    })
  })

  it('covers every column there is', async () => {
    const { store, write } = await start()
    await write(1)
    const [row] = await store.search<Record<string, unknown>>(knex => knex('audit').select('*'))
    expect(Object.keys(row ?? {}).sort()).toEqual(auditColumns.toSorted())
  })

  /** What somebody could do with the database in hand, between 10 events in 2 seals. */
  const tampering: [string, (ids: number[]) => string[]][] = [
    ...auditColumns
      .filter(column => column !== 'id')
      .map((column): [string, (ids: number[]) => string[]] => {
        const other = column === 'time' ? 'time + 1' : `coalesce(${column}, '') || 'x'`
        return [
          `the column ${column} of a row is changed`,
          ids => [`update audit set ${column} = ${other} where id = ${ids[3]}`],
        ]
      }),
    ['a row is deleted', ids => [`delete from audit where id = ${ids[4]}`]],
    ['the last row is deleted', ids => [`delete from audit where id = ${ids[9]}`]],
    ['all rows of a seal are deleted', ids => [`delete from audit where id <= ${ids[4]}`]],
    [
      'a row is put in before all others',
      () => ["insert into audit (id, time, event, detail) values (-1, 1, 'login.failed', '{}')"],
    ],
    [
      'a row is put in where one was deleted',
      ids => [
        `delete from audit where id = ${ids[4]}`,
        `insert into audit (id, time, event, detail) values (${ids[4]}, 1, 'login.failed', '{}')`,
      ],
    ],
    [
      'two rows change places',
      ids => [
        `update audit set id = 1000000 where id = ${ids[1]}`,
        `update audit set id = ${ids[1]} where id = ${ids[2]}`,
        `update audit set id = ${ids[2]} where id = 1000000`,
      ],
    ],
    [
      'a row moves from one seal to the next',
      ids => [`update audit_seal set last_id = ${ids[3]} where id = 1`],
    ],
    [
      'a seal is changed',
      () => ["update audit_seal set seal = replace(seal, substr(seal, 1, 1), '-') where id = 1"],
    ],
    ['a seal is deleted', () => ['delete from audit_seal where id = 1']],
    [
      'a seal is put in between',
      () => [
        'update audit_seal set id = 3 where id = 2',
        'insert into audit_seal select 2, last_id, sealed_at, seal from audit_seal where id = 1',
      ],
    ],
  ]

  it.each(tampering)('finds it when %s', async (_, statements) => {
    const { store, database, write, seal, ids } = await start()
    for (const many of [5, 5]) {
      await write(many)
      await seal()
    }
    await write(1)
    expect((await verifyAudit({ store, now })).ok).toBe(true)
    await fromOutside(database, ...statements(await ids()))
    const found = await verifyAudit({ store, now })
    expect(found.ok).toBe(false)
    expect(found.broken.length).toBeGreaterThan(0)
  })

  it('a seal kept elsewhere tells that all seals were written anew', async () => {
    const { store, database, write, seal, ids } = await start()
    await write(5)
    await seal()
    const kept = (await lastSeal(store)).seal
    await write(5)
    await seal()
    expect(await verifyAudit({ store, now }, kept)).toMatchObject({ ok: true, knowsSeal: true })
    await fromOutside(
      database,
      `update audit set reason = 'nothing happened' where id = ${(await ids())[2]}`,
      'delete from audit_seal',
    )
    await seal()
    expect(await verifyAudit({ store, now })).toMatchObject({ ok: true })
    expect(await verifyAudit({ store, now }, kept)).toMatchObject({ ok: false, knowsSeal: false })
  })

  it('writers and sealers of several processes leave a chain that fits', async () => {
    const { store, database } = await start()
    const others = await Promise.all([1, 2].map(() => openDatabase(database.parsed, { poolSize: 8 })))
    ends.push(async () => void (await Promise.all(others.map(other => other.close()))))
    const processes: Store[] = [store, ...others]
    let written = 0
    let done = false
    const many = sized(300, 5000, 'rows')
    const writers = processes.flatMap(one =>
      Array.from({ length: 6 }, async () => {
        while (written < many) {
          const n = written++
          await makeAudit(one, now).record(...Array.from({ length: 1 + (n % 3) }, () => numbered(n)))
        }
      }),
    )
    const sealers = processes.map(async one => {
      while (!done) {
        await sealAudit({ store: one, now })
        expect(await verifyAudit({ store: one, now })).toMatchObject({ ok: true })
        await wait(1)
      }
    })
    await Promise.all([
      Promise.all(writers).finally(() => {
        done = true
      }),
      ...sealers,
    ])
    await sealAudit({ store, now })
    const found = await verifyAudit({ store, now })
    expect(found).toMatchObject({ ok: true, unsealed: 0 })
    expect(found.events).toBeGreaterThanOrEqual(many)
    expect((await lastSeal(store)).id).toBeGreaterThan(1)
  })

  it('reads in pages, however many rows there are', async () => {
    const { store, seal } = await start()
    const audit = makeAudit(store, now)
    const many = sized(2500, 100_000, 'rows')
    for (let n = 0; n < many; n += 100)
      await store.commit(
        Array.from({ length: Math.min(100, many - n) }, (_, i) => audit.write(numbered(n + i))),
      )
    await seal()
    let largest = 0
    const counting: Store = {
      ...store,
      all: async (...read) => {
        const rows = await store.all(...read)
        largest = Math.max(largest, rows.length)
        return rows
      },
    }
    expect(await verifyAudit({ store: counting, now })).toMatchObject({ ok: true, events: many, unsealed: 0 })
    expect(largest).toBeLessThanOrEqual(1000)
  })

  it('forgets what is over a year old, and the chain begins where it was cut', async () => {
    const { store, database, write, seal, ids } = await start()
    for (const many of [5, 5, 5, 5]) {
      await write(many)
      await seal()
    }
    const later = () => new Date(Date.now() + 366 * 86_400_000)
    await forgetOldAudit({ store, now })
    expect(await ids()).toHaveLength(20)
    const kept = (await lastSeal(store)).seal
    // The last of the old seals stays, without its rows; what came after is not old.
    await fromOutside(database, `update audit_seal set sealed_at = sealed_at + 400 * 86400 where id = 4`)
    const verifying = verifyAudit({ store, now: later })
    await forgetOldAudit({ store, now: later })
    expect(await verifying).toMatchObject({ ok: true })
    await forgetOldAudit({ store, now: later })
    expect(await ids()).toHaveLength(5)
    expect(await verifyAudit({ store, now: later }, kept)).toMatchObject({ ok: true, events: 5 })
    // The same cut is a fault where it was not due.
    expect(await verifyAudit({ store, now })).toMatchObject({ ok: false })
    await write(1)
    await sealAudit({ store, now: later })
    expect(await verifyAudit({ store, now: later })).toMatchObject({ ok: true, events: 6, unsealed: 0 })
    await fromOutside(database, `delete from audit where id = ${(await ids())[0]}`)
    expect(await verifyAudit({ store, now: later })).toMatchObject({ ok: false })
  })

  it('a server seals by itself, and what it wrote last when it stops; audit verify tells of it', async () => {
    const database = await freshDatabase(kind)
    ends.push(() => database.remove())
    const server = await startServer({ database: { ...database, remove: async () => undefined } })
    const { store, audit } = server.services
    await audit.record(numbered(1), numbered(2))
    await eventually(async () => (await lastSeal(store)).id === 1, 'the job seals')
    await audit.record(numbered(3))
    await server.stop()
    const verify = (...more: string[]) => command(database, 'audit', 'verify', ...more)
    const { code, value } = await verify()
    expect(code).toBe(0)
    expect(value).toEqual({ ok: true, events: 3, unsealed: 0, last_seal: expect.any(String) })
    expect(await verify('--seal', String(value['last_seal']))).toMatchObject({ code: 0 })
    expect(await verify('--seal', 'another')).toMatchObject({
      code: 1,
      value: { ok: false, knows_seal: false },
    })
    await fromOutside(database, "update audit set reason = 'x'")
    expect(await verify()).toMatchObject({ code: 1, value: { ok: false, events: 3, unsealed: 0 } })
  })
})

it('a clock that steps an hour back and forth does not stop the jobs (REL-19)', async () => {
  const server = await startServer()
  ends.push(() => server.stop())
  const { store, audit } = server.services
  for (const [step, seconds] of [0, -3600, 3600, -3600].entries()) {
    server.sleep(seconds)
    await audit.record(numbered(step))
    await eventually(async () => (await lastSeal(store)).id === step + 1, `seal ${step + 1}`)
  }
})

/** Runs a command as the shell would. */
const command = async (
  database: FreshDatabase,
  ...words: string[]
): Promise<{ code: number; value: Record<string, unknown> }> => {
  let written = ''
  const code = await runCommandLine(words, {
    environment: { LINTEL_DATABASE_URL: database.url, LINTEL_MASTER_KEY: testMasterKey },
    json: true,
    write: text => {
      written += text
    },
    say: () => undefined,
    readInput: async () => '',
    askHidden: undefined,
  })
  return { code, value: JSON.parse(written) }
}

it('both databases have the same seals for the same rows', async () => {
  const made = await Promise.all(
    databaseKinds.map(async kind => {
      const { store, remove } = await freshStore(kind)
      ends.push(remove)
      const at = () => new Date(Date.UTC(2040, 0, 1))
      await makeAudit(store, at).record(...Array.from({ length: 20 }, (_, n) => numbered(n)))
      await sealAudit({ store, now: at })
      return lastSeal(store)
    }),
  )
  expect(made[0]).toEqual(made[1])
  expect(made[0]?.seal).toMatch(/^[\w-]{43}$/)
})

describe('PostgreSQL, where ids are not in the order of commits', () => {
  it('nothing is sealed past a commit that has drawn its id and is not finished', async () => {
    const { store, database, remove } = await freshStore('postgres')
    ends.push(remove)
    const audit = makeAudit(store, now)
    const slow = new pg.Client({ connectionString: database.url })
    await slow.connect()
    ends.push(() => slow.end())
    await audit.record(numbered(0))
    await slow.query('begin')
    await slow.query("insert into audit (time, event, detail) values (1, 'login.failed', '{}')")
    await audit.record(numbered(1), numbered(2))
    const sealing = sealAudit({ store, now })
    await wait(100)
    expect(await lastSeal(store)).toMatchObject({ id: 0 })
    await slow.query('commit')
    await sealing
    expect(await verifyAudit({ store, now })).toMatchObject({ ok: true, events: 4, unsealed: 0 })
    // One that takes for ever holds the seals up, and nothing else.
    await slow.query('begin')
    await slow.query("insert into audit (time, event, detail) values (1, 'login.failed', '{}')")
    await audit.record(numbered(3))
    await sealAudit({ store, now })
    expect(await verifyAudit({ store, now })).toMatchObject({ ok: true, events: 5, unsealed: 1 })
    await slow.query('rollback')
    await sealAudit({ store, now })
    expect(await verifyAudit({ store, now })).toMatchObject({ ok: true, events: 5, unsealed: 0 })
  })
})
