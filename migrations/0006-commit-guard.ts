import type { Knex } from 'knex'

/**
 * What a commit calls on PostgreSQL when a write did not change the rows it had to: the error undoes the whole
 * statement and says which write it was. SQLite counts in the process and needs nothing.
 */
export const up = async (knex: Knex): Promise<void> => {
  if (knex.client.config.client !== 'pg') return
  await knex.raw(`
    create function lintel_guard_failed(failed integer) returns integer language plpgsql volatile as $body$
    begin
      raise exception 'write % of a commit did not find its rows', failed
        using errcode = 'LN001', detail = failed::text;
    end
    $body$`)
}
