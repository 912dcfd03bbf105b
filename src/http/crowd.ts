/** More requests at once than can be answered soon: who comes on top is told so at once, and costs next to nothing. */
import type { Middleware } from 'koa'
import { temporarilyUnavailable } from './refusal.ts'

/** About half a second of work. More would wait behind these until nobody waits for them any more. */
const mostAtOnce = 1000

/** The middleware. Health is asked all the same: a server that is busy must not be taken for a dead one. */
export const refuseCrowd = (): Middleware => {
  let atOnce = 0
  return async (ctx, next) => {
    if (atOnce >= mostAtOnce && !/\/(livez|readyz)$/.test(ctx.path))
      throw temporarilyUnavailable('too many requests at once')
    atOnce += 1
    try {
      await next()
    } finally {
      atOnce -= 1
    }
  }
}
