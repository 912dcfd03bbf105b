/** What can be done to deliveries, for the command line, pages and the API alike. */
import type { Services } from '../services.ts'
import { GuardFailed } from '../store/commit.ts'
import { listOutbox, retry } from '../store/outbox.ts'
import { type Actor, toldOf } from './actor.ts'

type Needs = Pick<Services, 'store' | 'now' | 'audit' | 'wakeOutbox'>

/**
 * Gives what has failed another round of tries.
 *
 * @returns whether it had failed and is tried again now
 */
export const retryDelivery = async (services: Needs, id: number, actor: Actor): Promise<boolean> => {
  const { store, now, wakeOutbox } = services
  try {
    await store.commit([
      retry(id, now()),
      ...toldOf(services, actor, { event: 'delivery.retried', detail: { delivery: id } }),
    ])
  } catch (error) {
    if (error instanceof GuardFailed) return false
    throw error
  }
  wakeOutbox()
  return true
}

/** The same for all that has failed. */
export const retryAllDeliveries = async (services: Needs, actor: Actor): Promise<number[]> => {
  const retried: number[] = []
  for (const { id } of await listOutbox(services.store, { limit: 10_000, state: 'failed' }))
    if (await retryDelivery(services, id, actor)) retried.push(id)
  return retried
}
