/** GET and POST /admin/new/app — a new app, by its kind. */
import { Params } from '../http/params.ts'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { newTextKey } from '../store/text-key.ts'
import { adminRoute, attempt } from './admin-room.ts'
import { clientKinds, isClientKind, patchOf, presets, typedClient } from './client-fields.ts'
import { createClient } from './client-operations.ts'
import { type ClientPageNeeds, showClient, showClientForm } from './client-page.ts'
import { isJsonObject, mergePatch } from './merge-patch.ts'

/** The route. */
export const newClientRoute = (services: ClientPageNeeds, basePath: string): Route => {
  const { page, now } = services
  return adminRoute(services, basePath, {
    path: '/admin/new/app',
    place: 'clients',
    confirm: 'look',
    show: async (ctx, admin) => {
      const kind = Params.parse(ctx.querystring).get('kind')
      if (!isClientKind(kind)) return page(ctx, 'new-client', { ...admin.frame, kinds: clientKinds })
      showClientForm(services, ctx, admin, { kind, typed: {}, newId: newTextKey(now()) })
    },
    change: async (ctx, admin, form) => {
      const kind = form.get('kind')
      if (!isClientKind(kind)) return redirect(ctx, ctx.path)
      const typed = typedClient(form)
      // Chosen before it was sent: the same form sent twice makes one app.
      const newId = form.get('client_id') ?? newTextKey(now())
      const patched = mergePatch(presets[kind], patchOf(kind, typed))
      const metadata = { ...(isJsonObject(patched) ? patched : {}), client_id: newId }
      const { done, refused } = await attempt(() => createClient(services, metadata, admin.actor))
      if (refused?.error === 'client_id_taken') return redirect(ctx, `${basePath}/admin/apps/${newId}`)
      if (refused) return showClientForm(services, ctx, admin, { kind, typed, newId }, refused)
      await showClient(services, ctx, admin, done.client.id, { done, said: 'created' })
    },
  })
}
