/** A route, and the protections that come with its kind. */
import Router from '@koa/router'
import type { Context, Middleware } from 'koa'
import { allowReading, answerPreflight, type CorsRule } from './cors.ts'
import { notFound, Refusal } from './refusal.ts'
import { headersOf, type PageRules, type RouteKind } from './security-headers.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Handler = (ctx: Context) => void | Promise<void>

export type Route = {
  /** Under the issuer's path; `:id` for a part that varies. */
  path: string
  kind: RouteKind
  handlers: Partial<Record<Method, Handler>>
  cors?: CorsRule
  /** Its GET does something, as the protocol wants it: HEAD, which must not, is 405. */
  getActs?: boolean
  /** The name discovery lists it under, such as `token_endpoint`. */
  discovery?: string
  /** Outside the issuer's path as well: where RFC 8414 section 3.1 puts a well-known document. */
  alsoAt?: string
} & PageRules

/** The route that has taken a request. */
const takenBy = (ctx: Context): Route | undefined => ctx.state['route'] as Route | undefined

/** The kind of the route that answers; pages are answered with pages. */
export const kindOf = (ctx: Context): RouteKind =>
  takenBy(ctx)?.kind ?? (ctx.accepts('html', 'json') === 'json' ? 'endpoint' : 'page')

/** Whether a route has taken the request, and set its headers. */
export const isRouted = (ctx: Context): boolean => takenBy(ctx) !== undefined

/** Which route a request took, for logs and metrics: never its parameters. */
export const routeName = (ctx: Context): string => takenBy(ctx)?.path ?? 'none'

const methodsOf = (route: Route): string[] => {
  const methods = Object.keys(route.handlers)
  return [
    ...methods,
    ...(route.handlers.GET && !route.getActs ? ['HEAD'] : []),
    ...(route.cors ? ['OPTIONS'] : []),
  ]
}

const respond = (route: Route, strictTransport: boolean): Middleware => {
  const setHeaders = headersOf(route.kind, route, strictTransport)
  const methods = methodsOf(route)
  return async (ctx: Context) => {
    ctx.state['route'] = route
    setHeaders(ctx)
    if (route.cors) {
      if (ctx.method === 'OPTIONS') return answerPreflight(ctx, route.cors, methods)
      allowReading(ctx, route.cors)
    }
    const handler = methods.includes(ctx.method)
      ? route.handlers[(ctx.method === 'HEAD' ? 'GET' : ctx.method) as Method]
      : undefined
    if (!handler)
      throw new Refusal('invalid_request', `${ctx.method} is not allowed here`, 405, {
        headers: { Allow: methods.join(', ') },
      })
    await handler(ctx)
  }
}

/**
 * Makes the middleware that answers all routes: exact paths, case and trailing slash count. Fixed paths are found in
 * one look; only those with a part that varies go through the router, which tests every one it knows.
 */
export const makeRouter = (
  routes: readonly Route[],
  options: { basePath: string; strictTransport: boolean },
): Middleware => {
  const fixed = new Map<string, Middleware>()
  const router = new Router({ sensitive: true, strict: true })
  for (const route of routes) {
    const answer = respond(route, options.strictTransport)
    const path = options.basePath + route.path
    if (path.includes(':')) router.register(path, allMethods, answer)
    else fixed.set(path, answer)
    if (route.alsoAt !== undefined) fixed.set(route.alsoAt, answer)
  }
  const others = router.routes() as unknown as Middleware
  return (ctx, next) => (fixed.get(ctx.path) ?? others)(ctx, next)
}

const allMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** Where no route answers: 404; TRACE and its like are 405. */
export const refuseUnknown: Middleware = ctx => {
  if (allMethods.includes(ctx.method)) throw notFound()
  throw new Refusal('invalid_request', 'this method is not allowed', 405, {
    headers: { Allow: 'GET, HEAD, POST' },
  })
}
