/** The Koa application: the order of its middleware. */
import Koa, { type Context, type Middleware } from 'koa'
import { addressList } from './config/addresses.ts'
import type { Config } from './config.ts'
import { answerRefusals } from './http/answer-refusals.ts'
import { tellArrival } from './http/arrival.ts'
import { refuseCrowd } from './http/crowd.ts'
import { addressThrough, checkRequestLine, rememberingList } from './http/proxy.ts'
import { makeRouter, type Route, refuseUnknown, routeName } from './http/route.ts'
import { recordVisit, visitOf } from './http/visit.ts'
import { openServerKey } from './keys/server-key.ts'
import type { Readiness } from './observe/health.ts'
import type { Services } from './services.ts'

/** One line and one count a request: never its parameters. */
const logRequests =
  ({ log, metrics }: Services): Middleware =>
  async (ctx, next) => {
    const startedAt = performance.now()
    await next()
    const took = performance.now() - startedAt
    const { requestId, ip } = visitOf(ctx)
    const route = routeName(ctx)
    log.info('request', {
      request_id: requestId,
      ip,
      method: ctx.method,
      route,
      status: ctx.status,
      ms: Math.round(took * 10) / 10,
    })
    metrics.count('lintel_http_requests_total', { route, method: ctx.method, status: ctx.status })
    metrics.observe('lintel_http_request_duration_seconds', took / 1000, { route })
  }

/** Builds the application. */
export const makeApp = (
  services: Services,
  config: Config,
  routes: readonly Route[],
  readiness: Readiness,
): Koa => {
  const strictTransport = !config.loopback && config.issuer.startsWith('https:')
  const app = new Koa()
  const warned = onceAMinute(services)
  const trusted = addressList(config.trustedProxies)
  const throughFile = 'path' in config.listen
  const addressOf = addressThrough({
    trusted,
    throughFile,
    onUntrusted: peer => {
      readiness.warnings.add(
        'forwarded headers come from a peer that LINTEL_TRUSTED_PROXIES does not name: all people share one throttle',
      )
      warned(() => services.log.warn('proxy.untrusted', { peer, setting: 'LINTEL_TRUSTED_PROXIES' }))
    },
  })
  app.use(recordVisit(addressOf))
  app.use(logRequests(services))
  app.use(answerRefusals(services, strictTransport))
  app.use(
    tellArrival({
      key: () => openServerKey(services.store, services.box, 'self-check', services.now()),
      now: services.now,
      isTrusted: rememberingList(trusted),
      throughFile,
    }),
  )
  app.use(checkRequestLine)
  app.use(refuseCrowd())
  app.use(makeRouter(routes, { basePath: config.basePath, strictTransport }))
  app.use(refuseUnknown)
  // Only what the middleware could not answer comes here: a socket that broke while it was written to.
  app.on('error', (error: Error, ctx?: Context) => {
    services.log.debug('response.failed', {
      cause: error,
      ...(ctx ? { request_id: visitOf(ctx).requestId } : {}),
    })
  })
  return app
}

const onceAMinute = ({ now }: Services) => {
  let last = 0
  return (run: () => void): void => {
    if (now().getTime() - last < 60_000) return
    last = now().getTime()
    run()
  }
}
