/** What a client is told of its registration (RFC 7591 section 3.2.1, RFC 7592 section 3). */
import type { Context } from 'koa'
import { limitReadingTo } from '../http/cors.ts'
import type { Services } from '../services.ts'
import type { Client } from './client/client.ts'
import { metadataNames } from './client/client-metadata.ts'
import { openidScopes } from './parameters/scope.ts'

/** Where a client manages itself. */
export const registrationPath = '/register'

/** All that is registered, what the server filled in as well; what only the operator sets is no matter of the client's. */
const registeredMetadata = (client: Client): Record<string, unknown> => {
  const { metadata } = client
  return {
    grant_types: [...client.grantTypes],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
    application_type: client.isNative ? 'native' : 'web',
    id_token_signed_response_alg: 'RS256',
    subject_type: 'public',
    scope: openidScopes.join(' '),
    ...Object.fromEntries(Object.entries(metadata).filter(([name]) => metadataNames.anybody.includes(name))),
  }
}

export type RegistrationAnswer = {
  client: Client
  /** The registration access token: the one that was made, or the one that was presented. */
  token: string
  /** Only where it was made now. */
  secret?: string | undefined
  softwareStatement?: string | null | undefined
}

/** Answers with it. An origin that is none of the client's may not read it: there are secrets in it. */
export const answerRegistration = (
  { issuer }: Pick<Services, 'issuer'>,
  ctx: Context,
  { client, token, secret, softwareStatement }: RegistrationAnswer,
): void => {
  limitReadingTo(ctx, client.origins)
  ctx.type = 'application/json'
  ctx.body = JSON.stringify({
    client_id: client.id,
    ...(secret === undefined ? {} : { client_secret: secret }),
    client_id_issued_at: client.createdAt,
    ...(client.secrets.length === 0 ? {} : { client_secret_expires_at: 0 }),
    ...registeredMetadata(client),
    ...(softwareStatement ? { software_statement: softwareStatement } : {}),
    registration_access_token: token,
    registration_client_uri: `${issuer}${registrationPath}/${client.id}`,
  })
}
