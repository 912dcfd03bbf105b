import type { Knex } from 'knex'

export const additive = true

/** How often a row was changed: what one operator saw is not overwritten by what another saw before. */
export const up = async (knex: Knex): Promise<void> => {
  for (const name of ['user', 'client', 'resource'])
    await knex.schema.alterTable(name, table => {
      table.bigInteger('version').notNullable().defaultTo(0)
    })
}
