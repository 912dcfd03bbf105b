/** Ready-to-paste settings for a client, framework by framework: for the command line and the admin pages alike. */
import type { Client } from '../../oauth/client/client.ts'
import { mayHaveScope, openidScopes } from '../../oauth/parameters/scope.ts'
import { callbackOf } from './callback.ts'
import { lacksOf, repairCommand } from './lacks.ts'
import { libraryRecipes } from './library-recipes.ts'
import { productRecipes } from './product-recipes.ts'
import { proxyRecipes } from './proxy-recipes.ts'
import { commentSign, type Facts, kindOf, lines, type Recipe, secretVariable } from './recipe.ts'

/** The table, in the order that lists show it. */
export const recipes: readonly Recipe[] = [...libraryRecipes, ...proxyRecipes, ...productRecipes]

/** Settings for one framework. */
export type RenderedRecipe = {
  id: string
  label: string
  language: Recipe['language']
  /** It is made for clients of this kind. */
  fits: boolean
  /** What the client's metadata lacks for it, in sentences. */
  lacks: string[]
  /** The settings, after comments that say where the secret is and what is lacking. */
  text: string
}

/** The settings of every framework for a client; those that fit first. */
export const recipesFor = (issuer: string, client: Client): RenderedRecipe[] => {
  const rendered = recipes.map(recipe => renderRecipe(issuer, client, recipe))
  return [...rendered.filter(one => one.fits), ...rendered.filter(one => !one.fits)]
}

/** The recipe of that id. */
export const findRecipe = (id: string): Recipe | undefined => recipes.find(recipe => recipe.id === id)

export const renderRecipe = (issuer: string, client: Client, recipe: Recipe): RenderedRecipe => {
  const facts = factsOf(issuer, client, recipe)
  const lacks = lacksOf(recipe, client, facts)
  const sign = commentSign(recipe)
  const comments = [
    `${recipe.label} with Lintel, client ${client.id}`,
    ...secretWords(client),
    ...lacks.map(({ words }) => `Lacking: ${words}`),
    ...repairCommand(client, lacks),
  ]
  return {
    id: recipe.id,
    label: recipe.label,
    language: recipe.language,
    fits: recipe.kinds.includes(kindOf(client)),
    lacks: lacks.map(({ words }) => words),
    text: lines(...comments.map(line => `${sign} ${line}`), '', recipe.render(facts)),
  }
}

const secretWords = (client: Client): string[] => {
  if (client.isPublic) return []
  if (client.metadata.token_endpoint_auth_method === 'private_key_jwt')
    return ['It authenticates with its own key (private_key_jwt): give the app that in place of a secret.']
  return [
    `The secret, ${secretVariable} here, was shown when it was made; lintel client rotate-secret ${client.id} makes another.`,
  ]
}

const scopesOf = (recipe: Recipe, client: Client): string[] => {
  if (recipe.scopes !== 'registered') return recipe.scopes.filter(scope => mayHaveScope(client, scope))
  const own = [...(client.scope ?? openidScopes)]
  // Without a person there is nobody whom OpenID scopes could tell of.
  return kindOf(client) === 'machine'
    ? own.filter(scope => !openidScopes.some(openid => openid === scope))
    : own
}

const factsOf = (issuer: string, client: Client, recipe: Recipe): Facts => ({
  issuer,
  clientId: client.id,
  isPublic: client.isPublic,
  authMethod: client.metadata.token_endpoint_auth_method,
  scopes: scopesOf(recipe, client),
  mayRefresh: client.grantTypes.has('refresh_token'),
  postLogoutRedirectUri: client.postLogoutRedirectUris[0],
  ...callbackOf(recipe, client.redirectUris),
})
