/** GET and POST /authorize (RFC 6749 section 3.1, OIDC Core section 3.1.2), and GET /authorize/:id, where it goes on. */
import type { Context } from 'koa'
import { readFormBody } from '../../http/body.ts'
import { Params } from '../../http/params.ts'
import { redirect } from '../../http/redirect.ts'
import type { Refusal } from '../../http/refusal.ts'
import type { Route } from '../../http/route.ts'
import { presentedCookie } from '../../identity/browser.ts'
import type { Services } from '../../services.ts'
import { accountSelectionRequired, consentRequired, interactionRequired, loginRequired } from '../errors.ts'
import { type Asked, findUnderWay, respondOnce, situationOf } from './asked.ts'
import { beginTransaction, beginUnowned, claimUnderWay, type RequestIds } from './begin-transaction.ts'
import { readIncoming } from './incoming.ts'
import { grantedScope, nextStep, type Step } from './next-step.ts'
import type { ReplyTo } from './reply-to.ts'
import { type AuthorizeSettings, respondWithCode } from './respond.ts'
import { readStandingBrowser } from './standing-browser.ts'
import { takeTransaction } from './transaction.ts'

export type AuthorizeNeeds = Pick<
  Services,
  'issuer' | 'store' | 'keys' | 'clients' | 'resources' | 'now' | 'audit' | 'log' | 'page' | 'cookies'
>

/** What `prompt=none` is told instead of a page (OIDC Core section 3.1.2.6). */
const refusalFor: Record<
  Exclude<Step['kind'], 'respond'>,
  (description: string, wayBack: ReplyTo) => Refusal
> = {
  'sign-in': (description, wayBack) => loginRequired(description, { wayBack }),
  'wrong-person': (description, wayBack) => loginRequired(description, { wayBack }),
  'choose-account': (description, wayBack) => accountSelectionRequired(description, { wayBack }),
  consent: (description, wayBack) => consentRequired(description, { wayBack }),
}

/** The page of each step, under the issuer's path. */
const pageOf = (step: Step, ids: RequestIds): string =>
  step.kind === 'consent'
    ? `/consent/${ids.transaction}`
    : step.kind === 'choose-account'
      ? `/accounts/${ids.signIn}`
      : `/sign-in/${ids.signIn}`

/**
 * Pages are for a window that a person sees. What an image, a script or a frame asks for is not stored: any page on the
 * web could fill the requests that an address may have under way. A browser that says nothing of it passes.
 */
const refuseUnseen = (ctx: Context, wayBack: ReplyTo): void => {
  const destination = ctx.req.headers['sec-fetch-dest']
  if (destination === undefined || destination === 'document') return
  throw interactionRequired('a page would have to be shown, which only a whole window can', { wayBack })
}

/** The routes of the flow. */
export const authorizeRoutes = (
  services: AuthorizeNeeds,
  settings: AuthorizeSettings,
  basePath: string,
): Route[] => {
  const { now } = services

  /** Answers, or sends the browser to the page that stands before the answer. */
  const proceed = async (ctx: Context, asked: Asked): Promise<void> => {
    const { client, request, replyTo, standing, transaction } = asked
    const { person, browser } = standing
    const situation = situationOf(asked, now())
    const step = nextStep(request, situation)
    if (step.kind === 'respond') {
      if (!person) throw new Error('nobody is signed in, and yet nothing stands before the answer')
      const scope = grantedScope(request, situation, client.grantTypes.has('refresh_token'))
      const guard = transaction ? [takeTransaction(transaction.id, now())] : []
      const answerable = { client, request, replyTo, person, scope }
      return respondOnce(() => respondWithCode(services, settings, ctx, answerable, guard))
    }
    if (request.prompt.includes('none') || step.kind === 'wrong-person')
      throw refusalFor[step.kind](
        'the person would have to be asked, or is not the one that was meant',
        replyTo,
      )
    if (!transaction) refuseUnseen(ctx, replyTo)
    const ids = transaction
      ? { transaction: transaction.id, signIn: transaction.signInId }
      : await beginTransaction(services, ctx, basePath, {
          client,
          request,
          step,
          browser,
          username: person?.username,
        })
    redirect(ctx, basePath + pageOf(step, ids))
  }

  const begin = async (ctx: Context, params: Params): Promise<void> => {
    const { client, request, replyTo } = await readIncoming(services, ctx, params)
    if (ctx.method === 'POST' && presentedCookie(services, ctx) === undefined) {
      refuseUnseen(ctx, replyTo)
      const askAgain = request.prompt.includes('login') || request.maxAge === 0
      const ids = await beginUnowned(services, ctx, basePath, {
        client,
        request,
        step: { kind: 'sign-in', askAgain },
      })
      return redirect(ctx, `${basePath}/authorize/${ids.transaction}`)
    }
    const standing = await readStandingBrowser(services, ctx, client.id)
    await proceed(ctx, { client, request, replyTo, standing, transaction: undefined })
  }

  const goOn = async (ctx: Context): Promise<void> => {
    const underWay = await findUnderWay(services, ctx)
    await claimUnderWay(services, ctx, underWay)
    await proceed(ctx, underWay)
  }

  return [
    {
      path: '/authorize',
      kind: 'page',
      formMayLeave: true,
      getActs: true,
      discovery: 'authorization_endpoint',
      handlers: {
        GET: ctx => begin(ctx, Params.parse(ctx.querystring)),
        POST: async ctx => begin(ctx, await readFormBody(ctx)),
      },
    },
    { path: '/authorize/:id', kind: 'page', formMayLeave: true, getActs: true, handlers: { GET: goOn } },
  ]
}
