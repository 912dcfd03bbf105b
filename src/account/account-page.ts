/** GET /account — who somebody is here, and the way to what is theirs. */
import { Params } from '../http/params.ts'
import type { Route } from '../http/route.ts'
import type { Services } from '../services.ts'
import { seconds } from '../store/single-use.ts'
import { statement } from '../store/statement.ts'
import { ownAppsOf } from './own-apps-page.ts'
import { liveSessionsOf } from './own-sessions-page.ts'
import { requireSession } from './require-session.ts'

type Needs = Pick<Services, 'store' | 'cookies' | 'now' | 'page' | 'clients'>

const passwordOf = statement<{ user: string }, { changedAt: number }>('account.password', (knex, { user }) =>
  knex('password').select({ changedAt: 'changed_at' }).where({ user_id: user }),
)

/** The route. */
export const accountRoute = (services: Needs, basePath: string): Route => {
  const { store, now, page } = services
  return {
    path: '/account',
    kind: 'page',
    isolated: true,
    handlers: {
      GET: async ctx => {
        const { session, user } = await requireSession(services, ctx, basePath)
        const [sessions, apps, password] = await Promise.all([
          liveSessionsOf(store, user.id, now()),
          ownAppsOf(services, user.id),
          store.one(passwordOf, { user: user.id }),
        ])
        page(ctx, 'account', {
          user: {
            username: user.username,
            name: user.name ?? undefined,
            email: user.email ?? undefined,
            emailVerified: user.emailVerified,
          },
          now: seconds(now()),
          done: Params.parse(ctx.querystring).get('done'),
          signedInAt: session.authTime,
          sessions: sessions.length,
          apps: apps.length,
          passwordChangedAt: password?.changedAt,
          isAdmin: user.role === 'admin',
        })
      },
    },
  }
}
