/**
 * Keys of the server's own, for what is only computed and never published: random, in the database, sealed under the
 * master key. Deriving them from the master key would end everything they made when the master key changes.
 */
import { randomBytes } from 'node:crypto'
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { statement } from '../store/statement.ts'
import type { SecretBox } from './secret-box.ts'

export type ServerKeyName = 'refresh-token' | 'self-check'

type Row = { name: string; box: string }

const making = statement<Row & { created_at: number }>('server_key.make', (knex, row) =>
  knex('server_key')
    .insert({ name: row.name, box: row.box, created_at: row.created_at })
    .onConflict('name')
    .ignore(),
)
const reading = statement<{ name: string }, Row>('server_key.read', (knex, { name }) =>
  knex('server_key').select('name', 'box').where({ name }),
)
const listing = statement<Record<never, never>, Row>('server_key.list', knex =>
  knex('server_key').select('name', 'box'),
)
const sealing = statement<{ name: string; old: string; box: string }>(
  'server_key.seal',
  (knex, { name, old, box }) => knex('server_key').where({ name, box: old }).update({ box }),
)

/**
 * A key by its name, made when it is asked for the first time. Several processes may ask at once; one makes it.
 *
 * @throws SecretBoxError when no configured master key opens it
 */
export const openServerKey = async (
  store: Store,
  box: SecretBox,
  name: ServerKeyName,
  now: Date,
): Promise<Buffer> => {
  const found = await store.one(reading, { name })
  if (found) return Buffer.from(box.open(found.box, name), 'base64url')
  const sealed = box.seal(randomBytes(32).toString('base64url'), name)
  await store.commit([write(making, { name, box: sealed, created_at: seconds(now) }, 'any')])
  return openServerKey(store, box, name, now)
}

/** The writes that put every such key under the first master key. */
export const resealServerKeys = async (store: Store, box: SecretBox): Promise<Write[]> =>
  (await store.all(listing, {}))
    .filter(row => !box.isCurrent(row.box))
    .map(row =>
      write(sealing, { name: row.name, old: row.box, box: box.seal(box.open(row.box, row.name), row.name) }),
    )
