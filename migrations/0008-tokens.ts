import type { Knex } from 'knex'

/** Refresh families, opaque access tokens, client assertions that were used, and keys of the server's own. */
export const up = async (knex: Knex): Promise<void> => {
  await knex.schema.createTable('refresh_family', table => {
    table.text('id').primary()
    table.text('authorization_id').notNullable()
    table.text('client_id').notNullable()
    table.text('seed').notNullable()
    table.integer('generation').notNullable()
    table.bigInteger('rotated_at').notNullable()
    table.bigInteger('expires_at').notNullable()
  })
  await knex.schema.createTable('opaque_token', table => {
    table.text('id').primary()
    table.text('secret_hash').notNullable()
    table.text('claims').notNullable()
    table.bigInteger('expires_at').notNullable()
  })
  await knex.schema.createTable('used_assertion', table => {
    table.text('jti_hash').primary()
    table.bigInteger('expires_at').notNullable().index()
  })
  await knex.schema.createTable('server_key', table => {
    table.text('name').primary()
    table.text('box').notNullable()
    table.bigInteger('created_at').notNullable()
  })
}
