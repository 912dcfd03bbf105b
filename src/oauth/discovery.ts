/** /.well-known/openid-configuration and /.well-known/oauth-authorization-server, computed from the tables. */
import { createHash } from 'node:crypto'
import { answerDocument, type Document } from '../http/document.ts'
import type { Route } from '../http/route.ts'
import { acrValues } from '../identity/assurance.ts'
import type { Services } from '../services.ts'
import { responseTypes } from './authorize/request.ts'
import { responseModes } from './authorize/response-modes.ts'
import { assertionAlgorithms } from './client/assertion-algorithms.ts'
import { authMethods } from './client/auth-methods.ts'
import { userClaimNames } from './grant/claims.ts'
import { codeChallengeMethods } from './parameters/pkce.ts'
import { promptValues } from './parameters/prompt.ts'
import { openidScopes } from './parameters/scope.ts'
import { grants } from './token/grants.ts'

/** Seconds. */
const maxAge = 3600

const claimNames = [
  ...userClaimNames,
  'iss',
  'aud',
  'exp',
  'iat',
  'auth_time',
  'nonce',
  'acr',
  'amr',
  'sid',
  'at_hash',
]

/** Scopes an ordinary app may ask for: some ask for all that is listed (contracts.md section 6). */
const listedScopes = (): string[] =>
  openidScopes.filter(scope => scope !== 'offline_access' || grants.has('refresh_token'))

/** The metadata (OIDC Discovery section 3, RFC 8414 section 2). */
export const metadataOf = (
  { issuer, keys }: Pick<Services, 'issuer' | 'keys'>,
  routes: readonly Route[],
): Record<string, unknown> => {
  const endpoints = Object.fromEntries(
    routes.flatMap(route => (route.discovery === undefined ? [] : [[route.discovery, issuer + route.path]])),
  )
  return {
    issuer,
    ...endpoints,
    response_types_supported: [...responseTypes],
    response_modes_supported: [...responseModes.keys()],
    grant_types_supported: [...grants.keys()],
    scopes_supported: listedScopes(),
    claims_supported: claimNames,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: keys.algorithms(),
    token_endpoint_auth_methods_supported: authMethods.map(method => method.name),
    // RFC 8414 section 2 wants these wherever private_key_jwt is listed.
    token_endpoint_auth_signing_alg_values_supported: [...assertionAlgorithms],
    introspection_endpoint_auth_signing_alg_values_supported: [...assertionAlgorithms],
    revocation_endpoint_auth_signing_alg_values_supported: [...assertionAlgorithms],
    introspection_endpoint_auth_methods_supported: authMethods
      .map(method => method.name)
      .filter(name => name !== 'none'),
    revocation_endpoint_auth_methods_supported: authMethods.map(method => method.name),
    code_challenge_methods_supported: [...codeChallengeMethods],
    prompt_values_supported: [...promptValues],
    acr_values_supported: [...acrValues],
    authorization_response_iss_parameter_supported: true,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    claims_parameter_supported: false,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
  }
}

/** The two routes. The document is made again only when the signing algorithms change. */
export const discoveryRoutes = (
  services: Pick<Services, 'issuer' | 'keys'>,
  routes: readonly Route[],
  basePath: string,
): Route[] => {
  let made: (Document & { generation: number }) | undefined
  const document = (): Document => {
    const generation = services.keys.generation()
    if (made?.generation !== generation) {
      const body = Buffer.from(JSON.stringify(metadataOf(services, routes)))
      made = {
        body,
        etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
        generation,
      }
    }
    return made
  }
  const route = (name: string): Route => ({
    path: `/.well-known/${name}`,
    kind: 'document',
    cors: 'any',
    handlers: { GET: ctx => answerDocument(ctx, document(), 'application/json', maxAge) },
    // RFC 8414 section 3.1: with an issuer path the well-known part goes in between.
    alsoAt: `/.well-known/${name}${basePath}`,
  })
  return [route('openid-configuration'), route('oauth-authorization-server')]
}
