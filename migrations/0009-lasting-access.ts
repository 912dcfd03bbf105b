import type { Knex } from 'knex'

/** Finds what a user lets apps do while away; only these few rows are in the index. */
export const up = async (knex: Knex): Promise<void> => {
  await knex.raw('create index authorization_lasting on "authorization" (user_id) where offline = 1')
}
