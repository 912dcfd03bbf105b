/** POST /revoke (RFC 7009): a client gives back a token of its own. */
import { readFormBody } from '../http/body.ts'
import type { Route } from '../http/route.ts'
import { visitOf } from '../http/visit.ts'
import type { Services } from '../services.ts'
import { changed } from '../store/change.ts'
import type { Write } from '../store/commit.ts'
import { authenticateClient } from './client/authenticate.ts'
import type { Client } from './client/client.ts'
import { revokeAuthorization } from './grant/authorization.ts'
import { denyAccessToken } from './tokens/denylist.ts'
import type { TokenReader } from './tokens/presented-token.ts'
import { findRefreshFamily } from './tokens/refresh-token.ts'

type Needs = Pick<
  Services,
  'store' | 'clients' | 'now' | 'audit' | 'log' | 'refreshTokenKey' | 'issuer' | 'clientKeys'
>

/**
 * What revoking a token writes: an access token alone is denied by its `jti`; a refresh token ends the authorization
 * and everything it gave (RFC 7009 section 2.1). A token that is not known, not theirs or dead already: nothing.
 */
const revocation = async (
  { store, now, refreshTokenKey }: Needs,
  readToken: TokenReader,
  client: Client,
  token: string,
): Promise<{ writes: Write[]; kind: string; userId: string | undefined }> => {
  const nothing = { writes: [], kind: '', userId: undefined }
  const access = await readToken(token)
  if (access) {
    if (access.clientId !== client.id) return nothing
    const userId = access.standing?.userId ?? undefined
    return {
      writes: [denyAccessToken(access.jti, access.expiresAt), changed('denylist')],
      kind: 'access_token',
      userId,
    }
  }
  const found = await findRefreshFamily(store, refreshTokenKey, token)
  if (!found || found.family.familyClientId !== client.id) return nothing
  const { authorizationId, userId } = found.family
  const writes = [revokeAuthorization(authorizationId, 'revoked_by_client', now())]
  return { writes, kind: 'refresh_token', userId: userId ?? undefined }
}

/**
 * The route. Unknown tokens are answered like known ones (RFC 7009 section 2.2); what cannot be stored is 503, by which
 * the client knows that its token lives on (section 2.2.1).
 */
export const revokeRoute = (services: Needs, readToken: TokenReader): Route => ({
  path: '/revoke',
  kind: 'endpoint',
  cors: 'client',
  discovery: 'revocation_endpoint',
  handlers: {
    POST: async ctx => {
      const params = await readFormBody(ctx)
      params.refuseRepeated()
      const client = await authenticateClient(services, ctx, params)
      const { writes, kind, userId } = await revocation(services, readToken, client, params.need('token'))
      if (writes.length > 0)
        await services.store.commit([
          ...writes,
          services.audit.write({
            event: 'token.revoked',
            visit: visitOf(ctx),
            clientId: client.id,
            userId,
            reason: kind,
          }),
        ])
      ctx.type = 'application/json'
      ctx.body = '{}'
    },
  },
})
