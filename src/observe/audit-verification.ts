/** Whether the audit is as it was when it was sealed. */
import type { Services } from '../services.ts'
import type { Store } from '../store/database.ts'
import {
  countUnsealed,
  foldRow,
  hashOfRows,
  lastSeal,
  mayBegin,
  noSeal,
  rowReader,
  type Seal,
  sealOver,
  sealsAfter,
} from './audit-seal.ts'

export type AuditVerification = {
  ok: boolean
  /** How many there are, sealed or not. */
  events: number
  /** Those of the last seconds, which no seal covers yet. */
  unsealed: number
  /** Kept elsewhere, it later proves that nobody wrote all seals anew. */
  lastSeal: string | null
  /** Seals that do not fit: the rows after one id and up to another were changed, or the seal was. */
  broken: { seal: number; after: number; upTo: number }[]
  /** Whether the seal that was asked for is in the chain. */
  knowsSeal: boolean
}

const pageOfSeals = 1000
const mostShown = 20

type Needs = Pick<Services, 'store' | 'now'>

/**
 * Goes through all seals and all rows once, a page at a time, while others write on.
 *
 * @param known a seal that somebody kept, which must still be in the chain
 */
export const verifyAudit = async ({ store, now }: Needs, known?: string): Promise<AuditVerification> => {
  const newest = await lastSeal(store)
  const begin = await firstSeal(store)
  const broken: AuditVerification['broken'] = []
  let previous = begin.id > 1 ? begin : noSeal
  if (begin.id > 1 && !mayBegin(begin, now())) broken.push({ seal: 1, after: 0, upTo: begin.last_id })
  const readRows = rowReader(store, previous.last_id)
  let knowsSeal = known === undefined || known === previous.seal
  let events = 0
  for await (const seal of seals(store, { after: previous.id, upTo: newest.id })) {
    const hash = hashOfRows()
    await readRows(seal.last_id, row => {
      foldRow(hash, row)
      events += 1
    })
    const follows = seal.id === previous.id + 1 && seal.last_id > previous.last_id
    if (!follows || sealOver(previous, hash) !== seal.seal)
      broken.push({ seal: seal.id, after: Math.max(0, previous.last_id), upTo: seal.last_id })
    if (seal.seal === known) knowsSeal = true
    previous = seal
  }
  const unsealed = await countUnsealed(store, newest)
  // What was deleted for its age while we looked is no fault.
  const forgotten = await firstSeal(store)
  const found = broken.filter(({ seal }) => forgotten.id === begin.id || seal > forgotten.id)
  return {
    ok: found.length === 0 && knowsSeal,
    events: events + unsealed,
    unsealed,
    lastSeal: newest.id === 0 ? null : newest.seal,
    broken: found.slice(0, mostShown),
    knowsSeal,
  }
}

const firstSeal = async (store: Store): Promise<Seal> =>
  (await sealsAfter(store, 0, { upTo: Number.MAX_SAFE_INTEGER, limit: 1 }))[0] ?? noSeal

async function* seals(store: Store, range: { after: number; upTo: number }): AsyncGenerator<Seal> {
  for (let { after } = range; ; ) {
    const page = await sealsAfter(store, after, { upTo: range.upTo, limit: pageOfSeals })
    yield* page
    const last = page.at(-1)
    if (!last) return
    after = last.id
  }
}
