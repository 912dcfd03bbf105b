/** GET /admin/users — everybody who can sign in, with search. */
import { Params } from '../http/params.ts'
import type { Route } from '../http/route.ts'
import { listUsers } from '../identity/user.ts'
import { type AdminNeeds, adminRoute, cut, pageSize, searchText } from './admin-room.ts'

/** The route. */
export const usersRoute = (services: AdminNeeds, basePath: string): Route =>
  adminRoute(services, basePath, {
    path: '/admin/users',
    place: 'users',
    confirm: 'nothing',
    show: async (ctx, { frame }) => {
      const params = Params.parse(ctx.querystring)
      const search = searchText(params, 'q')
      const wanted = { search, after: searchText(params, 'after'), limit: pageSize + 1 }
      const { shown, last } = cut(await listUsers(services.store, wanted))
      services.page(
        ctx,
        'users',
        {
          ...frame,
          search,
          next: last?.id,
          users: shown.map(user => ({
            id: user.id,
            username: user.username,
            name: user.name ?? undefined,
            email: user.email ?? undefined,
            isAdmin: user.role === 'admin',
            isDisabled: user.disabledAt !== null,
            createdAt: user.createdAt,
          })),
        },
        { parameters: search === '' ? [] : [['q', search]] },
      )
    },
  })
