/** What a commit is made of: writes as data, all or nothing, the first one its guard (architecture section 3). */
import { Refusal } from '../http/refusal.ts'
import type { Statement, Values } from './statement.ts'

/** One write: a statement, its values, and how many rows it must change (`any`: whatever it finds). */
export type Write = { statement: Statement<Values, never>; values: Values; rows: number | 'any' }

/** Makes a write. One row must change unless another number, or `any`, is given. */
export const write = <V extends Values>(
  statement: Statement<V, never>,
  values: V,
  rows: number | 'any' = 1,
): Write => ({ statement: statement as unknown as Statement<Values, never>, values, rows })

/** A write did not find what the decision rested on (or met a unique key): nothing was changed. */
export class GuardFailed extends Error {
  override name = 'GuardFailed'
  readonly failed: Write
  constructor(failed: Write, options?: { cause: unknown }) {
    super(`${failed.statement.name} did not change ${failed.rows} row(s)`, options)
    this.failed = failed
  }
}

/**
 * The database cannot be used now (disk full, locked for long, not reachable): 503. Nothing was changed, unless the
 * connection to PostgreSQL was lost under a commit: then nobody knows, and all of it may have been.
 */
export class StoreUnavailable extends Refusal {
  override name = 'StoreUnavailable'
  constructor(what: string, options: { cause: unknown }) {
    super('temporarily_unavailable', what, 503, { headers: { 'Retry-After': '1' }, cause: options.cause })
  }
}
