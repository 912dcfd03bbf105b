/** GET and POST /admin/apps/:id/edit — what an app is registered with. */
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { adminRoute, attempt, idIn } from './admin-room.ts'
import { faultyField, formOf, patchOf, typedClient } from './client-fields.ts'
import { requireClient, updateClient } from './client-operations.ts'
import { type ClientPageNeeds, scopesOf, showClient } from './client-page.ts'
import { kindOf } from './recipes/recipe.ts'

/** The route. */
export const editClientRoute = (services: ClientPageNeeds, basePath: string): Route => {
  const { page } = services
  return adminRoute(services, basePath, {
    path: '/admin/apps/:id/edit',
    place: 'clients',
    confirm: 'look',
    show: async (ctx, { frame }) => {
      const client = await requireClient(services, idIn(ctx, -2))
      const kind = kindOf(client)
      page(ctx, 'client-form', { ...frame, kind, typed: formOf(client), client, scopes: scopesOf(services) })
    },
    change: async (ctx, admin, form) => {
      const client = await requireClient(services, idIn(ctx, -2))
      const [kind, typed] = [kindOf(client), typedClient(form)]
      const change = { id: client.id, patch: patchOf(kind, typed) }
      const { done, refused } = await attempt(() => updateClient(services, change, admin.actor))
      if (refused) {
        const { description } = refused
        const faulty = faultyField(description)
        const view = {
          ...admin.frame,
          kind,
          typed,
          client,
          scopes: scopesOf(services),
          problem: description,
          faulty,
        }
        return page(ctx, 'client-form', view, { status: 422 })
      }
      services.clients.forget()
      if (done.warnings.length > 0)
        return showClient(services, ctx, admin, client.id, { done, said: 'saved' })
      redirect(ctx, `${basePath}/admin/apps/${client.id}?done=saved`)
    },
  })
}
