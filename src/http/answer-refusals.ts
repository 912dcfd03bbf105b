/** Everything thrown is answered here: refusals as JSON, redirect or page; anything else is our bug, and 500. */
import type { Context, Middleware } from 'koa'
import type { Services } from '../services.ts'
import { redirect } from './redirect.ts'
import { Refusal } from './refusal.ts'
import { isRouted, kindOf, routeName } from './route.ts'
import { headersOf } from './security-headers.ts'
import { visitOf } from './visit.ts'

type Needs = Pick<Services, 'log' | 'page' | 'metrics'>

const serverError = new Refusal(
  'server_error',
  'something went wrong on our side; the request id helps to find it',
  500,
)

const answerJson = (ctx: Context, refusal: Refusal): void => {
  ctx.status = refusal.status
  ctx.type = 'application/json'
  ctx.body = JSON.stringify({ error: refusal.error, error_description: refusal.description })
}

const answerProblem = (ctx: Context, refusal: Refusal): void => {
  ctx.status = refusal.status
  ctx.type = 'application/problem+json'
  ctx.body = JSON.stringify({
    type: 'about:blank',
    title: refusal.error,
    status: refusal.status,
    detail: refusal.description,
    instance: visitOf(ctx).requestId,
  })
}

/** A form that sends itself, for `response_mode=form_post`. */
export const answerWithForm = (
  ctx: Context,
  page: Services['page'],
  form: { action: string; fields: [string, string][] },
  appName: string,
): void => page(ctx, 'form-post', { ...form, appName })

const answerPage = (ctx: Context, refusal: Refusal, page: Services['page']): void => {
  const back = refusal.options.wayBack?.answer(refusal.error, refusal.description)
  if (back && 'location' in back) return redirect(ctx, back.location)
  if (back) return answerWithForm(ctx, page, back.form, refusal.options.app?.name ?? '')
  page(
    ctx,
    'error',
    {
      error: refusal.error,
      reason: refusal.options.reason,
      description: refusal.description,
      requestId: visitOf(ctx).requestId,
      status: refusal.status,
      ...(refusal.options.app ? { app: refusal.options.app } : {}),
    },
    { status: refusal.status },
  )
}

/** The middleware. It stands above all that may throw. What no route has taken gets the headers of a page. */
export const answerRefusals = ({ log, page, metrics }: Needs, strictTransport: boolean): Middleware => {
  const setPageHeaders = headersOf('page', {}, strictTransport)
  return async (ctx, next) => {
    try {
      await next()
    } catch (thrown) {
      if (!isRouted(ctx)) setPageHeaders(ctx)
      const refusal = thrown instanceof Refusal ? thrown : serverError
      const fields = { request_id: visitOf(ctx).requestId, route: routeName(ctx), error: refusal.error }
      if (thrown !== refusal)
        log.error('request.failed', { ...fields, cause: thrown instanceof Error ? thrown : String(thrown) })
      else if (refusal.status >= 500) log.warn('request.unavailable', { ...fields, cause: refusal })
      else
        log.info('request.refused', {
          ...fields,
          description: refusal.description,
          reason: refusal.options.reason,
        })
      metrics.count('lintel_refusals_total', { error: refusal.error })
      for (const [name, value] of Object.entries(refusal.options.headers ?? {}))
        ctx.res.setHeader(name, value)
      const kind = kindOf(ctx)
      if (kind === 'api') answerProblem(ctx, refusal)
      else if (kind === 'page') answerPage(ctx, refusal, page)
      else answerJson(ctx, refusal)
    }
  }
}
