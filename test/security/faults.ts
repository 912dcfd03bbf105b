/** Stores that stand between a server and its database, and are slow or fail when they are told to. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Store } from '../../src/store/database.ts'

/** A store whose reads can be made to fail. */
export const faultyStore = () => {
  let fault: Error | undefined
  return {
    wrapStore: (store: Store): Store => ({
      ...store,
      one: (statement, values) => (fault ? Promise.reject(fault) : store.one(statement, values)),
      all: (statement, values) => (fault ? Promise.reject(fault) : store.all(statement, values)),
    }),
    breakWith: (error: Error | undefined): void => {
      fault = error
    },
  }
}

/** A store whose commits can be held up, so that requests of the same moment have all read before one writes. */
export const slowStore = () => {
  let pause = 0
  return {
    wrapStore: (store: Store): Store => ({
      ...store,
      commit: async writes => {
        if (pause > 0) await wait(pause)
        return store.commit(writes)
      },
    }),
    holdCommits: (milliseconds: number): void => {
      pause = milliseconds
    },
  }
}
