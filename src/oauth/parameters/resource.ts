/** `resource` (RFC 8707): which APIs an access token is for, and its `aud` (contracts.md section 6, Audience). */
import type { Params } from '../../http/params.ts'
import type { Resource, ResourceDirectory } from '../client/resource-server.ts'
import { invalidGrant, invalidScope, invalidTarget } from '../errors.ts'

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
 * The resources that a token request is for: all that was allowed, or those of them that it names (RFC 8707 section 2.2).
 *
 * @param granted what was allowed, less the scopes that are gone since
 * @throws Refusal `invalid_target` for one that was not allowed; `invalid_grant` when one of them is gone
 */
export const narrowResources = (
  params: Params,
  granted: { resources: readonly string[]; scope: readonly string[] },
  resources: ResourceDirectory,
): string[] => {
  const named = parseResource(params, resources).resources
  if (granted.resources.some(identifier => resources.find(identifier) === undefined))
    throw invalidGrant('an API that this was allowed for is no longer registered', {
      reason: 'resource_removed',
    })
  const allowed = resourcesMeant(granted.resources, granted.scope, resources)
  if (named.some(identifier => !allowed.some(resource => resource.identifier === identifier)))
    throw invalidTarget('resource names an API that this was not allowed for')
  return named.length > 0 ? named : [...granted.resources]
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
