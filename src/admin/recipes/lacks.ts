/** What a client's metadata lacks for a framework, and the merge patch that would bring it. */
import type { Client } from '../../oauth/client/client.ts'
import { mayHaveScope } from '../../oauth/parameters/scope.ts'
import { addressAt } from './callback.ts'
import { type Facts, forShell, kindOf, type Recipe } from './recipe.ts'

export type Lack = { words: string; patch: Record<string, unknown> }

type Rule = (recipe: Recipe, client: Client, facts: Facts) => Lack | undefined

const kindWords = {
  server: 'apps that keep a secret on a server',
  browser: 'public clients in a browser',
  native: 'native apps',
  machine: 'services without a person',
} as const

const wrongKind: Rule = ({ kinds }, client) =>
  kinds.includes(kindOf(client))
    ? undefined
    : { words: `this is made for ${kinds.map(kind => kindWords[kind]).join(', and for ')}.`, patch: {} }

const redirectUri: Rule = (_, client, callback) =>
  callback.registered || kindOf(client) === 'machine'
    ? undefined
    : {
        words: `redirect_uris has no address as it wants it, ${callback.redirectUri}`,
        patch: { redirect_uris: [...client.redirectUris, callback.redirectUri] },
      }

const pkce: Rule = ({ sendsNoPkce }, client) =>
  !sendsNoPkce || !client.policy.requirePkce
    ? undefined
    : client.isPublic
      ? { words: 'it sends no PKCE, without which no public client is let in.', patch: {} }
      : { words: 'it sends no PKCE; require_pkce must be false.', patch: { require_pkce: false } }

const signature: Rule = ({ wantsRs256 }, { metadata }) =>
  wantsRs256 && (metadata.id_token_signed_response_alg ?? 'RS256') !== 'RS256'
    ? {
        words: `it takes ID tokens signed with RS256, and this client gets ${metadata.id_token_signed_response_alg}.`,
        patch: { id_token_signed_response_alg: null },
      }
    : undefined

const claims: Rule = ({ readsIdTokenOnly }, { policy }) =>
  readsIdTokenOnly && !policy.scopeClaimsInIdToken
    ? {
        words: 'it reads names and addresses from the ID token only, where this client has none.',
        patch: { scope_claims_in_id_token: true },
      }
    : undefined

const authentication: Rule = ({ authMethods }, { metadata }) => {
  const registered = metadata.token_endpoint_auth_method
  return registered === undefined || !authMethods || authMethods.includes(registered)
    ? undefined
    : {
        words: `it authenticates by ${authMethods[0]} only, and this client is registered for ${registered}.`,
        patch: { token_endpoint_auth_method: authMethods[0] },
      }
}

const refresh: Rule = ({ refreshes }, client) =>
  !refreshes || client.grantTypes.has('refresh_token')
    ? undefined
    : {
        words: 'grant_types has no refresh_token: people must come back here when a token ends.',
        patch: { grant_types: [...client.grantTypes, 'refresh_token'] },
      }

const scopes: Rule = ({ scopes: wanted }, client) => {
  const missing = wanted === 'registered' ? [] : wanted.filter(scope => !mayHaveScope(client, scope))
  return missing.length === 0 || client.scope === undefined
    ? undefined
    : {
        words: `scope holds not what it asks for: ${missing.join(' ')}`,
        patch: { scope: [...client.scope, ...missing].join(' ') },
      }
}

const afterLogout: Rule = ({ afterLogout: path }, client, callback) => {
  const address = path === undefined ? undefined : addressAt(path, callback)
  return address === undefined || client.postLogoutRedirectUris.includes(address)
    ? undefined
    : {
        words: `post_logout_redirect_uris has not where it comes back to after signing out, ${address}`,
        patch: { post_logout_redirect_uris: [...client.postLogoutRedirectUris, address] },
      }
}

const backChannel: Rule = ({ backChannel: path }, { metadata }, callback) => {
  if (path === undefined || metadata.backchannel_logout_uri !== undefined) return undefined
  const address = addressAt(path, callback)
  return {
    words: `backchannel_logout_uri is not set, so that it does not hear of sign-outs elsewhere: ${address}`,
    patch: { backchannel_logout_uri: address },
  }
}

const rules: readonly Rule[] = [
  redirectUri,
  pkce,
  signature,
  claims,
  authentication,
  refresh,
  scopes,
  afterLogout,
  backChannel,
]

export const lacksOf = (recipe: Recipe, client: Client, facts: Facts): Lack[] => {
  const first = wrongKind(recipe, client, facts)
  // For another kind of app the rest would only be noise.
  return first ? [first] : rules.flatMap(rule => rule(recipe, client, facts) ?? [])
}

/** The command that brings all of it. */
export const repairCommand = (client: Client, lacks: readonly Lack[]): string[] => {
  const patch = Object.assign({}, ...lacks.map(lack => lack.patch)) as Record<string, unknown>
  return Object.keys(patch).length === 0
    ? []
    : [`lintel client update ${client.id} --json-metadata ${forShell(JSON.stringify(patch))}`]
}
