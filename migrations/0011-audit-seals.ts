import type { Knex } from 'knex'

/** The chain of seals over the audit: each covers the rows after the one before, up to `last_id`. */
export const up = async (knex: Knex): Promise<void> => {
  await knex.schema.createTable('audit_seal', table => {
    table.bigInteger('id').primary()
    table.bigInteger('last_id').notNullable()
    table.bigInteger('sealed_at').notNullable()
    table.text('seal').notNullable()
  })
}
