/** What a request is known by in logs and audit: its id and where it came from. */
import { randomUUID } from 'node:crypto'
import type { Context, Middleware } from 'koa'

export type Visit = { requestId: string; ip: string; userAgent: string }

/** The visit of this request. */
export const visitOf = (ctx: Context): Visit => {
  const visit = ctx.state['visit'] as Visit | undefined
  if (!visit) throw new Error('the request has no visit: recordVisit must stand before')
  return visit
}

/**
 * Gives every request an id of our own (one sent along is never taken over) and its address.
 *
 * @param addressOf where the request came from, seen through trusted proxies
 */
export const recordVisit =
  (addressOf: (ctx: Context) => string): Middleware =>
  (ctx, next) => {
    const requestId = randomUUID()
    const userAgent = (ctx.req.headers['user-agent'] ?? '').slice(0, 300)
    ctx.state['visit'] = { requestId, ip: addressOf(ctx), userAgent } satisfies Visit
    ctx.res.setHeader('X-Request-Id', requestId)
    return next()
  }
