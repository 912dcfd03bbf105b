/** POST /introspect (RFC 7662): for confidential clients, of tokens issued to them or for their resources. */
import { readFormBody } from '../http/body.ts'
import type { Route } from '../http/route.ts'
import type { Services } from '../services.ts'
import { authenticateClient } from './client/authenticate.ts'
import type { Client } from './client/client.ts'
import { unauthorizedClient } from './errors.ts'
import type { PresentedToken, TokenReader } from './tokens/presented-token.ts'
import { familyEndedReason, findRefreshFamily, scopeLeft } from './tokens/refresh-token.ts'

type Needs = Pick<
  Services,
  'store' | 'clients' | 'now' | 'audit' | 'log' | 'refreshTokenKey' | 'issuer' | 'clientKeys' | 'resources'
>
type Settings = { refreshIdleTtl: number }

const inactive = { active: false }

/** Whether this client may learn anything of a token: everybody else learns only that it is not active. */
const mayLook = (client: Client, token: PresentedToken): boolean =>
  token.clientId === client.id ||
  token.audience.some(audience => client.metadata.resource_server_for?.includes(audience) === true)

const describe = (token: PresentedToken): Record<string, unknown> => ({
  active: true,
  token_type: 'Bearer',
  ...token.claims,
  ...(token.standing ? { username: token.standing.username } : {}),
})

/** A refresh token is nobody's business but its client's. */
const describeRefreshToken = async (
  { store, now, refreshTokenKey, issuer, resources }: Needs,
  settings: Settings,
  client: Client,
  token: string,
): Promise<Record<string, unknown>> => {
  const found = await findRefreshFamily(store, refreshTokenKey, token)
  const family = found?.family
  if (!family || family.familyClientId !== client.id || found.generation !== family.generation)
    return inactive
  if (familyEndedReason(family, client, settings, { resources, now: now() }) !== undefined) return inactive
  return {
    active: true,
    iss: issuer,
    client_id: client.id,
    sub: family.sub,
    username: family.username,
    scope: scopeLeft(family, client, resources).join(' '),
    exp: Math.min(family.expiresAt, family.rotatedAt + settings.refreshIdleTtl),
  }
}

/** The route. */
export const introspectRoute = (services: Needs, settings: Settings, readToken: TokenReader): Route => ({
  path: '/introspect',
  kind: 'endpoint',
  discovery: 'introspection_endpoint',
  handlers: {
    POST: async ctx => {
      const params = await readFormBody(ctx)
      params.refuseRepeated()
      const client = await authenticateClient(services, ctx, params)
      if (client.isPublic) throw unauthorizedClient('introspection is for clients that authenticate')
      const text = params.need('token')
      const token = await readToken(text)
      const answer = token
        ? mayLook(client, token)
          ? describe(token)
          : inactive
        : await describeRefreshToken(services, settings, client, text)
      ctx.type = 'application/json'
      ctx.body = JSON.stringify(answer)
    },
  },
})
