/** GET and POST /admin/sessions — who is signed in where, newest first. */
import { Params } from '../http/params.ts'
import { redirect } from '../http/redirect.ts'
import { Refusal } from '../http/refusal.ts'
import type { Route } from '../http/route.ts'
import { listSessions } from '../identity/session-list.ts'
import { adminRoute, cut, pageSize, searchText } from './admin-room.ts'
import { revokeSession } from './session-operations.ts'
import { sessionLine, type UserPageNeeds } from './user-page.ts'

/** The route. */
export const sessionsRoute = (services: UserPageNeeds, basePath: string): Route =>
  adminRoute(services, basePath, {
    path: '/admin/sessions',
    place: 'sessions',
    confirm: 'nothing',
    show: async (ctx, { frame }) => {
      const before = searchText(Params.parse(ctx.querystring), 'before')
      const wanted = { before, limit: pageSize + 1 }
      const { shown, last } = cut(await listSessions(services.store, services.now(), wanted))
      services.page(ctx, 'sessions', { ...frame, sessions: shown.map(sessionLine), next: last?.id })
    },
    change: async (ctx, { actor }, form) => {
      const id = form.get('revoke')
      try {
        if (id !== undefined) await revokeSession(services, id, actor)
      } catch (error) {
        // It ended by itself meanwhile, which is what was asked for.
        if (!(error instanceof Refusal && error.status === 404)) throw error
      }
      redirect(ctx, `${ctx.path}?done=revoked`)
    },
  })
