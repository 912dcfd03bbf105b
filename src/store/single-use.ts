/** Records that can be taken once, each kind in a table of its own with `id`, `expires_at` and `used_at`. */
import { type Write, write } from './commit.ts'
import { insertion, statement, type Values } from './statement.ts'
import { newTextKey } from './text-key.ts'

/** Writing and taking the records of one table. */
export const singleUse = <Row extends Values>(table: string, columns: readonly (keyof Row & string)[]) => {
  const storing = insertion<Row>(table, columns)
  const taking = statement<{ id: string; now: number }>(`${table}.take`, (knex, { id, now }) =>
    knex(table).where({ id }).whereNull('used_at').andWhere('expires_at', '>', now).update({ used_at: now }),
  )
  return {
    /** The write that stores a record. */
    insert: (row: Row): Write => write(storing, row),
    /** The write, and guard, that takes it: refused when it is used, expired or not there. */
    take: (id: string, now: Date): Write => write(taking, { id, now: seconds(now) }),
  }
}

/** The first key that a row written at this instant could have, for comparing by age. */
export const keyAt = (instant: Date): string => `${newTextKey(instant).slice(0, 9)}00000000000`

/** An instant as the integer seconds that columns and tokens hold, rounded down. */
export const seconds = (instant: Date): number => Math.floor(instant.getTime() / 1000)
