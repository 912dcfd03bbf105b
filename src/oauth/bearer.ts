/** The access token of a request: in the header, or in the body of a POST (RFC 6750 section 2). */
import type { Context } from 'koa'
import { readFormBody } from '../http/body.ts'
import { countHeader } from '../http/headers.ts'
import { Refusal } from '../http/refusal.ts'
import { invalidRequest, invalidToken } from './errors.ts'

const longestToken = 16 * 1024

/** No token at all: 401 with a bare challenge, for the client did not know (RFC 6750 section 3). */
const missing = (): Refusal =>
  new Refusal('invalid_token', 'an access token is needed', 401, {
    headers: { 'WWW-Authenticate': 'Bearer' },
  })

/**
 * Reads the token.
 *
 * @throws Refusal 401 when there is none or it cannot be one; 400 when it comes in two ways, or in the query
 */
export const readBearer = async (ctx: Context): Promise<string> => {
  const header = ctx.req.headers.authorization
  // In a URL it would stand in logs and histories.
  if (ctx.querystring !== '' && new URLSearchParams(ctx.querystring).has('access_token'))
    throw invalidRequest('the access token must not be in the query', {
      headers: { 'WWW-Authenticate': 'Bearer error="invalid_request"' },
    })
  // `is` says null where there is no body at all.
  const isForm =
    ctx.method === 'POST' && ctx.request.length !== 0 && ctx.is('application/x-www-form-urlencoded')
  const inBody = isForm ? (await readFormBody(ctx)).get('access_token') : undefined
  if (header === undefined) {
    if (inBody === undefined) throw missing()
    return inBody
  }
  if (inBody !== undefined) throw invalidRequest('the access token was sent in two ways')
  // Node keeps the first of two; what stands before us may have read the second.
  if (countHeader(ctx, 'authorization') > 1)
    throw invalidRequest('the Authorization header was sent more than once')
  const match = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(header)
  if (!match?.[1] || match[1].length > longestToken)
    throw invalidToken('the Authorization header holds no bearer token')
  return match[1]
}
