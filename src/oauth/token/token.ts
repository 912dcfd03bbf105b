/** POST /token (RFC 6749 section 3.2): takes a record, once, and issues. */
import { readFormBody } from '../../http/body.ts'
import type { Route } from '../../http/route.ts'
import type { Services } from '../../services.ts'
import { authenticateClient } from '../client/authenticate.ts'
import { unsupportedGrantType } from '../errors.ts'
import type { TokenSettings } from '../tokens/issue.ts'
import { type GrantNeeds, grants } from './grants.ts'

/** The route. */
export const tokenRoute = (
  services: GrantNeeds & Pick<Services, 'clients' | 'clientKeys' | 'metrics'>,
  settings: TokenSettings,
): Route => ({
  path: '/token',
  kind: 'endpoint',
  cors: 'client',
  discovery: 'token_endpoint',
  handlers: {
    POST: async ctx => {
      const params = await readFormBody(ctx)
      params.refuseRepeated()
      const client = await authenticateClient(services, ctx, params)
      const grantType = params.need('grant_type')
      const grant = grants.get(grantType)
      if (!grant) throw unsupportedGrantType(`grant_type must be of: ${[...grants.keys()].join(', ')}`)
      const answer = await grant(services, settings, { ctx, client, params })
      services.metrics.count('lintel_tokens_issued_total', { grant_type: grantType })
      ctx.type = 'application/json'
      ctx.body = JSON.stringify(answer)
    },
  },
})
