/** What can be done to resources (APIs), for the command line, pages and the API alike. */
import { Refusal } from '../http/refusal.ts'
import { isSigningAlgorithm } from '../keys/signing-key.ts'
import type { Resource } from '../oauth/client/resource-server.ts'
import * as resources from '../oauth/client/resource-server.ts'
import { openidScopes } from '../oauth/parameters/scope.ts'
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { type Actor, differenceOf, toldOf } from './actor.ts'
import { didYouMean, quoted } from './near-miss.ts'

type Needs = Pick<Services, 'issuer' | 'store' | 'now' | 'audit' | 'keys' | 'resources'>

/** The resource of that identifier or id; a trailing slash does not matter. */
const find = (all: readonly Resource[], name: string): Resource | undefined =>
  all.find(one => one.id === name || sameIdentifier(one.identifier, name))

const sameIdentifier = (one: string, other: string): boolean =>
  one.replace(/\/$/, '') === other.replace(/\/$/, '')

/**
 * The resource of that identifier or id.
 *
 * @throws Refusal `not_found` 404
 */
export const requireResource = async (
  { store }: Pick<Services, 'store'>,
  name: string,
): Promise<Resource> => {
  const all = await resources.listResources(store)
  const found = find(all, name)
  if (found) return found
  const near = didYouMean(
    name,
    all.map(one => one.identifier),
  )
  throw new Refusal('not_found', `there is no resource ${quoted(name)}.${near}`, 404)
}

export type WantedResource = {
  identifier: string
  name: string
  scopes: readonly string[]
  alg?: string | undefined
  tokenFormat?: string | undefined
  tokenTyp?: string | undefined
  lifetime?: number | null | undefined
}

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/
const longestLifetime = 86_400

type Parsed = Omit<Resource, 'id' | 'createdAt' | 'updatedAt' | 'version'>

const refuse = (description: string): Refusal => new Refusal('invalid_resource', description)

/** @throws Refusal `invalid_resource` or `resource_taken` */
const parse = (
  { issuer, keys }: Pick<Needs, 'issuer' | 'keys'>,
  others: readonly Resource[],
  wanted: WantedResource,
): Parsed => {
  const fault = resources.resourceIdentifierFault(wanted.identifier)
  if (fault) throw refuse(`identifier ${fault}`)
  // A token for it would be one for UserInfo as well.
  if (sameIdentifier(wanted.identifier, issuer))
    throw refuse('identifier is the issuer, which is no resource of its own')
  if (find(others, wanted.identifier))
    throw new Refusal('resource_taken', `there is a resource ${quoted(wanted.identifier)} already`, 409)
  if (wanted.name.trim() === '' || wanted.name.length > 200 || /\p{Cc}/u.test(wanted.name))
    throw refuse('name must be a line of 1 to 200 characters')
  const { alg = 'ES256', tokenFormat = 'jwt', tokenTyp = 'at+jwt', lifetime = null } = wanted
  if (!isSigningAlgorithm(alg) || !keys.canSign(alg))
    throw refuse(`alg ${quoted(alg)} is not one of: ${keys.algorithms().join(', ')} (LINTEL_KEYS_ALGORITHMS)`)
  if (tokenFormat !== 'jwt' && tokenFormat !== 'opaque') throw refuse('format must be jwt or opaque')
  if (tokenTyp !== 'at+jwt' && tokenTyp !== 'JWT') throw refuse('typ must be at+jwt or JWT')
  if (lifetime !== null && (!Number.isInteger(lifetime) || lifetime < 1 || lifetime > longestLifetime))
    throw refuse(`lifetime must be from 1 to ${longestLifetime} seconds`)
  const scopes = parseScopes(others, wanted.scopes)
  return {
    identifier: wanted.identifier,
    name: wanted.name.trim(),
    scopes,
    tokenFormat,
    tokenTyp,
    alg,
    lifetime,
  }
}

/** A scope leads to the one resource it belongs to. */
const parseScopes = (others: readonly Resource[], scopes: readonly string[]): string[] => {
  for (const scope of scopes) {
    if (!scopeToken.test(scope))
      throw refuse(`scope ${quoted(scope)} holds a character that no scope name has`)
    if (openidScopes.some(one => one === scope))
      throw refuse(`scope ${scope} belongs to OpenID Connect; choose another name`)
    const owner = others.find(one => one.scopes.includes(scope))
    if (owner) throw refuse(`scope ${scope} belongs to ${owner.identifier} already`)
  }
  if (scopes.length > 100) throw refuse('scopes: at most 100')
  return [...new Set(scopes)]
}

/** Commits, and what is kept in memory follows at once. */
const commit = async (services: Pick<Services, 'store' | 'resources'>, writes: Write[]): Promise<void> => {
  try {
    await services.store.commit(writes)
    await services.resources.reload()
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    throw new Refusal('conflict', 'the resource was made, changed or deleted meanwhile; try again', 409, {
      cause: error,
    })
  }
}

const told = (
  services: Pick<Services, 'audit'>,
  actor: Actor,
  what: { reason: 'created' | 'updated' | 'deleted'; identifier: string; difference?: object },
): Write[] =>
  toldOf(services, actor, {
    event: 'resource.changed',
    reason: what.reason,
    detail: { identifier: what.identifier, ...what.difference },
  })

/** Makes a resource. */
export const createResource = async (
  services: Needs,
  wanted: WantedResource,
  actor: Actor,
): Promise<Resource> => {
  const parsed = parse(services, await resources.listResources(services.store), wanted)
  const { resource, writes } = resources.newResource(parsed, services.now())
  await commit(services, [
    ...writes,
    ...told(services, actor, { reason: 'created', identifier: resource.identifier }),
  ])
  return resource
}

/** Changes a resource; what is not named stays. */
export const updateResource = async (
  services: Needs,
  { name, changes }: { name: string; changes: Partial<WantedResource> },
  actor: Actor,
): Promise<Resource> => {
  const resource = await requireResource(services, name)
  const others = (await resources.listResources(services.store)).filter(one => one.id !== resource.id)
  const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
  const next = { ...resource, ...parse(services, others, { ...resource, ...given }) }
  await commit(services, [
    ...resources.updateResource(next, services.now()),
    ...told(services, actor, {
      reason: 'updated',
      identifier: next.identifier,
      difference: differenceOf(resource, next),
    }),
  ])
  return requireResource(services, resource.id)
}

/** Deletes a resource: no token is made for it any more. */
export const deleteResource = async (services: Needs, name: string, actor: Actor): Promise<Resource> => {
  const resource = await requireResource(services, name)
  await commit(services, [
    ...resources.deleteResource(resource.id),
    ...told(services, actor, { reason: 'deleted', identifier: resource.identifier }),
  ])
  return resource
}
