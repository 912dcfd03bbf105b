/** GET /admin/refusals — what was refused lately: what came, what is registered, and what comes nearest. */
import { Params } from '../http/params.ts'
import type { Route } from '../http/route.ts'
import { searchAudit } from '../observe/audit.ts'
import type { Services } from '../services.ts'
import { type AdminNeeds, adminRoute, numberIn, searchText } from './admin-room.ts'
import { auditLines, detailOf, refusalEvents } from './audit-lines.ts'

const perPage = 25

const textIn = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined

/** The route. */
export const refusalsRoute = (services: AdminNeeds & Pick<Services, 'clients'>, basePath: string): Route =>
  adminRoute(services, basePath, {
    path: '/admin/refusals',
    place: 'refusals',
    confirm: 'nothing',
    show: async (ctx, { frame }) => {
      const before = numberIn(searchText(Params.parse(ctx.querystring), 'before'))
      const { rows, next } = await searchAudit(services.store, refusalEvents, { before, limit: perPage })
      const lines = await auditLines(services, rows)
      services.page(ctx, 'refusals', {
        ...frame,
        next: next === undefined ? undefined : String(next),
        refusals: lines.map((line, index) => {
          const row = rows[index]
          const { description, why, received, registered, nearest } = row ? detailOf(row) : {}
          return {
            ...line,
            description: textIn(description) ?? textIn(why),
            received: textIn(received),
            registered: Array.isArray(registered) ? registered.map(String) : [],
            nearest: textIn(nearest),
          }
        }),
      })
    },
  })
