import type { Knex } from 'knex'

/** When somebody asked for an announced key to sign as soon as caches have seen it. */
export const up = async (knex: Knex): Promise<void> => {
  await knex.schema.alterTable('signing_key', table => {
    table.bigInteger('requested_at')
  })
}
