/** GET and POST /admin/groups — groups, which apps see in the claim `groups`. */
import type { Context } from 'koa'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { listGroups } from '../identity/group.ts'
import { type Admin, type AdminNeeds, adminRoute, attempt } from './admin-room.ts'
import { createGroup, deleteGroup } from './group-operations.ts'

/** The route. */
export const groupsRoute = (services: AdminNeeds, basePath: string): Route => {
  const show = async (
    ctx: Context,
    { frame }: Admin,
    refused?: { problem: string; typed?: string | undefined },
  ): Promise<void> =>
    services.page(
      ctx,
      'groups',
      { ...frame, ...refused, groups: await listGroups(services.store) },
      { status: refused ? 422 : 200 },
    )
  return adminRoute(services, basePath, {
    path: '/admin/groups',
    place: 'groups',
    confirm: 'change',
    show: (ctx, admin) => show(ctx, admin),
    change: async (ctx, admin, form) => {
      const unwanted = form.get('delete')
      const typed = form.get('name')
      const { refused } = await attempt(() =>
        unwanted === undefined
          ? createGroup(services, typed ?? '', admin.actor)
          : deleteGroup(services, unwanted, admin.actor),
      )
      if (refused) return show(ctx, admin, { problem: refused.description, typed })
      redirect(ctx, `${ctx.path}?done=${unwanted === undefined ? 'created' : 'deleted'}`)
    },
  })
}
