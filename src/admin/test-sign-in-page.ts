/** GET and POST /admin/apps/:id/test — the tokens that an app would get, without the app. */
import type { Context } from 'koa'
import type { Route } from '../http/route.ts'
import { mayHaveScope } from '../oauth/parameters/scope.ts'
import type { TokenReader } from '../oauth/tokens/presented-token.ts'
import { type Admin, type AdminNeeds, adminRoute, idIn } from './admin-room.ts'
import { requireClient } from './client-operations.ts'
import { scopesOf } from './client-page.ts'
import { kindOf } from './recipes/recipe.ts'
import { type Outcome, runTestSignIn, type TestNeeds, type TestSettings } from './test-sign-in.ts'

/** What is asked for at first: what most apps ask for. */
const usual = ['openid', 'profile', 'email']

/** The route. */
export const testSignInRoute = (
  services: AdminNeeds & TestNeeds,
  settings: TestSettings,
  readToken: TokenReader,
  basePath: string,
): Route => {
  const show = async (
    ctx: Context,
    { frame }: Admin,
    ran?: { scope: readonly string[]; redirectUri: string | undefined; outcome: Outcome },
  ): Promise<void> => {
    const client = await requireClient(services, idIn(ctx, -2))
    const isMachine = !client.grantTypes.has('authorization_code')
    const offered = scopesOf(services).filter(
      scope => mayHaveScope(client, scope) && !(isMachine && services.resources.ofScope(scope) === undefined),
    )
    services.page(ctx, 'test-sign-in', {
      ...frame,
      client: { id: client.id, name: client.name, kind: kindOf(client) },
      scopes: offered.map(name => ({
        name,
        chosen: ran ? ran.scope.includes(name) : isMachine || usual.includes(name),
      })),
      redirectUris: isMachine ? [] : client.redirectUris,
      chosenUri: ran?.redirectUri,
      outcome: ran?.outcome,
    })
  }
  return adminRoute(services, basePath, {
    path: '/admin/apps/:id/test',
    place: 'clients',
    confirm: 'nothing',
    show: (ctx, admin) => show(ctx, admin),
    change: async (ctx, admin, form) => {
      const client = await requireClient(services, idIn(ctx, -2))
      const scope = form.all('wanted_scope')
      const redirectUri = form.get('redirect_uri')
      const wanted = { client, scope, redirectUri }
      const outcome = await runTestSignIn(services, settings, readToken, { ctx, admin, wanted })
      await show(ctx, admin, { scope, redirectUri, outcome })
    },
  })
}
