/**
 * Seals over the audit, which make it show when somebody changed, took out or put in a row: seal n is
 * SHA-256(seal n-1 ‖ hash of the rows since). Rows are sealed in order of id, and only when no older one can still
 * appear (architecture section 3).
 */
import { createHash, type Hash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Services } from '../services.ts'
import { GuardFailed, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'
import { type AuditRow, auditAfter, auditColumns, forgetAudit } from './audit.ts'

export type Seal = {
  /** Counts from 1 without a gap. */
  id: number
  /** The last row it covers. */
  last_id: number
  sealed_at: number
  seal: string
}

const sealColumns = ['id', 'last_id', 'sealed_at', 'seal'] as const

/** What comes before the first seal; a row with a number below 1 would belong to the first as well. */
export const noSeal: Seal = { id: 0, last_id: Number.MIN_SAFE_INTEGER, sealed_at: 0, seal: '' }

const inserting = insertion<Seal>('audit_seal', sealColumns)
const readingLast = statement<Record<never, never>, Seal>('audit_seal.last', knex =>
  knex('audit_seal').select(sealColumns).orderBy('id', 'desc').limit(1),
)
const paging = statement<{ after: number; upTo: number; limit: number }, Seal>(
  'audit_seal.page',
  (knex, { after, upTo, limit }) =>
    knex('audit_seal')
      .select(sealColumns)
      .where('id', '>', after)
      .andWhere('id', '<=', upTo)
      .orderBy('id')
      .limit(limit),
)
const droppingBefore = statement<{ id: number }>('audit_seal.drop-before', (knex, { id }) =>
  knex('audit_seal').where('id', '<', id).delete(),
)
const counting = statement<{ after: number }, { count: number }>('audit_seal.unsealed', (knex, { after }) =>
  knex('audit').where('id', '>', after).count({ count: '*' }),
)

/** The newest seal. */
export const lastSeal = async (store: Store): Promise<Seal> => (await store.one(readingLast, {})) ?? noSeal

/** The next seals after this one, oldest first. */
export const sealsAfter = (
  store: Store,
  id: number,
  { upTo, limit }: { upTo: number; limit: number },
): Promise<Seal[]> => store.all(paging, { after: id, upTo, limit })

/** How many rows no seal covers yet. */
export const countUnsealed = async (store: Store, last: Pick<Seal, 'last_id'>): Promise<number> =>
  (await store.one(counting, { after: last.last_id }))?.count ?? 0

/** The hash that rows are folded into, one after the other. */
export const hashOfRows = (): Hash => createHash('sha256')

/** A row as one line that is the same from either database, every column in it. */
export const foldRow = (hash: Hash, row: AuditRow): Hash =>
  hash.update(`${JSON.stringify(auditColumns.map(column => row[column]))}\n`)

/** The seal over these rows. */
export const sealOver = (previous: Pick<Seal, 'seal'>, rows: Hash): string =>
  createHash('sha256')
    .update(Buffer.from(previous.seal, 'base64url'))
    .update(rows.digest())
    .digest('base64url')

const page = 1000

/**
 * Reads rows in order of id, a page at a time.
 *
 * @returns what hands out the rows up to an id, and goes on from there the next time
 */
export const rowReader = (store: Store, after: number) => {
  let rows: AuditRow[] = []
  let next = 0
  let last = after
  return async (upTo: number, each: (row: AuditRow) => void): Promise<void> => {
    for (;;) {
      for (let row = rows[next]; row !== undefined; row = rows[++next]) {
        if (row.id > upTo) return
        each(row)
        last = row.id
      }
      rows = await auditAfter(store, last, page)
      next = 0
      if (rows.length === 0) return
    }
  }
}

/**
 * Seals what is settled. Any number of processes may do it at once: each seal has a number, and one of them gets it.
 */
export const sealAudit = async ({ store, now }: Pick<Services, 'store' | 'now'>): Promise<void> => {
  const previous = await lastSeal(store)
  const upTo = await settledId(store)
  if (upTo === undefined || upTo <= previous.last_id) return
  const hash = hashOfRows()
  let isEmpty = true
  await rowReader(store, previous.last_id)(upTo, row => {
    foldRow(hash, row)
    isEmpty = false
  })
  if (isEmpty) return
  const seal: Seal = {
    id: previous.id + 1,
    last_id: upTo,
    sealed_at: seconds(now()),
    seal: sealOver(previous, hash),
  }
  try {
    await store.commit([write(inserting, seal)])
  } catch (error) {
    // Another process was faster; it covers at least as much, or the next round does.
    if (!(error instanceof GuardFailed)) throw error
  }
}

/** Milliseconds to wait for those who write, and between two looks. */
const patience = 1000
const pause = 10

/**
 * The last id before which no row can still appear. On SQLite that is the last one there is, for ids are given in the
 * order of commits. On PostgreSQL a commit may have drawn its id and not be finished: whoever writes holds a lock on
 * the table from before it draws an id until its commit can be seen, so all who held one when we looked must be gone.
 *
 * @returns undefined when one of them takes too long; nothing is sealed then
 */
const settledId = async (store: Store): Promise<number | undefined> => {
  const first = await store.all(looking, {})
  const last = first[0]?.last ?? 0
  let writers = writersOf(first)
  for (let waited = 0; writers.size > 0; waited += pause) {
    if (waited >= patience) return undefined
    await wait(pause)
    const still = writersOf(await store.all(looking, {}))
    writers = new Set([...writers].filter(writer => still.has(writer)))
  }
  return last
}

type Look = { last: number; writer: string | null }

const writersOf = (rows: readonly Look[]): Set<string> =>
  new Set(rows.flatMap(({ writer }) => (writer === null ? [] : [writer])))

/** The last id, on every row, and who writes, one a row. The id is as old as the snapshot, the locks are newer. */
const looking = statement<Record<never, never>, Look>('audit_seal.look', knex =>
  knex.client.config.client === 'pg'
    ? knex.raw(`
        select (select coalesce(max(id), 0) from audit) as last, writing.virtualtransaction as writer
        from (select 1) one left join pg_locks writing
          on writing.locktype = 'relation' and writing.relation = 'audit'::regclass
          and writing.database = (select oid from pg_database where datname = current_database())
          and writing.mode = 'RowExclusiveLock' and writing.granted`)
    : knex.raw('select coalesce(max(id), 0) as last, null as writer from audit'),
)

/** Events are kept for a year (security-defaults, Admin and audit); milliseconds. */
const keptFor = 365 * 86_400_000

const isOld = ({ sealed_at }: Seal, now: Date): boolean =>
  sealed_at < seconds(new Date(now.getTime() - keptFor))

/** Whether a chain may begin with this seal: the first there was, or one whose rows were deleted for their age. */
export const mayBegin = (seal: Seal, now: Date): boolean => seal.id === 1 || isOld(seal, now)

const mostBatches = 50

/**
 * Deletes events that are over a year old, whole seals at a time. The last seal of what is gone stays: the chain
 * begins with it.
 */
export const forgetOldAudit = async ({ store, now }: Pick<Services, 'store' | 'now'>): Promise<void> => {
  for (let batches = 0; batches < mostBatches; batches++) {
    const oldest = await sealsAfter(store, 0, { upTo: Number.MAX_SAFE_INTEGER, limit: page })
    const kept = oldest.findIndex(seal => !isOld(seal, now()))
    const begin = oldest.slice(0, kept < 0 ? undefined : kept).at(-1)
    // With the first seal of all the rows must be there.
    if (!begin || begin.id === 1) return
    const [row] = await auditAfter(store, noSeal.last_id, 1)
    if (begin === oldest[0] && (!row || row.id > begin.last_id)) return
    await store.commit([write(droppingBefore, { id: begin.id }, 'any'), forgetAudit(begin.last_id, page)])
  }
}
