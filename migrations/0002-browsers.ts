import type { Knex } from 'knex'

/** Browsers, the people signed in there, and why a browser is at sign-in. */
export const up = async (knex: Knex): Promise<void> => {
  await knex.schema.createTable('browser', table => {
    table.text('id').primary()
    table.text('secret_hash').notNullable()
    table.text('active_session_id')
    table.bigInteger('created_at').notNullable()
  })
  await knex.schema.createTable('session', table => {
    table.text('id').primary()
    table.text('browser_id').notNullable().index()
    table.text('user_id').notNullable().index()
    table.bigInteger('auth_time').notNullable()
    table.text('amr').notNullable()
    table.text('acr').notNullable()
    table.text('ip')
    table.text('user_agent')
    table.integer('idle_ttl').notNullable()
    table.bigInteger('created_at').notNullable()
    table.bigInteger('seen_at').notNullable()
    table.bigInteger('expires_at').notNullable().index()
    table.bigInteger('ended_at')
    table.text('end_reason')
  })
  // Sessions that have ended by age and that nobody was told of are looked for every few seconds.
  await knex.raw('create index session_expiry on session (expires_at) where ended_at is null')
  await knex.raw('create index session_idle on session ((seen_at + idle_ttl)) where ended_at is null')
  await knex.schema.createTable('sign_in', table => {
    table.text('id').primary()
    table.text('browser_id')
    table.text('told').notNullable()
    table.text('session_id')
    table.integer('authenticated').notNullable().defaultTo(0)
    table.bigInteger('expires_at').notNullable()
  })
}
