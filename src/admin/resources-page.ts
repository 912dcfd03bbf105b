/** GET and POST /admin/apis — the APIs that access tokens can be for, and their scopes. */
import type { Context } from 'koa'
import type { ResourcesView } from '../http/admin-views.ts'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { listResources } from '../oauth/client/resource-server.ts'
import type { Services } from '../services.ts'
import { type Admin, type AdminNeeds, adminRoute, attempt } from './admin-room.ts'
import { createResource, deleteResource } from './resource-operations.ts'

type Needs = AdminNeeds & Pick<Services, 'keys' | 'resources'>

/** The route. */
export const resourcesRoute = (services: Needs, basePath: string): Route => {
  const show = async (
    ctx: Context,
    { frame }: Admin,
    typed: ResourcesView['typed'],
    problem?: string,
  ): Promise<void> => {
    const resources = await listResources(services.store)
    services.page(
      ctx,
      'resources',
      {
        ...frame,
        problem,
        typed,
        resources: resources.map(({ id, identifier, name, scopes, tokenFormat, tokenTyp, alg }) => ({
          id,
          identifier,
          name,
          scopes,
          format: tokenFormat === 'opaque' ? 'opaque' : `${tokenTyp}, ${alg}`,
        })),
      },
      { status: problem === undefined ? 200 : 422 },
    )
  }
  return adminRoute(services, basePath, {
    path: '/admin/apis',
    place: 'resources',
    confirm: 'change',
    show: (ctx, admin) => show(ctx, admin, {}),
    change: async (ctx, admin, form) => {
      const unwanted = form.get('delete')
      const typed = {
        identifier: form.get('identifier'),
        name: form.get('name'),
        scopes: form.get('scopes'),
      }
      const wanted = {
        identifier: typed.identifier ?? '',
        name: typed.name ?? '',
        scopes: (typed.scopes ?? '').split(/[\s,]+/).filter(scope => scope !== ''),
      }
      const { refused } = await attempt(() =>
        unwanted === undefined
          ? createResource(services, wanted, admin.actor)
          : deleteResource(services, unwanted, admin.actor),
      )
      if (refused) return show(ctx, admin, typed, refused.description)
      redirect(ctx, `${ctx.path}?done=${unwanted === undefined ? 'created' : 'deleted'}`)
    },
  })
}
