/** Puts what is sealed in the database under the first master key, so that the others can be given up. */
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import type { KeyActor } from './rotate-keys.ts'
import type { SecretBox } from './secret-box.ts'

/**
 * The writes that seal values of one table anew, each guarded by the old value; as many at once as fit in memory. It
 * is called until there are none.
 */
export type Reseal = (store: Store, box: SecretBox) => Promise<Write[]>

/**
 * Seals everything anew, one commit a value: it can be stopped at any point and run again.
 *
 * @param tables every table that holds sealed values
 * @returns how many were sealed anew
 * @throws SecretBoxError when a value is under a master key that is not configured
 */
export const reencrypt = async (
  { store, box, audit }: Pick<Services, 'store' | 'box' | 'audit'>,
  tables: readonly Reseal[],
  { by, visit }: KeyActor,
): Promise<number> => {
  let done = 0
  for (const reseal of tables) {
    for (let writes = await reseal(store, box); writes.length > 0; writes = await reseal(store, box))
      for (const write of writes) if (await isWritten(store, write)) done += 1
  }
  if (done > 0)
    await audit.record({
      event: 'admin.changed',
      visit,
      detail: { by, action: 'keys.reencrypt', values: done },
    })
  return done
}

/** Whether it was; a value that somebody changed meanwhile is looked at again. */
const isWritten = async (store: Store, write: Write): Promise<boolean> => {
  try {
    await store.commit([write])
    return true
  } catch (error) {
    if (error instanceof GuardFailed) return false
    throw error
  }
}
