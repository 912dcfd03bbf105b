/** `resource` (RFC 8707): which APIs an access token is for, and its `aud` (contracts.md section 6, Audience). */
import type { Params } from '../../http/params.ts'
import type { Client } from '../client/client.ts'
import type { Resource, ResourceDirectory } from '../client/resource-server.ts'
import { invalidGrant, invalidScope, invalidTarget } from '../errors.ts'
import { isOpenidScope, mayHaveScope } from './scope.ts'

const mostResources = 10

/**
 * The resources that a request names.
 *
 * @throws Refusal `invalid_target` for one that is not registered, has a fragment, or too many
 */
export const parseResource = (params: Params, resources: ResourceDirectory): { resources: string[] } => {
  const named = params.all('resource')
  if (named.length > mostResources) throw invalidTarget(`more than ${mostResources} resources`)
  const found = named.map(identifier => {
    const resource = identifier.includes('#') ? undefined : resources.find(identifier)
    if (!resource) throw invalidTarget('resource names an API that is not registered here')
    return resource.identifier
  })
  return { resources: [...new Set(found)] }
}

/**
 * The resources that a client names for itself. A token without a scope is a token all the same: for an API of which
 * the client may have nothing there is none. An API without scopes is for whom the operator registered.
 *
 * @throws Refusal `invalid_target`
 */
export const parseOwnResource = (
  params: Params,
  client: Client,
  directory: ResourceDirectory,
): { resources: string[] } => {
  const { resources } = parseResource(params, directory)
  for (const identifier of resources) {
    const scopes = directory.find(identifier)?.scopes ?? []
    const isFor =
      scopes.length === 0 ? !client.registration : scopes.some(scope => mayHaveScope(client, scope))
    if (!isFor) throw invalidTarget('resource names an API of which this client may have no scope')
  }
  return { resources }
}

/** The scopes that count at some APIs: their own, and OpenID's; all of them where no API was named. */
export const scopeAt = (
  named: readonly string[],
  scope: readonly string[],
  directory: ResourceDirectory,
): string[] =>
  scope.filter(
    name =>
      named.length === 0 || isOpenidScope(name) || named.includes(directory.ofScope(name)?.identifier ?? ''),
  )

/**
 * The resources that a request is for: those it names, or else the one whose scopes it asks for.
 *
 * @throws Refusal `invalid_scope` for scopes of two resources with none named
 */
export const resourcesMeant = (
  named: readonly string[],
  scope: readonly string[],
  resources: ResourceDirectory,
): Resource[] => {
  if (named.length > 0) return named.flatMap(identifier => resources.find(identifier) ?? [])
  const meant = new Set(scope.map(name => resources.ofScope(name)).filter(resource => resource !== undefined))
  if (meant.size > 1)
    throw invalidScope('the scopes belong to more than one API; name the API with the parameter resource')
  return [...meant]
}

/**
 * What a token request is for: all that was allowed, or those APIs that it names, with their scopes (RFC 8707
 * section 2.2). What was allowed stays with the authorization.
 *
 * @param granted what was allowed, less the scopes that are gone since
 * @throws Refusal `invalid_target` for one that was not allowed; `invalid_grant` when one of them is gone
 */
export const narrowResources = (
  params: Params,
  granted: { resources: readonly string[]; scope: readonly string[] },
  resources: ResourceDirectory,
): { resources: string[]; scope: string[] } => {
  const named = parseResource(params, resources).resources
  if (granted.resources.some(identifier => resources.find(identifier) === undefined))
    throw invalidGrant('an API that this was allowed for is no longer registered', {
      reason: 'resource_removed',
    })
  const allowed = resourcesMeant(granted.resources, granted.scope, resources)
  if (named.some(identifier => !allowed.some(resource => resource.identifier === identifier)))
    throw invalidTarget('resource names an API that this was not allowed for')
  const wanted = named.length > 0 ? named : [...granted.resources]
  return { resources: wanted, scope: scopeAt(wanted, granted.scope, resources) }
}

/**
 * `aud` of an access token. A resource that was named is all of it: an API must not be able to replay a token at
 * UserInfo.
 */
export const audienceOf = (
  grant: { resources: readonly string[]; scope: readonly string[] },
  issuer: string,
  resources: ResourceDirectory,
): string | string[] => {
  if (grant.resources.length > 0)
    return grant.resources.length === 1 ? (grant.resources[0] ?? issuer) : [...grant.resources]
  const [meant] = resourcesMeant([], grant.scope, resources)
  if (!meant) return issuer
  return grant.scope.includes('openid') ? [meant.identifier, issuer] : meant.identifier
}
