/** Whether the audit is as it was when it was sealed. */
import type { Store } from '../store/database.ts'
import {
  countUnsealed,
  foldRow,
  hashOfRows,
  lastSeal,
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

/**
 * Goes through all seals and all rows once, a page at a time, while others write on.
 *
 * @param known a seal that somebody kept, which must still be in the chain
 */
export const verifyAudit = async (store: Store, known?: string): Promise<AuditVerification> => {
  const newest = await lastSeal(store)
  const readRows = rowReader(store, noSeal.last_id)
  const broken: AuditVerification['broken'] = []
  let events = 0
  let previous = noSeal
  let knowsSeal = known === undefined
  for await (const seal of seals(store, newest.id)) {
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
  return {
    ok: broken.length === 0 && knowsSeal,
    events: events + unsealed,
    unsealed,
    lastSeal: newest.id === 0 ? null : newest.seal,
    broken: broken.slice(0, mostShown),
    knowsSeal,
  }
}

async function* seals(store: Store, upTo: number): AsyncGenerator<Seal> {
  for (let after = 0; ; ) {
    const page = await sealsAfter(store, after, { upTo, limit: pageOfSeals })
    yield* page
    const last = page.at(-1)
    if (!last) return
    after = last.id
  }
}
