import type { Knex } from 'knex'

/** Clients with their secrets, and the resources (APIs) that access tokens can be for. */
export const up = async (knex: Knex): Promise<void> => {
  await knex.schema.createTable('client', table => {
    table.text('id').primary()
    table.text('metadata').notNullable()
    table.text('profile').notNullable()
    table.text('organization_id')
    table.bigInteger('disabled_at')
    table.bigInteger('created_at').notNullable()
    table.bigInteger('updated_at').notNullable()
  })
  await knex.schema.createTable('client_secret', table => {
    table.text('id').primary()
    table.text('client_id').notNullable().index()
    table.text('hash').notNullable()
    table.bigInteger('created_at').notNullable()
    table.bigInteger('expires_at')
    table.bigInteger('last_used_at')
  })
  await knex.schema.createTable('resource', table => {
    table.text('id').primary()
    table.text('identifier').notNullable().unique()
    table.text('name').notNullable()
    table.text('scopes').notNullable()
    table.text('token_format').notNullable()
    table.text('token_typ').notNullable()
    table.text('alg').notNullable()
    table.integer('lifetime')
    table.bigInteger('created_at').notNullable()
    table.bigInteger('updated_at').notNullable()
  })
}
