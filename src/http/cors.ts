/** Cross-origin reading, never with credentials (contracts.md section 6, CORS). */
import type { Context } from 'koa'

/** Which origins may read an answer: any, or those that belong to the client, once it is known. */
export type CorsRule = 'any' | 'client'

const allowedHeaders = 'Authorization, Content-Type, DPoP, MCP-Protocol-Version'

/** Answers a preflight. What the answer itself may be read by is decided when the client is known. */
export const answerPreflight = (ctx: Context, rule: CorsRule, methods: string[]): void => {
  ctx.status = 204
  ctx.set('Access-Control-Allow-Origin', rule === 'any' ? '*' : ctx.get('Origin') || '*')
  ctx.set('Access-Control-Allow-Methods', methods.join(', '))
  ctx.set('Access-Control-Allow-Headers', allowedHeaders)
  ctx.set('Access-Control-Max-Age', '3600')
  ctx.vary('Origin')
}

/** Lets the asking origin read this answer. */
const allow = (ctx: Context, origin: string): void => {
  ctx.set('Access-Control-Allow-Origin', origin)
  ctx.set('Access-Control-Expose-Headers', 'WWW-Authenticate, DPoP-Nonce')
}

/** For routes whose rule is `any`: everybody may read. For `client`: nothing secret is in an answer to an unknown one. */
export const allowReading = (ctx: Context, rule: CorsRule): void => {
  const origin = ctx.req.headers.origin
  if (rule === 'any') return allow(ctx, '*')
  // Nothing has set it yet, and `vary` would take it apart to find out.
  ctx.res.setHeader('Vary', 'Origin')
  if (origin !== undefined) allow(ctx, origin)
}

/** The client is known: its own origins may read the answer, another one may not. */
export const limitReadingTo = (ctx: Context, origins: ReadonlySet<string>): void => {
  const origin = ctx.req.headers.origin
  if (origin === undefined || origins.has(origin)) return
  ctx.remove('Access-Control-Allow-Origin')
  ctx.remove('Access-Control-Expose-Headers')
}
