/** grant_type=client_credentials (RFC 6749 section 4.4): a client for itself, no person and no refresh token. */
import type { Params } from '../../http/params.ts'
import type { Client } from '../client/client.ts'
import type { ResourceDirectory } from '../client/resource-server.ts'
import { invalidScope, unauthorizedClient } from '../errors.ts'
import { parseOwnResource, resourcesMeant, scopeAt } from '../parameters/resource.ts'
import { splitScope } from '../parameters/scope.ts'
import { issueAccessToken } from '../tokens/access-token.ts'
import type { Grant } from './grants.ts'

export const clientCredentialsGrant: Grant = async (services, settings, { client, params }) => {
  if (client.isPublic || !client.grantTypes.has('client_credentials'))
    throw unauthorizedClient('this client is not registered for the client credentials grant')
  const { resources } = parseOwnResource(params, client, services.resources)
  const scope = parseOwnScope(params, client, services.resources, resources)
  resourcesMeant(resources, scope, services.resources)
  const { token, expiresIn, writes } = await issueAccessToken(services, settings, {
    authorizationId: '-',
    clientId: client.id,
    sub: client.id,
    scope,
    resources,
    wantsOpaque: client.metadata.access_token_format === 'opaque',
  })
  if (writes.length > 0) await services.store.commit(writes)
  return { access_token: token, token_type: 'Bearer', expires_in: expiresIn, scope: scope.join(' ') }
}

/** Scopes of APIs only, for there is no person; all that the client is registered for where none is named. */
const parseOwnScope = (
  params: Params,
  client: Client,
  directory: ResourceDirectory,
  named: readonly string[],
): string[] => {
  const own = [...(client.scope ?? [])].filter(scope => directory.ofScope(scope) !== undefined)
  const there = scopeAt(named, own, directory)
  const text = params.get('scope')
  if (text === undefined) return there
  const asked = splitScope(text)
  const odd = asked.find(scope => !there.includes(scope))
  if (odd !== undefined) throw invalidScope(`this client may not have the scope ${odd} for itself`)
  return asked
}
