import fc from 'fast-check'
import knexFactory, { type Knex } from 'knex'
import { describe, expect, it } from 'vitest'
import { cutAtPlaceholders, numberPlaceholders } from '../../src/store/sql-text.ts'
import {
  compile,
  compiler,
  insertion,
  type Statement,
  statement,
  type Values,
} from '../../src/store/statement.ts'

const dialects = {
  sqlite: knexFactory({ client: 'better-sqlite3', useNullAsDefault: true }),
  postgres: knexFactory({ client: 'pg' }),
}

describe('SQL is cut at its placeholders', () => {
  it.each([
    ['select 1', ['select 1']],
    ['?', ['', '']],
    ['a = ? and b = ?', ['a = ', ' and b = ', '']],
    ["a = '?' and b = ?", ["a = '?' and b = ", '']],
    ["a = 'it''s ?' and b = ?", ["a = 'it''s ?' and b = ", '']],
    ["a = '\\?' and b = ?", ["a = '?' and b = ", '']],
    ['a \\? ? and "odd?" = ?', ['a ? ', ' and "odd?" = ', '']],
    ['"with "" and ?" = ?', ['"with "" and ?" = ', '']],
    ["E'it\\'s ?' || ?", ["E'it\\'s ?' || ", '']],
    ["'backslash \\' || ?", ["'backslash \\' || ", '']],
    ['select 1 -- why?\n, ?', ['select 1 -- why?\n, ', '']],
    ['select /* ? */ ?', ['select /* ? */ ', '']],
    ['$$ ? $$ || ?', ['$$ ? $$ || ', '']],
    ['$body$ ? $$ ? $body$ || ?', ['$body$ ? $$ ? $body$ || ', '']],
    ['price$ = ? and cost$ = ?', ['price$ = ', ' and cost$ = ', '']],
  ])('%s', (sql, pieces) => {
    expect(cutAtPlaceholders(sql)).toEqual(pieces)
  })

  it('and numbered from anywhere', () => {
    expect(numberPlaceholders(cutAtPlaceholders("a = ? and b = '?' and c = ?"), 7)).toBe(
      "a = $7 and b = '?' and c = $8",
    )
  })

  it('no text in quotes is ever cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('?', "'", '"', '\\', '$', 'a', '-') })),
        texts => {
          const quoted = texts.map(text => `'${text.replaceAll("'", "''").replaceAll('\\?', '?')}'`)
          expect(cutAtPlaceholders(`f(${quoted.map(one => `${one}, ?`).join(', ')})`)).toHaveLength(
            texts.length + 1,
          )
        },
      ),
    )
  })
})

describe.each(Object.entries(dialects))('a statement for %s', (_, knex: Knex) => {
  const bound = (one: Statement<never, unknown>, values: Values): unknown[] =>
    compile(knex, one as Statement<Values, unknown>).bind(values)

  it('binds by name whatever order knex brings its columns in', () => {
    const inserting = insertion<{ z: number; a: string }>('t', ['z', 'a'])
    expect(bound(inserting, { z: 1, a: 'one' })).toEqual(['one', 1])
  })

  it('binds a value twice, beside constants that look like anything', () => {
    const one = statement<{ id: string; n: number }>('t.update', (build, { id, n }) =>
      build('t')
        .where({ id, state: 'open?', kind: '\u0001id' })
        .andWhere('n', '<', n)
        .update({ n, label: "it's", size: 5, gone: null, body: Buffer.from('x') }),
    )
    const values = bound(one, { id: 'i', n: 7 })
    for (const [value, times] of [
      ['i', 1],
      [7, 2],
      ['open?', 1],
      ['\u0001id', 1],
      ["it's", 1],
      [5, 1],
    ])
      expect(values.filter(one => one === value)).toHaveLength(Number(times))
  })

  it('takes limits and offsets', () => {
    const page = statement<{ limit: number; offset: number }>('t.page', (build, { limit, offset }) =>
      build('t').select('id').limit(limit).offset(offset),
    )
    expect(bound(page, { limit: 5, offset: 10 })).toEqual([5, 10])
  })

  it.each<[string, Statement<never, unknown>]>([
    [
      'a value that is bound nowhere',
      statement<{ id: string }>('t.dropped', (build, { id }) =>
        build('t')
          .select()
          .modify(() => void id),
      ),
    ],
    [
      'an object',
      statement<{ id: string }>('t.object', build =>
        build('t')
          .where({ id: new Date(0) })
          .delete(),
      ),
    ],
    [
      'a question mark in quotes that knex takes for a placeholder',
      statement<{ id: string }>('t.quoted', (build, { id }) =>
        build('t').whereRaw("a = '?' and b = ?", ['x', id]).delete(),
      ),
    ],
  ])('%s is refused when it is compiled', (_what, one) => {
    expect(() => compile(knex, one as Statement<Values, unknown>)).toThrow(/statement t\./)
  })

  it('a value that is missing is refused when it is bound', () => {
    const one = statement<{ id: string }>('t.delete', (build, { id }) => build('t').where({ id }).delete())
    expect(() => bound(one, {})).toThrow('statement t.delete: no value for id')
  })

  it('is compiled once', () => {
    let times = 0
    const one = statement<Record<never, never>, { id: string }>('t.once', build => {
      times += 1
      return build('t').select('id')
    })
    const compiled = compiler(knex)
    expect(compiled(one)).toBe(compiled(one))
    expect(times).toBe(1)
  })
})
