/** What the tests of the store share. */
import { setTimeout as wait } from 'node:timers/promises'

/** Waits until something is so; fails after ten seconds. */
export const until = async (holds: () => Promise<boolean>): Promise<void> => {
  const end = performance.now() + 10_000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('it did not come to be in ten seconds')
    await wait(5)
  }
}
