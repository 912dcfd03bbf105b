/** What must hold in the database after every run and every fault (security-cases, INV). */
import type { Knex } from 'knex'
import { expect } from 'vitest'
import type { Store } from '../../src/store/database.ts'
import { openDatabase } from '../../src/store/database.ts'
import type { FreshDatabase } from './databases.ts'

/** Rows that must not be, by what they would mean. */
const violations: Record<string, (knex: Knex) => Knex.QueryBuilder> = {
  'INV-1 a code that gave two families, INV-2 two heads': knex =>
    knex('refresh_family').select('authorization_id').groupBy('authorization_id').havingRaw('count(*) > 1'),
  'a code that was used and gave nothing': knex =>
    knex('code')
      .select('code.id')
      .join('authorization', 'authorization.id', 'code.authorization_id')
      .leftJoin('refresh_family', 'refresh_family.authorization_id', 'code.authorization_id')
      .whereNotNull('code.used_at')
      .whereNull('authorization.revoked_at')
      .whereNull('refresh_family.id'),
  'INV-5 a family without authorization': knex =>
    knex('refresh_family')
      .select('refresh_family.id')
      .leftJoin('authorization', 'authorization.id', 'refresh_family.authorization_id')
      .whereNull('authorization.id'),
  'INV-5 a code without authorization': knex =>
    knex('code')
      .select('code.id')
      .leftJoin('authorization', 'authorization.id', 'code.authorization_id')
      .whereNull('authorization.id'),
  'INV-5 an authorization without consent': knex =>
    knex('authorization')
      .select('authorization.id')
      .leftJoin('consent', function () {
        this.on('consent.user_id', 'authorization.user_id').on('consent.client_id', 'authorization.client_id')
      })
      .whereNull('consent.user_id'),
  'INV-5 an authorization without session': knex =>
    knex('authorization')
      .select('authorization.id')
      .leftJoin('session', 'session.id', 'authorization.session_id')
      .whereNull('session.id'),
  'INV-5 a session without authentication event': knex =>
    knex('session')
      .select('session.id')
      .whereNotExists(
        knex('audit')
          .select('id')
          .where({ event: 'login.succeeded' })
          .whereRaw("detail like '%' || session.id || '%'"),
      ),
  'INV-6 two keys of one name': knex =>
    knex('signing_key').select('kid').groupBy('kid').havingRaw('count(*) > 1'),
}

/** Looks for every kind of row that must not be, and at the SQLite file itself. */
export const expectInvariants = async ({ parsed }: FreshDatabase): Promise<void> => {
  const store = await openDatabase(parsed, { poolSize: 1 })
  try {
    for (const [what, find] of Object.entries(violations)) expect(await store.search(find), what).toEqual([])
    if (store.kind === 'sqlite') await expectWhole(store)
  } finally {
    await store.close()
  }
}

/** The file is not damaged. */
export const expectWhole = async (store: Store): Promise<void> => {
  const found = await store.search(knex => knex.select('integrity_check').from('pragma_integrity_check'))
  expect(found).toEqual([{ integrity_check: 'ok' }])
}
