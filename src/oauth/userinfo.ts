/** GET and POST /userinfo (OIDC Core section 5.3). */
import type { Context } from 'koa'
import { limitReadingTo } from '../http/cors.ts'
import type { Route } from '../http/route.ts'
import type { Services } from '../services.ts'
import { readBearer } from './bearer.ts'
import { insufficientScope, invalidToken } from './errors.ts'
import { claimsOf } from './grant/claims.ts'
import type { TokenReader } from './tokens/presented-token.ts'

/** The route. */
export const userinfoRoute = (
  { store, clients, issuer }: Pick<Services, 'store' | 'clients' | 'issuer'>,
  readToken: TokenReader,
): Route => {
  const answer = async (ctx: Context): Promise<void> => {
    const token = await readToken(await readBearer(ctx))
    if (!token) throw invalidToken('the access token is not valid, or has ended')
    const client = await clients.find(token.clientId)
    if (client) limitReadingTo(ctx, client.origins)
    // A token for an API must not be replayed here by that API, whatever its scope; a client's own has no person.
    if (!token.audience.includes(issuer)) throw invalidToken('the access token is for another audience')
    if (!token.standing || !token.scope.includes('openid'))
      throw insufficientScope('the scope openid is needed', 'openid')
    const claims = await claimsOf(store, token.standing, token.scope)
    ctx.type = 'application/json'
    ctx.body = JSON.stringify({ sub: token.standing.sub, ...claims })
  }
  return {
    path: '/userinfo',
    kind: 'endpoint',
    cors: 'client',
    discovery: 'userinfo_endpoint',
    handlers: { GET: answer, POST: answer },
  }
}
