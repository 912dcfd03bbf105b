/** GET /admin — how the server stands: what wants attention first. */
import type { Knex } from 'knex'
import type { Route } from '../http/route.ts'
import { livingSessions } from '../identity/session-list.ts'
import type { RotationSettings } from '../keys/rotation.ts'
import { since } from '../keys/rotation.ts'
import { listKeys } from '../keys/signing-key.ts'
import { searchAudit } from '../observe/audit.ts'
import type { Services } from '../services.ts'
import { type AdminNeeds, adminRoute } from './admin-room.ts'
import { auditLines, refusalEvents } from './audit-lines.ts'
import { nextOf } from './keys-page.ts'
import { failedDeliveries } from './outbox-page.ts'

type Needs = AdminNeeds & Pick<Services, 'clients'>

export type OverviewFacts = {
  version: string
  keySettings: RotationSettings
  /** What is wrong with the set-up or the keys, in words for operators. */
  troubles: () => string[]
}

/** Counting stops here: nobody reads a larger number exactly, and a large table is not read through for it. */
const mostCounted = 10_000

/** The route. */
export const overviewRoute = (services: Needs, facts: OverviewFacts, basePath: string): Route => {
  const { issuer, store, now, page } = services

  const count = async (rows: (knex: Knex) => Knex.QueryBuilder): Promise<string> => {
    const [row] = await store.search<{ n: number | string }>(knex =>
      knex.count({ n: '*' }).from(
        rows(knex)
          .limit(mostCounted + 1)
          .as('some'),
      ),
    )
    const counted = Number(row?.n ?? 0)
    return counted > mostCounted ? `${mostCounted}+` : String(counted)
  }

  return adminRoute(services, basePath, {
    path: '/admin',
    place: 'overview',
    confirm: 'nothing',
    show: async (ctx, { frame }) => {
      const [users, clients, sessions, failed, signIns, refusals, keys] = await Promise.all([
        count(knex => knex('user').select('id')),
        count(knex => knex('client').select('id')),
        count(knex => livingSessions(knex, now())),
        failedDeliveries(services),
        searchAudit(store, ['login.succeeded'], { limit: 5 }),
        searchAudit(store, refusalEvents, { limit: 5 }),
        listKeys(store),
      ])
      page(ctx, 'overview', {
        ...frame,
        issuer,
        discovery: `${issuer}/.well-known/openid-configuration`,
        version: facts.version,
        counts: { users, clients, sessions, failed },
        troubles: facts.troubles(),
        signIns: await auditLines(services, signIns.rows),
        refusals: await auditLines(services, refusals.rows),
        keys: keys
          .filter(key => key.state === 'active')
          .map(key => ({ alg: key.alg, since: since(key), next: nextOf(key, key, facts.keySettings)?.at })),
      })
    },
  })
}
