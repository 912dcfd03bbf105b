import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { openDatabase } from '../../src/store/database.ts'
import { loadMigrations, migrate, migrationStatus } from '../../src/store/migrate.ts'
import { databaseKinds, type FreshDatabase, freshDatabase, fromOutside, sized } from '../support/databases.ts'
import { type Child, ending, startChild } from './support.ts'

const script = fileURLToPath(new URL('migrate-child.ts', import.meta.url))

const migrateElsewhere = ({ parsed }: FreshDatabase, ...more: string[]): Child =>
  startChild(script, parsed.kind, parsed.kind === 'sqlite' ? parsed.path : parsed.url, ...more)

/** Everything that makes up the schema, as text. */
const schemaOf = async ({ parsed }: FreshDatabase): Promise<unknown> => {
  if (parsed.kind === 'sqlite') {
    const handle = new Sqlite(parsed.path, { readonly: true })
    const schema = handle.prepare('select name, sql from sqlite_master order by name').all()
    const ran = handle.prepare('select name from migration order by name').all()
    handle.close()
    return { schema, ran }
  }
  const client = new pg.Client({ connectionString: parsed.url })
  await client.connect()
  const rows = async (sql: string): Promise<unknown[]> => (await client.query(sql)).rows
  const schema = {
    columns:
      await rows(`select table_name, column_name, data_type, is_nullable, column_default, collation_name
      from information_schema.columns where table_schema = 'public' order by 1, ordinal_position`),
    indexes: await rows("select indexdef from pg_indexes where schemaname = 'public' order by 1"),
    constraints: await rows(`select conrelid::regclass::text as of, pg_get_constraintdef(oid) as is
      from pg_constraint where connamespace = 'public'::regnamespace order by 1, 2`),
    functions: await rows(
      "select proname, prosrc from pg_proc where pronamespace = 'public'::regnamespace order by 1",
    ),
    ran: await rows('select name from migration order by name'),
  }
  await client.end()
  return schema
}

describe.each(databaseKinds)('migrations on %s', kind => {
  const databases: FreshDatabase[] = []
  const fresh = async (content: 'migrated' | 'empty'): Promise<FreshDatabase> => {
    const database = await freshDatabase(kind, content)
    databases.push(database)
    return database
  }
  afterEach(async () => {
    for (const database of databases.splice(0)) await database.remove()
  })

  it('run once, in order', async () => {
    const database = await fresh('empty')
    const names = (await loadMigrations()).map(({ name }) => name)
    expect(await migrationStatus(database.parsed)).toEqual(names.map(name => ({ name, done: false })))
    expect(await migrate(database.parsed)).toEqual(names)
    expect(await migrate(database.parsed)).toEqual([])
    expect(await migrationStatus(database.parsed)).toEqual(names.map(name => ({ name, done: true })))
    expect(await schemaOf(database)).toEqual(await schemaOf(await fresh('migrated')))
  })

  it('killed at any statement: nothing is left, and the next start finishes (REL-12)', async () => {
    const clean = await fresh('empty')
    const whole = migrateElsewhere(clean)
    expect(await whole.ended).toBe(0)
    const { statements } = JSON.parse(whole.lines[0] ?? '') as { statements: number }
    const schema = await schemaOf(clean)
    expect(statements).toBeGreaterThan(30)
    const most = sized(4, statements, 'kills')
    const points = Array.from({ length: most }, (_, n) =>
      Math.max(1, Math.round(((n + 1) * statements) / most)),
    )
    for (const point of points) {
      const database = await fresh('empty')
      expect(await migrateElsewhere(database, String(point)).ended).toBe('SIGKILL')
      expect(await migrate(database.parsed), `killed at ${point}`).not.toEqual([])
      expect(await schemaOf(database), `killed at ${point}`).toEqual(schema)
    }
  }, 1_800_000)

  it('ten processes start together: one migrates, the others wait, all go on (REL-13)', async () => {
    const schema = await schemaOf(await fresh('migrated'))
    const rounds = sized(1, 20, 'starts of ten processes')
    for (let round = 0; round < rounds; round++) {
      const database = await fresh('empty')
      const children = Array.from({ length: 10 }, () => migrateElsewhere(database))
      expect(await Promise.all(children.map(child => child.ended))).toEqual(Array(10).fill(0))
      const done = children.map(child => (JSON.parse(child.lines[0] ?? '') as { done: string[] }).done)
      expect(done.filter(names => names.length > 0)).toHaveLength(1)
      expect(await schemaOf(database)).toEqual(schema)
    }
  }, 1_800_000)

  it('what a newer version migrated is refused, and says so', async () => {
    const database = await fresh('migrated')
    await fromOutside(database, "insert into migration (name, ran_at) values ('9999-from-the-future', 1)")
    await expect(migrate(database.parsed)).rejects.toThrow('newer version of Lintel (9999-from-the-future)')
  })

  it('what a newer version only added is taken, and stands in the status (REL-14)', async () => {
    const database = await fresh('migrated')
    await fromOutside(
      database,
      "insert into migration (name, ran_at, additive) values ('9998-something-added', 1, 1)",
    )
    expect(await migrate(database.parsed)).toEqual([])
    expect((await migrationStatus(database.parsed)).at(-1)).toEqual({
      name: '9998-something-added',
      done: true,
    })
  })

  it('a table of migrations that does not tell what only adds is brought up to date', async () => {
    const database = await fresh('migrated')
    await fromOutside(
      database,
      'alter table migration drop column additive',
      "delete from migration where name = '0012-versions'",
      ...['user', 'client', 'resource'].map(table => `alter table "${table}" drop column version`),
    )
    expect(await migrate(database.parsed)).toEqual(['0012-versions'])
    expect(await migrate(database.parsed)).toEqual([])
  })

  it('a database that cannot be reached is 503', async () => {
    const nowhere =
      kind === 'sqlite'
        ? { kind, path: `${script}/lintel.db` }
        : { kind, url: 'postgres://nobody:x@127.0.0.1:1/nothing' }
    expect(await ending(migrate(nowhere))).toMatchObject({ status: 503 })
    expect(await ending(openDatabase(nowhere, { poolSize: 1 }))).toMatchObject({ status: 503 })
  })
})

describe('migrations', () => {
  it('make text compare by bytes on PostgreSQL, in every column', async () => {
    const database = await freshDatabase('postgres')
    const store = await openDatabase(database.parsed, { poolSize: 1 })
    const others = await store.search(knex =>
      knex('information_schema.columns')
        .select('table_name', 'column_name')
        .where({ table_schema: 'public', data_type: 'text' })
        .andWhereRaw("collation_name is distinct from 'C'"),
    )
    expect(others).toEqual([])
    await store.close()
    await database.remove()
  })
})
