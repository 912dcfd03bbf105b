/** `scope` (RFC 6749 section 3.3, OIDC Core section 5.4). */
import type { Params } from '../../http/params.ts'
import type { Client } from '../client/client.ts'
import type { ResourceDirectory } from '../client/resource-server.ts'
import { invalidScope } from '../errors.ts'

/** OpenID scopes; any client may ask for them that names no scopes of its own. */
export const openidScopes = [
  'openid',
  'profile',
  'email',
  'phone',
  'address',
  'groups',
  'offline_access',
] as const

export const isOpenidScope = (scope: string): boolean => (openidScopes as readonly string[]).includes(scope)

const mostScopes = 100
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/

/**
 * The names in a `scope` parameter, each once.
 *
 * @throws Refusal `invalid_scope` for what is not a list of scope names
 */
export const splitScope = (text: string): string[] => {
  // Two more than are taken: one that is too many, and the empty text before a leading space.
  const names = text.split(/ +/, mostScopes + 2).filter(name => name !== '')
  if (names.length > mostScopes) throw invalidScope(`scope names more than ${mostScopes} scopes`)
  if (names.some(name => !scopeToken.test(name)))
    throw invalidScope('scope holds a character that no scope name has')
  return [...new Set(names)]
}

/** Whether a client may have a scope. */
export const mayHaveScope = (client: Client, scope: string): boolean =>
  client.scope?.has(scope) ?? isOpenidScope(scope)

/** Whether a scope exists at all. */
export const isKnownScope = (scope: string, resources: ResourceDirectory): boolean =>
  isOpenidScope(scope) || resources.ofScope(scope) !== undefined

/**
 * The scopes of an authorization request. Unknown ones are ignored, as OIDC Core section 3.1.2.1 wants.
 *
 * @throws Refusal `invalid_scope` for one that the client may not have
 */
export const parseScope = (
  params: Params,
  client: Client,
  resources: ResourceDirectory,
): { scope: string[]; ignoredScope: string[] } => {
  const named = splitScope(params.get('scope') ?? '')
  const asked = named.filter(scope => isKnownScope(scope, resources))
  const foreign = asked.find(scope => !mayHaveScope(client, scope))
  if (foreign !== undefined) throw invalidScope(`this client may not have the scope ${foreign}`)
  return { scope: asked, ignoredScope: named.filter(scope => !asked.includes(scope)) }
}
