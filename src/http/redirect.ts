/** Redirects. Never `ctx.redirect`: it rewrites the URL, puts it into a body and throws on odd ports. */
import type { Context } from 'koa'

/** 303, so that a form that led here is not posted on (RFC 9700 section 4.12). */
export const redirect = (ctx: Context, location: string): void => {
  ctx.body = null
  ctx.status = 303
  ctx.res.setHeader('Location', location)
}
