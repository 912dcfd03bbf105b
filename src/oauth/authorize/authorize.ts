/** GET and POST /authorize (RFC 6749 section 3.1, OIDC Core section 3.1.2), and GET /authorize/:id, where it goes on. */
import type { Context } from 'koa'
import { readFormBody } from '../../http/body.ts'
import { Params } from '../../http/params.ts'
import { redirect } from '../../http/redirect.ts'
import { Refusal } from '../../http/refusal.ts'
import type { Route } from '../../http/route.ts'
import { visitOf } from '../../http/visit.ts'
import { newBrowser, presentedCookie } from '../../identity/browser.ts'
import { claimSignIn, newSignIn } from '../../identity/sign-in.ts'
import type { Services } from '../../services.ts'
import { GuardFailed, type Write } from '../../store/commit.ts'
import { seconds } from '../../store/single-use.ts'
import type { Client } from '../client/client.ts'
import { accountSelectionRequired, consentRequired, loginRequired } from '../errors.ts'
import { askerOf } from './asker.ts'
import { readIncoming } from './incoming.ts'
import { grantedScope, nextStep, type Situation, type Step } from './next-step.ts'
import { ReplyTo } from './reply-to.ts'
import type { AuthorizationRequest } from './request.ts'
import { type AuthorizeSettings, respondWithCode } from './respond.ts'
import { readStandingBrowser, type StandingBrowser } from './standing-browser.ts'
import {
  claimTransaction,
  newTransactionId,
  openTransaction,
  refuseTooMany,
  storeTransaction,
  type Transaction,
  takeTransaction,
} from './transaction.ts'

export type AuthorizeNeeds = Pick<
  Services,
  'issuer' | 'store' | 'keys' | 'clients' | 'resources' | 'now' | 'audit' | 'log' | 'page' | 'cookies'
>

/** A request with everything that its next step is decided on. */
export type Asked = {
  client: Client
  request: AuthorizationRequest
  replyTo: ReplyTo
  standing: StandingBrowser
  transaction: Transaction | undefined
}

/** What the decision looks at, taken from what was read. */
export const situationOf = (
  { client, standing, transaction }: Omit<Asked, 'replyTo'>,
  now: Date,
): Situation => ({
  present: standing.person,
  signIn: transaction?.signIn,
  consented: standing.consented,
  consentedNow:
    standing.person !== undefined && transaction?.consentedSessionId === standing.person.sessionId,
  isFirstParty: client.isFirstParty,
  now: seconds(now),
})

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
const pageOf = (step: Step, ids: { transaction: string; signIn: string }): string =>
  step.kind === 'consent'
    ? `/consent/${ids.transaction}`
    : step.kind === 'choose-account'
      ? `/accounts/${ids.signIn}`
      : `/sign-in/${ids.signIn}`

/** The routes of the flow. */
export const authorizeRoutes = (
  services: AuthorizeNeeds,
  settings: AuthorizeSettings,
  basePath: string,
): Route[] => {
  const { store, now, cookies, clients, issuer } = services

  const proceed = async (ctx: Context, asked: Asked): Promise<void> => {
    const { client, request, replyTo, standing, transaction } = asked
    const situation = situationOf(asked, now())
    const step = nextStep(request, situation)
    if (step.kind === 'respond' && standing.person) {
      const scope = grantedScope(request, situation, client.grantTypes.has('refresh_token'))
      const guard = transaction ? [takeTransaction(transaction.id, now())] : []
      return respondOnce(() =>
        respondWithCode(
          services,
          settings,
          ctx,
          { client, request, replyTo, person: standing.person as NonNullable<typeof standing.person>, scope },
          guard,
        ),
      )
    }
    if (step.kind !== 'respond' && (request.prompt.includes('none') || step.kind === 'wrong-person'))
      throw refusalFor[step.kind](
        'the person would have to be asked, or is not the one that was meant',
        replyTo,
      )
    if (transaction)
      return redirect(
        ctx,
        basePath + pageOf(step, { transaction: transaction.id, signIn: transaction.signInId }),
      )
    const stored = await store_(ctx, asked, step)
    redirect(ctx, basePath + pageOf(step, stored))
  }

  /** Stores the request, tied to this browser; a browser seen for the first time gets its cookie. */
  const store_ = async (
    ctx: Context,
    { client, request, standing }: Asked,
    step: Step,
  ): Promise<{ transaction: string; signIn: string }> => {
    const fresh = standing.browser ? undefined : newBrowser(now())
    const browserId = standing.browser?.id ?? fresh?.browser.id ?? null
    const ids = await storeRequest(
      ctx,
      { client, request, browserId, step, username: standing.person?.username },
      fresh ? [fresh.write] : [],
    )
    if (fresh) cookies.set(ctx, fresh.cookie)
    return ids
  }

  const storeRequest = async (
    ctx: Context,
    one: {
      client: Client
      request: AuthorizationRequest
      browserId: string | null
      step: Step
      username: string | undefined
    },
    before: Write[],
  ): Promise<{ transaction: string; signIn: string }> => {
    const { client, request, browserId, step } = one
    const visit = visitOf(ctx)
    await refuseTooMany(store, visit, now())
    const transaction = newTransactionId(now())
    const askAgain = step.kind === 'sign-in' && step.askAgain
    const hint = request.loginHint ?? (askAgain ? one.username : undefined)
    const signIn = newSignIn(
      {
        returnTo: `${basePath}/authorize/${transaction}`,
        askAgain,
        asker: askerOf(client),
        ...(hint === undefined ? {} : { loginHint: hint }),
        ...(request.uiLocales === undefined ? {} : { locale: request.uiLocales }),
      },
      browserId,
      now(),
    )
    await store.commit([
      ...before,
      signIn.write,
      storeTransaction({ id: transaction, browserId, signInId: signIn.id, request, visit }, now()),
    ])
    return { transaction, signIn: signIn.id }
  }

  const begin = async (ctx: Context, params: Params): Promise<void> => {
    const { client, request, replyTo } = await readIncoming(services, ctx, params)
    // A POST from another site carries no cookie (Lax), and must set none, or it would end the session that is there.
    if (ctx.method === 'POST' && presentedCookie(services, ctx) === undefined) {
      const step: Step = {
        kind: 'sign-in',
        askAgain: request.prompt.includes('login') || request.maxAge === 0,
      }
      const ids = await storeRequest(ctx, { client, request, browserId: null, step, username: undefined }, [])
      return redirect(ctx, `${basePath}/authorize/${ids.transaction}`)
    }
    const standing = await readStandingBrowser(services, ctx, client.id)
    await proceed(ctx, { client, request, replyTo, standing, transaction: undefined })
  }

  /** The first browser that opens a request which came without a cookie owns it. */
  const own = async (ctx: Context, transaction: Transaction, standing: StandingBrowser): Promise<void> => {
    if (transaction.browserId !== null) {
      if (standing.browser?.id === transaction.browserId) return
      throw new Refusal('other_browser', 'this request was not started in this browser', 400, {
        reason: 'foreign_browser',
      })
    }
    const fresh = standing.browser ? undefined : newBrowser(now())
    const browserId = standing.browser?.id ?? fresh?.browser.id ?? ''
    try {
      await store.commit([
        claimTransaction(transaction.id, browserId),
        claimSignIn(transaction.signInId, browserId),
        ...(fresh ? [fresh.write] : []),
      ])
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error
      throw new Refusal('other_browser', 'this request was opened in another browser', 400, {
        reason: 'foreign_browser',
      })
    }
    if (fresh) cookies.set(ctx, fresh.cookie)
  }

  const goOn = async (ctx: Context): Promise<void> => {
    const transaction = await openTransaction(store, ctx.path.slice(ctx.path.lastIndexOf('/') + 1), now())
    const client = await clients.find(transaction.request.clientId)
    if (!client || client.disabledAt !== null)
      throw new Refusal('invalid_client', 'the client is not known any more')
    const standing = await readStandingBrowser(services, ctx, client.id)
    await own(ctx, transaction, standing)
    const { request } = transaction
    await proceed(ctx, {
      client,
      request,
      replyTo: ReplyTo.restore(request.replyTo, client, issuer),
      standing,
      transaction,
    })
  }

  return [
    {
      path: '/authorize',
      kind: 'page',
      formMayLeave: true,
      discovery: 'authorization_endpoint',
      handlers: {
        GET: ctx => begin(ctx, Params.parse(ctx.querystring)),
        POST: async ctx => begin(ctx, await readFormBody(ctx)),
      },
    },
    { path: '/authorize/:id', kind: 'page', formMayLeave: true, handlers: { GET: goOn } },
  ]
}

/** @throws Refusal `finished` when the same request was answered meanwhile, in another tab say */
export const respondOnce = async (respond: () => Promise<void>): Promise<void> => {
  try {
    await respond()
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    throw new Refusal('finished', 'this request was answered already', 400, { cause: error })
  }
}
