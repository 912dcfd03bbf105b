import type { Knex } from 'knex'

/** Users, their passwords and groups, and the one-time links that let somebody set a password. */
export const up = async (knex: Knex): Promise<void> => {
  await knex.schema.createTable('user', table => {
    table.text('id').primary()
    table.text('sub').notNullable().unique()
    table.text('username').notNullable()
    table.text('username_key').notNullable().unique()
    table.text('email')
    table.text('email_key').unique()
    table.integer('email_verified').notNullable().defaultTo(0)
    table.text('name')
    table.text('claims').notNullable().defaultTo('{}')
    table.text('role')
    table.text('ended_before').notNullable().defaultTo('')
    table.bigInteger('disabled_at')
    table.bigInteger('created_at').notNullable()
    table.bigInteger('updated_at').notNullable()
  })
  await knex.schema.createTable('password', table => {
    table.text('user_id').primary().references('id').inTable('user').onDelete('CASCADE')
    table.text('hash').notNullable()
    table.bigInteger('changed_at').notNullable()
  })
  await knex.schema.createTable('group', table => {
    table.text('id').primary()
    table.text('name').notNullable()
    table.text('name_key').notNullable().unique()
    table.bigInteger('created_at').notNullable()
  })
  await knex.schema.createTable('membership', table => {
    table.text('user_id').notNullable().references('id').inTable('user').onDelete('CASCADE')
    table.text('group_id').notNullable().references('id').inTable('group').onDelete('CASCADE')
    table.primary(['user_id', 'group_id'])
    table.index(['group_id'])
  })
  await knex.schema.createTable('one_time_link', table => {
    table.text('id').primary()
    table.text('purpose').notNullable()
    table.text('secret_hash').notNullable()
    table.text('user_id')
    table.bigInteger('expires_at').notNullable()
    table.bigInteger('used_at')
  })
}
