/** More requests at once than can be answered soon: who comes on top is told so at once, and costs next to nothing. */
import type { IncomingMessage } from 'node:http'
import type { Middleware } from 'koa'
import { temporarilyUnavailable } from './refusal.ts'

/** About half a second of work. More would wait behind these until nobody waits for them any more. */
const mostAtOnce = 1000

/** The middleware. Health is asked all the same: a server that is busy must not be taken for a dead one. */
export const refuseCrowd = (): Middleware => {
  const underWay = new Set<IncomingMessage>()
  /** Those that are still arriving cost nothing: slow ones, or a thousand made slow, keep nobody out. */
  const isCrowd = (): boolean => {
    if (underWay.size < mostAtOnce) return false
    let arrived = 0
    for (const request of underWay) if (request.complete) arrived += 1
    return arrived >= mostAtOnce
  }
  return async ({ req, path }, next) => {
    if (isCrowd() && !/\/(livez|readyz)$/.test(path))
      throw temporarilyUnavailable('too many requests at once')
    underWay.add(req)
    try {
      await next()
    } finally {
      underWay.delete(req)
    }
  }
}
