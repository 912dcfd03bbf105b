/** GET and POST /admin/apps/:id — an app: what it needs to know of us, its secrets, and settings ready to paste. */
import type { Context } from 'koa'
import type { ClientFormView } from '../http/admin-views.ts'
import type { Refusal } from '../http/refusal.ts'
import type { Route } from '../http/route.ts'
import { openidScopes } from '../oauth/parameters/scope.ts'
import type { Services } from '../services.ts'
import { type Admin, type AdminNeeds, adminRoute, attempt, idIn } from './admin-room.ts'
import { faultyField } from './client-fields.ts'
import { type ClientOutcome, metadataOf, requireClient, rotateSecret } from './client-operations.ts'
import { recipesFor } from './recipes/client-recipes.ts'
import { kindOf } from './recipes/recipe.ts'

export type ClientPageNeeds = AdminNeeds & Pick<Services, 'clients' | 'resources' | 'keys'>

/** Seconds that the old secret counts: time to bring the new one to the app. */
const oldEndsIn = 86_400

/** Every scope that there is to choose from. */
export const scopesOf = ({ resources }: Pick<Services, 'resources'>): string[] => [
  ...openidScopes,
  ...resources.all().flatMap(resource => resource.scopes),
]

const linkNames = [
  'client_uri',
  'initiate_login_uri',
  'backchannel_logout_uri',
  'policy_uri',
  'tos_uri',
  'jwks_uri',
] as const

/** Shows an app. A secret is shown by the answer that made it, and never again. */
export const showClient = async (
  services: ClientPageNeeds,
  ctx: Context,
  { frame }: Admin,
  id: string,
  { done, said, problem }: { done?: ClientOutcome; said?: string; problem?: string } = {},
): Promise<void> => {
  const { issuer, page } = services
  const client = await requireClient(services, id)
  const { metadata } = client
  page(
    ctx,
    'client',
    {
      ...frame,
      // The answer to a form may stand at another page's address.
      ...(said === undefined ? {} : { done: said }),
      problem,
      issuer,
      discovery: `${issuer}/.well-known/openid-configuration`,
      client: {
        id: client.id,
        name: client.name,
        kind: kindOf(client),
        isFirstParty: client.isFirstParty,
        isDisabled: client.disabledAt !== null,
        needsPkce: client.policy.requirePkce,
        authMethod: metadata.token_endpoint_auth_method ?? 'client_secret_basic, client_secret_post',
        scope: metadata.scope,
        redirectUris: client.redirectUris,
        postLogoutRedirectUris: client.postLogoutRedirectUris,
        links: linkNames.flatMap((name): [string, string][] => {
          const url = metadata[name]
          return url === undefined ? [] : [[name, url]]
        }),
        createdAt: client.createdAt,
        updatedAt: client.updatedAt,
      },
      secrets: client.secrets.map(({ createdAt, expiresAt, lastUsedAt }) => ({
        createdAt,
        expiresAt: expiresAt ?? undefined,
        lastUsedAt: lastUsedAt ?? undefined,
      })),
      newSecret: done?.secret,
      warnings: done?.warnings ?? [],
      recipes: recipesFor(issuer, client)
        .filter(({ fits }) => fits)
        .map(recipe => ({ id: recipe.id, label: recipe.label, lacks: recipe.lacks, text: recipe.text })),
      metadata: JSON.stringify({ client_id: client.id, ...metadataOf(client) }, null, 2),
    },
    { status: problem === undefined ? 200 : 409 },
  )
}

/** Shows the form of an app, with what was typed into it and why it was refused. */
export const showClientForm = (
  services: ClientPageNeeds,
  ctx: Context,
  { frame }: Admin,
  view: Pick<ClientFormView, 'kind' | 'typed' | 'client' | 'newId'>,
  refused?: Refusal,
): void =>
  services.page(
    ctx,
    'client-form',
    {
      ...frame,
      ...view,
      scopes: scopesOf(services),
      problem: refused?.description,
      faulty: refused && faultyField(refused.description),
    },
    { status: refused ? 422 : 200, parameters: view.newId === undefined ? [] : [['kind', view.kind]] },
  )

/** The route. */
export const clientRoute = (services: ClientPageNeeds, basePath: string): Route =>
  adminRoute(services, basePath, {
    path: '/admin/apps/:id',
    place: 'clients',
    confirm: 'change',
    show: (ctx, admin) => showClient(services, ctx, admin, idIn(ctx, -1)),
    change: async (ctx, admin, form) => {
      const id = idIn(ctx, -1)
      if (form.get('action') !== 'rotate_secret') return showClient(services, ctx, admin, id)
      const { done, refused } = await attempt(() => rotateSecret(services, { id, oldEndsIn }, admin.actor))
      await showClient(
        services,
        ctx,
        admin,
        id,
        done ? { done, said: 'rotated' } : { problem: refused?.description ?? '' },
      )
    },
  })
