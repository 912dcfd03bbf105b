/** One row of counters: what a process caches it reads again when its counter has moved, looking once a second. */
import { type Write, write } from './commit.ts'
import type { Store } from './database.ts'
import { statement } from './statement.ts'

/** What is cached: each name is a row of the table `change`. */
export type Cached = 'client' | 'key' | 'denylist'

const bumping = statement<{ name: string }>('change.bump', (knex, { name }) =>
  knex('change')
    .where({ name })
    .update({ version: knex.raw('version + 1') }),
)
const bumpingFrom = statement<{ name: string; version: number }>(
  'change.bump-from',
  (knex, { name, version }) =>
    knex('change')
      .where({ name, version })
      .update({ version: knex.raw('version + 1') }),
)
const reading = statement<Record<never, never>, { name: Cached; version: number }>('change.read', knex =>
  knex('change').select('name', 'version'),
)

/**
 * The write that tells every process to read its cache again. It may stand in a commit several times, where
 * PostgreSQL changes the row once; so its rows are not counted.
 */
export const changed = (name: Cached): Write => write(bumping, { name }, 'any')

/** The same as a guard: refused when somebody else changed it since `version` was read. */
export const changedFrom = (name: Cached, version: number): Write => write(bumpingFrom, { name, version })

/** The counters now. */
export const readVersions = async (store: Store): Promise<Record<Cached, number>> => {
  const versions: Record<Cached, number> = { client: 0, key: 0, denylist: 0 }
  for (const { name, version } of await store.all(reading, {})) versions[name] = version
  return versions
}

/**
 * Reads the caches whose counter moved. Call it once a second and after own changes.
 *
 * @param reload what to do for each; a failure is tried again at the next call
 */
export const changeWatcher = (store: Store, reload: Record<Cached, () => Promise<void>>) => {
  const seen: Record<Cached, number> = { client: 0, key: 0, denylist: 0 }
  return async (): Promise<void> => {
    const versions = await readVersions(store)
    for (const name of Object.keys(versions) as Cached[]) {
      if (versions[name] === seen[name]) continue
      await reload[name]()
      seen[name] = versions[name]
    }
  }
}
