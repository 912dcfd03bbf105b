/**
 * A commit as one statement. Each write is a CTE; the last SELECT counts them one after another, in their order,
 * and calls the function that raises when a count is wrong (migration 0006). COALESCE evaluates from left to
 * right and a CTE runs when it is first counted, so a guard that fails stops those behind it.
 */
import { createHash } from 'node:crypto'
import type { QueryConfig } from 'pg'
import { GuardFailed, type Write } from './commit.ts'
import { sqlState } from './sql-state.ts'
import { numberPlaceholders } from './sql-text.ts'
import type { Compiled, Statement } from './statement.ts'

/** How many shapes of commits are kept ready; handlers have some dozens. */
const mostShapes = 500

/** Longer commits (a user's forty sessions ending at once) are rare in each length: they are not prepared by name. */
const longestNamed = 16

/** PostgreSQL counts placeholders in 16 bits. */
const mostPlaceholders = 65_535

type Shape = { name: string | undefined; text: string }

/** Makes the statements of commits, each shape's text written once. */
export const commitWriter = (compiled: (statement: Statement<never, unknown>) => Compiled) => {
  const shapes = new Map<string, Shape>()

  const shapeOf = (writes: readonly Write[]): Shape => {
    const key = writes.map(one => `${one.statement.name} ${one.rows}`).join('\n')
    let shape = shapes.get(key)
    if (shape) shapes.delete(key)
    else shape = writeShape(writes)
    // Put behind the others; the one not used for longest stands first.
    shapes.set(key, shape)
    if (shapes.size > mostShapes) shapes.delete(shapes.keys().next().value ?? '')
    return shape
  }

  const writeShape = (writes: readonly Write[]): Shape => {
    let next = 1
    const parts = writes.map(({ statement }, index) => {
      const { pieces } = compiled(statement)
      const sql = numberPlaceholders(pieces, next)
      next += pieces.length - 1
      return `w${index} as (${sql} returning 1)`
    })
    if (next > mostPlaceholders) throw new RangeError(`a commit of ${writes.length} writes is too large`)
    const counts = writes.map(({ rows }, index) => {
      const count = `(select count(*) from w${index})`
      return rows === 'any'
        ? `case when ${count} < 0 then 0 end`
        : `case when ${count} <> ${rows} then lintel_guard_failed(${index}) end`
    })
    const text = `with ${parts.join(', ')} select coalesce(${counts.join(', ')}, 0)`
    // Named after its text, so that a name never stands for another text, even on a connection that outlives it.
    const name =
      writes.length > longestNamed
        ? undefined
        : `commit-${createHash('sha256').update(text).digest('base64url').slice(0, 24)}`
    return { name, text }
  }

  return (writes: readonly Write[]): QueryConfig => {
    const { name, text } = shapeOf(writes)
    const values = writes.flatMap(one => compiled(one.statement).bind(one.values))
    return name === undefined ? { text, values } : { name, text, values }
  }
}

/**
 * The write at fault, when an error is about one: a wrong count, a unique key or a foreign key.
 *
 * @param sqlOf the text of a write's statement, in which its table is looked for
 */
export const guardFailure = (
  error: unknown,
  writes: readonly Write[],
  sqlOf: (write: Write) => string,
): GuardFailed | undefined => {
  const state = sqlState(error)
  const { table = '', detail = '' } = error as { table?: string; detail?: string }
  if (state === 'LN001') {
    const failed = writes[Number(detail)]
    return failed && new GuardFailed(failed)
  }
  if (state !== '23505' && state !== '23503') return undefined
  const touching = writes.filter(one => tableOf(sqlOf(one)) === table)
  // A row that others refer to was deleted: the error names the table of those others.
  const suspects = touching.length > 0 ? touching : writes.filter(one => sqlOf(one).startsWith('delete'))
  const failed = suspects.find(one => holdsKey(one, detail)) ?? suspects[0] ?? writes[0]
  return failed && new GuardFailed(failed, { cause: error })
}

/** `insert into "t"`, `update "t"`, `delete from "t"`, as knex writes them. */
const tableOf = (sql: string): string | undefined =>
  /^(?:insert into|update|delete from) "([^"]+)"/.exec(sql)?.[1]

/** Whether a write has the values of `Key (a, b)=(1, 2) already exists.`, which is what tells two inserts apart. */
const holdsKey = ({ values }: Write, detail: string): boolean => {
  const key = /\)=\((.*)\)/.exec(detail)?.[1]
  if (key === undefined) return false
  const own = Object.values(values).map(String)
  return own.includes(key) || key.split(', ').every(part => own.includes(part))
}
