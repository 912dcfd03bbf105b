/** GET and POST /admin/apps/:id/edit — what an app is registered with. */
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { adminRoute, attempt, idIn } from './admin-room.ts'
import { formOf, patchOf, typedClient } from './client-fields.ts'
import { requireClient, updateClient } from './client-operations.ts'
import { type ClientPageNeeds, showClient, showClientForm } from './client-page.ts'
import { kindOf } from './recipes/recipe.ts'

/** The route. */
export const editClientRoute = (services: ClientPageNeeds, basePath: string): Route => {
  return adminRoute(services, basePath, {
    path: '/admin/apps/:id/edit',
    place: 'clients',
    confirm: 'look',
    show: async (ctx, admin) => {
      const client = await requireClient(services, idIn(ctx, -2))
      showClientForm(services, ctx, admin, { kind: kindOf(client), typed: formOf(client), client })
    },
    change: async (ctx, admin, form) => {
      const client = await requireClient(services, idIn(ctx, -2))
      const [kind, typed] = [kindOf(client), typedClient(form)]
      const change = { id: client.id, patch: patchOf(kind, typed) }
      const { done, refused } = await attempt(() => updateClient(services, change, admin.actor))
      if (refused) return showClientForm(services, ctx, admin, { kind, typed, client }, refused)
      if (done.warnings.length > 0)
        return showClient(services, ctx, admin, client.id, { done, said: 'saved' })
      redirect(ctx, `${basePath}/admin/apps/${client.id}?done=saved`)
    },
  })
}
