import type { Knex } from 'knex'

export const additive = true

/** Clients that registered themselves (RFC 7591), and the tokens that let somebody do so once. */
export const up = async (knex: Knex): Promise<void> => {
  await knex.schema.createTable('registration', table => {
    table.text('client_id').primary()
    table.text('token_hash').notNullable()
    table.text('software_statement')
    table.bigInteger('created_at').notNullable()
    table.bigInteger('used_at')
  })
  // Those that wait for their first use are few: they are counted, and looked through for old ones.
  await knex.raw('create index registration_unused on registration (created_at) where used_at is null')
  await knex.schema.createTable('initial_access_token', table => {
    table.text('id').primary()
    table.text('secret_hash').notNullable()
    table.bigInteger('expires_at').notNullable().index()
    table.bigInteger('used_at')
  })
}
