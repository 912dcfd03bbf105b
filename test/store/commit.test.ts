import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GuardFailed, type Write, write } from '../../src/store/commit.ts'
import { insertion, statement } from '../../src/store/statement.ts'
import { databaseKinds, freshStore } from '../support/databases.ts'

type Row = { name: string; holder: string; expires_at: number }
const inserting = insertion<Row>('lease', ['name', 'holder', 'expires_at'])
const reading = statement<{ name: string }, Row>('lease.read', (knex, { name }) =>
  knex('lease').select('name', 'holder', 'expires_at').where({ name }),
)

describe.each(databaseKinds)('commit on %s', kind => {
  let fresh: Awaited<ReturnType<typeof freshStore>>
  beforeAll(async () => {
    fresh = await freshStore(kind)
  })
  afterAll(() => fresh.remove())

  it('stores all writes', async () => {
    const { store } = fresh
    await store.commit(
      ['a', 'b'].map(name => write(inserting, { name, holder: 'x', expires_at: 5_000_000_000 })),
    )
    expect(await store.one(reading, { name: 'b' })).toEqual({
      name: 'b',
      holder: 'x',
      expires_at: 5_000_000_000,
    })
  })
  it('a unique violation names its write', async () => {
    const writes: Write[] = ['n', 'm', 'a'].map(name =>
      write(inserting, { name, holder: 'x', expires_at: 1 }),
    )
    const failure = await fresh.store.commit(writes).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(GuardFailed)
    expect((failure as GuardFailed).failed).toBe(writes[2])
    expect(await fresh.store.one(reading, { name: 'n' })).toBeUndefined()
  })
})
