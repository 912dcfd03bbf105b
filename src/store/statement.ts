/** Statements: written once with knex, compiled once a database, run as the driver's prepared statements. */
import type { Knex } from 'knex'
import { Refusal } from '../http/refusal.ts'
import { cutAtPlaceholders } from './sql-text.ts'

/** What a column can hold, the same in both databases; booleans are 0 and 1, times integer seconds. */
export type ColumnValue = string | number | Buffer | null

export type Values = Record<string, ColumnValue>

type Query = Knex.QueryBuilder | Knex.Raw

/** A statement with named values `V` whose rows look like `R`. */
export type Statement<V extends Values, R> = {
  name: string
  build: (knex: Knex, values: V) => Query
  /** Only for the compiler: what a row looks like. */
  row?: R
}

/**
 * Declares a statement. `build` gets placeholders where the values will stand; it runs once a database.
 *
 * @param name unique; it is the prepared statement's name on PostgreSQL and stands in error messages
 */
export const statement = <V extends Values, R = never>(
  name: string,
  build: (knex: Knex, values: V) => Query,
): Statement<V, R> => ({ name, build })

/** A compiled statement: its SQL cut at the placeholders, and what stands at each of them. */
export type Compiled = { pieces: readonly string[]; bind: (values: Values) => ColumnValue[] }

/** Placeholders count from here: digits in a text, for `limit` reads a number from it; no constant is as large. */
const firstPlaceholder = 8_000_000_000_000_000

/** Texts, because knex orders, copies and JSON-stringifies what it is given; remembers which were asked for. */
const makePlaceholders = () => {
  const names: string[] = []
  const placeholders = new Proxy(
    {},
    {
      get: (_, key) => {
        const name = String(key)
        if (!names.includes(name)) names.push(name)
        return String(firstPlaceholder + names.indexOf(name))
      },
    },
  )
  const nameOf = (binding: unknown): string | undefined =>
    typeof binding === 'number' || (typeof binding === 'string' && /^8\d{15}$/.test(binding))
      ? names[Number(binding) - firstPlaceholder]
      : undefined
  return { names, placeholders, nameOf }
}

/**
 * Compiles a statement for knex's dialect.
 *
 * @throws when knex made something of a placeholder that cannot be bound, or left one out
 */
export const compile = <V extends Values>(knex: Knex, { name, build }: Statement<V, unknown>): Compiled => {
  const { names, placeholders, nameOf } = makePlaceholders()
  const { sql, bindings } = build(knex, placeholders as V).toSQL()
  const slots = (bindings as unknown[]).map(binding => {
    const named = nameOf(binding)
    if (named !== undefined) return { name: named }
    if (
      typeof binding === 'string' ||
      typeof binding === 'number' ||
      binding === null ||
      Buffer.isBuffer(binding)
    )
      return { constant: binding }
    throw new Error(`statement ${name}: cannot bind ${typeof binding}`)
  })
  const dropped = names.find(one => !slots.some(slot => slot.name === one))
  if (dropped !== undefined) throw new Error(`statement ${name}: ${dropped} is not bound anywhere`)
  const pieces = cutAtPlaceholders(sql)
  if (pieces.length !== slots.length + 1)
    throw new Error(
      `statement ${name}: a question mark in its text is taken for a placeholder; write \\\\? for it`,
    )
  const bind = (values: Values): ColumnValue[] =>
    slots.map(slot => {
      if (slot.name === undefined) return slot.constant
      const value = values[slot.name]
      if (value === undefined) throw new Error(`statement ${name}: no value for ${slot.name}`)
      return typeof value === 'string' ? cleanText(value) : cleanNumber(name, value)
    })
  return { pieces, bind }
}

/**
 * Both databases answer alike: PostgreSQL refuses a NUL, which SQLite would take, and turns half a surrogate
 * pair into U+FFFD, which SQLite would store as it is and not find again.
 *
 * @throws Refusal, for such a text came from outside
 */
const cleanText = (text: string): string => {
  if (text.includes('\0')) throw new Refusal('invalid_request', 'a text holds a NUL character')
  return text.isWellFormed() ? text : text.toWellFormed()
}

/** SQLite would store a fraction where PostgreSQL refuses it, and round what is above 2^53. */
const cleanNumber = (name: string, value: number | Buffer | null): number | Buffer | null => {
  if (typeof value === 'number' && !Number.isSafeInteger(value))
    throw new RangeError(`statement ${name}: ${value} is no integer`)
  return value
}

/**
 * Compiles each statement once for a database.
 *
 * @throws when two statements have one name: PostgreSQL would run the first for both
 */
export const compiler = (knex: Knex): ((statement: Statement<never, unknown>) => Compiled) => {
  const done = new Map<object, Compiled>()
  const names = new Set<string>()
  return one => {
    let found = done.get(one)
    if (!found) {
      if (names.has(one.name)) throw new Error(`two statements are named ${one.name}`)
      found = compile(knex, one as Statement<Values, unknown>)
      names.add(one.name)
      done.set(one, found)
    }
    return found
  }
}

/** The statement that inserts a row of these columns. */
export const insertion = <Row extends Values>(table: string, columns: readonly (keyof Row & string)[]) =>
  statement<Row>(`${table}.insert`, (knex, values) =>
    knex(table).insert(Object.fromEntries(columns.map(column => [column, values[column]]))),
  )
