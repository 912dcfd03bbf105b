import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { GuardFailed, StoreUnavailable, type Write, write } from '../../src/store/commit.ts'
import { openDatabase } from '../../src/store/database.ts'
import { insertion, statement } from '../../src/store/statement.ts'
import { databaseKinds, fromOutside, sized } from '../support/databases.ts'
import {
  allThings,
  countThings,
  deleteThing,
  ending,
  newPart,
  newThing,
  relabel,
  relabelAll,
  scratchStore,
  take,
} from './support.ts'

type Note = { name: string | null; size: number | null; at: number | null; content: Buffer | null }
const insertingNote = insertion<Note>('note', ['name', 'size', 'at', 'content'])
const readingNotes = statement<Record<never, never>, Note & { id: number }>('note.all', knex =>
  knex('note').select('id', 'name', 'size', 'at', 'content').orderBy('id'),
)
const describingNotes = statement<
  { least: number },
  { count: number; sum: number; most: number; any: number; none: number; text: string }
>('note.describe', (knex, { least }) =>
  knex('note')
    .count({ count: '*' })
    .sum({ sum: 'at' })
    .max({ most: 'at' })
    .select(
      knex.raw('count(*) > 0 as any'),
      knex.raw('exists (select 1 from note where size < ?) as none', [least]),
      knex.raw("'a ''quoted\\?'' text' as text"),
    ),
)

const failedOf = (reason: unknown): Write => {
  expect(reason).toBeInstanceOf(GuardFailed)
  return (reason as GuardFailed).failed
}

describe.each(databaseKinds)('commits on %s', kind => {
  let fresh: Awaited<ReturnType<typeof scratchStore>>
  beforeAll(async () => {
    fresh = await scratchStore(kind)
  })
  beforeEach(() =>
    kind === 'sqlite'
      ? fromOutside(fresh.database, 'delete from part', 'delete from thing', 'delete from note')
      : fromOutside(fresh.database, 'truncate part, thing, note restart identity'),
  )
  afterAll(() => fresh.remove())

  it('values of every kind come back as they were given', async () => {
    const { store } = fresh
    const notes: Note[] = [
      { name: '', size: 0, at: 0, content: Buffer.alloc(0) },
      { name: null, size: null, at: null, content: null },
      {
        name: 'ä“🚪\'"\\?$1\n\t',
        size: -1,
        at: Number.MAX_SAFE_INTEGER,
        content: Buffer.from([0, 1, 255, 39, 92]),
      },
      {
        name: '8000000000000000',
        size: 2_147_483_647,
        at: 8_000_000_000_000_000,
        content: Buffer.alloc(100_000, 7),
      },
      { name: 'x'.repeat(100_000), size: 1, at: -5, content: Buffer.from('ÿ') },
    ]
    for (const note of notes) await store.commit([write(insertingNote, note)])
    const read = await store.all(readingNotes, {})
    expect(read).toEqual(notes.map((note, index) => ({ id: index + 1, ...note })))
  })

  it('counts, sums and conditions are numbers on both databases', async () => {
    const { store } = fresh
    for (const at of [5_000_000_000, 6_000_000_000])
      await store.commit([write(insertingNote, { name: null, size: 1, at, content: null })])
    expect(await store.one(describingNotes, { least: 1 })).toEqual({
      count: 2,
      sum: 11_000_000_000,
      most: 6_000_000_000,
      any: 1,
      none: 0,
      text: "a 'quoted?' text",
    })
  })

  it('text comes in the order of its bytes, whatever the locale of the database', async () => {
    const ids = ['Zoe', 'adam', 'Ähre', 'a b', 'ab', 'a-c', '_', 'é', '10', '9']
    for (const id of ids) await fresh.store.commit([newThing(id)])
    const bytes = [...ids].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
    // The scratch table was made after the migrations; they are what sets the order of their tables.
    const names = await fresh.store.search<{ id: string }>(knex =>
      knex('thing')
        .select('id')
        .orderByRaw(kind === 'sqlite' ? 'id' : 'id collate "C"'),
    )
    expect(names.map(({ id }) => id)).toEqual(bytes)
  })

  it.each([0, 1, 2, 3, 4])(
    'write %i does not find its rows: it is named, and no other write counts',
    async index => {
      const { store } = fresh
      await store.commit(['a', 'b', 'c', 'd', 'e'].map(id => newThing(id)))
      const before = await allThings(store)
      const writes: Write[] = [
        take('a'),
        relabel('b', 'B'),
        newThing('f'),
        newPart('p', 'c'),
        deleteThing('e'),
      ]
      const wrong = [take('-'), relabel('-', 'B'), take('-'), relabel('-', 'C'), deleteThing('-')]
      const tried = writes.map((one, at) => (at === index ? (wrong[at] ?? one) : one))
      expect(failedOf(await ending(store.commit(tried)))).toBe(tried[index])
      expect(await allThings(store)).toEqual(before)
      await store.commit(writes)
    },
  )

  it('of several writes that do not find their rows the first is named: it is the guard', async () => {
    const { store } = fresh
    await store.commit([newThing('a')])
    const writes = [take('-'), newThing('a'), take('--')]
    expect(failedOf(await ending(store.commit(writes)))).toBe(writes[0])
  })

  it('too many rows are as wrong as too few; `any` takes what it finds', async () => {
    const { store } = fresh
    await store.commit(['a', 'b', 'c'].map(id => newThing(id)))
    const two = relabelAll('a', '!', 2)
    expect(failedOf(await ending(store.commit([two])))).toBe(two)
    expect(await countLabelled()).toBe(0)
    await store.commit([relabelAll('a', '!', 3), newThing('d')])
    await store.commit([relabelAll('nothing', '?', 'any')])
    await store.commit([relabelAll('nothing', '?', 0)])
    expect(await countLabelled()).toBe(3)

    async function countLabelled(): Promise<number> {
      return (await allThings(store)).filter(({ label }) => label !== null).length
    }
  })

  it('a unique key in the way fails the write that met it', async () => {
    const { store } = fresh
    await store.commit([newThing('a', 'taken'), newThing('b', 'one, two')])
    const byId = [newThing('x'), newThing('a'), newThing('y')]
    expect(failedOf(await ending(store.commit(byId)))).toBe(byId[1])
    const byLabel = [newThing('x', 'free'), newThing('y', 'other'), newThing('z', 'one, two')]
    expect(failedOf(await ending(store.commit(byLabel)))).toBe(byLabel[2])
    const byUpdate = [newPart('p', 'a'), relabel('b', 'taken')]
    expect(failedOf(await ending(store.commit(byUpdate)))).toBe(byUpdate[1])
    const twice = [newThing('x', 'same'), newThing('y', 'same')]
    expect(failedOf(await ending(store.commit(twice))).statement.name).toBe('thing.insert')
    expect(await countThings(store)).toBe(2)
  })

  it('a foreign key in the way fails the write that met it', async () => {
    const { store } = fresh
    await store.commit([newThing('a'), newThing('b'), newPart('p', 'a')])
    const missing = [relabel('b', 'x'), newPart('q', 'a'), newPart('r', 'nowhere')]
    expect(failedOf(await ending(store.commit(missing)))).toBe(missing[2])
    const referred = [relabel('b', 'x'), deleteThing('a')]
    expect(failedOf(await ending(store.commit(referred)))).toBe(referred[1])
    expect(await countThings(store)).toBe(2)
  })

  it('a mistake of ours is an error of its own, and fails only its commit', async () => {
    const { store } = fresh
    const noSuchTable = statement<{ id: string }>('nowhere.delete', (knex, { id }) =>
      knex('nowhere').where({ id }).delete(),
    )
    const ends = await Promise.all([
      ending(store.commit([newThing('a')])),
      ending(store.commit([newThing('b'), write(noSuchTable, { id: 'x' })])),
      ending(store.commit([newThing('c')])),
    ])
    expect(ends[0]).toBe('done')
    expect(ends[1]).toBeInstanceOf(Error)
    expect(ends[1]).not.toBeInstanceOf(StoreUnavailable)
    expect(ends[1]).not.toBeInstanceOf(GuardFailed)
    expect(ends[2]).toBe('done')
    expect((await allThings(store)).map(({ id }) => id)).toEqual(['a', 'c'])
  })

  it('twenty requests take one single-use record: one succeeds', async () => {
    const { store, database } = fresh
    const other = await openDatabase(database.parsed, { poolSize: 10 })
    const rounds = sized(5, 200, 'rounds')
    for (let round = 0; round < rounds; round++) {
      await store.commit([newThing(`r${round}`)])
      const takes = Array.from({ length: 20 }, (_, index) =>
        ending(
          (index % 2 ? store : other).commit([take(`r${round}`), newPart(`r${round}-${index}`, `r${round}`)]),
        ),
      )
      const ends = await Promise.all(takes)
      expect(ends.filter(end => end === 'done')).toHaveLength(1)
      expect(ends.filter(end => end instanceof GuardFailed)).toHaveLength(19)
    }
    await other.close()
  })

  it('an expired or used record is not taken', async () => {
    const { store } = fresh
    await store.commit([newThing('a')])
    await store.commit([take('a')])
    await expect(store.commit([take('a')])).rejects.toBeInstanceOf(GuardFailed)
    const row = (await allThings(store))[0]
    expect(row?.used_at).toBe(1_767_225_600)
  })

  it('a crowd of commits is each its own: one that fails takes no other with it', async () => {
    const { store } = fresh
    const many = kind === 'sqlite' ? sized(500, 5000) : 300
    const ends = await Promise.all(
      Array.from({ length: many }, (_, n) =>
        ending(store.commit([newThing(`${n}`), ...(n % 7 === 0 ? [take('nobody')] : [])])),
      ),
    )
    expect(ends.every((end, n) => (n % 7 === 0 ? end instanceof GuardFailed : end === 'done'))).toBe(true)
    expect(await countThings(store)).toBe(many - Math.ceil(many / 7))
  })

  it('a long commit works', async () => {
    const { store } = fresh
    const writes = Array.from({ length: 300 }, (_, n) => newThing(`t${n}`, `label ${n}`))
    await store.commit(writes)
    const again = [
      ...writes.slice(0, 0),
      ...Array.from({ length: 300 }, (_, n) => newThing(`u${n}`)),
      take('-'),
    ]
    expect(failedOf(await ending(store.commit(again)))).toBe(again[300])
    expect(await countThings(store)).toBe(300)
    await store.commit([])
  })

  it('a text with NUL is refused with 400, half a surrogate pair is replaced', async () => {
    const { store } = fresh
    const withNul = await ending(store.commit([newThing('a\0b')]))
    expect(withNul).toMatchObject({ status: 400, error: 'invalid_request' })
    await store.commit([newThing('a\ud800b')])
    expect((await allThings(store)).map(({ id }) => id)).toEqual(['a\ufffdb'])
    await store.commit([take('a\ud800b')])
  })

  it('a number that is no integer of 53 bits is refused', async () => {
    for (const at of [1.5, Number.NaN, 2 ** 53])
      await expect(
        fresh.store.commit([write(insertingNote, { name: null, size: null, at, content: null })]),
      ).rejects.toBeInstanceOf(RangeError)
  })

  it('a search reads, and only reads', async () => {
    const { store } = fresh
    await store.commit([newThing('a', 'An owner?'), newThing('b')])
    const found = await store.search<{ id: string }>(knex =>
      knex('thing').select('id').whereLike('label', '%?').andWhere('expires_at', '>', 5).limit(10),
    )
    expect(found).toEqual([{ id: 'a' }])
    await expect(store.search(knex => knex('thing').delete())).rejects.toThrow('only reads')
    await expect(store.search(knex => knex('thing').insert({ id: 'q', expires_at: 1 }))).rejects.toThrow(
      'only reads',
    )
    expect(await countThings(store)).toBe(2)
  })

  it('two statements of one name are refused', async () => {
    const one = statement<Record<never, never>, { id: string }>('thing.twin', knex =>
      knex('thing').select('id'),
    )
    const other = statement<Record<never, never>, { id: string }>('thing.twin', knex =>
      knex('part').select('id'),
    )
    await fresh.store.all(one, {})
    await expect(fresh.store.all(other, {})).rejects.toThrow('two statements are named thing.twin')
  })

  it('after close everything is 503; what was accepted before is done', async () => {
    const { store, database, remove } = await scratchStore(kind)
    const accepted = Array.from({ length: 20 }, (_, n) => ending(store.commit([newThing(`${n}`)])))
    const closing = store.close()
    for (const late of [store.commit([newThing('late')]), allThings(store)])
      expect(await ending(late)).toMatchObject({ status: 503, options: { headers: { 'Retry-After': '1' } } })
    await closing
    await store.close()
    expect(new Set(await Promise.all(accepted))).toEqual(new Set(['done']))
    const reopened = await openDatabase(database.parsed, { poolSize: 1 })
    expect(await countThings(reopened)).toBe(20)
    await reopened.close()
    await remove()
  })
})
