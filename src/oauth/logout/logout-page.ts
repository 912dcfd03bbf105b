/** GET and POST /logout (OIDC RP-Initiated Logout): ends a session, tells the apps, goes back. */
import type { Context } from 'koa'
import { readFormBody } from '../../http/body.ts'
import { Params } from '../../http/params.ts'
import { redirect } from '../../http/redirect.ts'
import type { Route } from '../../http/route.ts'
import { visitOf } from '../../http/visit.ts'
import {
  type Browser,
  checkOwnForm,
  formTokenFor,
  presentBrowser,
  presentedCookie,
  turnBrowser,
} from '../../identity/browser.ts'
import {
  cookieLife,
  endSessions,
  findSession,
  isAlive,
  type Session,
  sessionsOfBrowser,
} from '../../identity/session.ts'
import type { Services } from '../../services.ts'
import { GuardFailed } from '../../store/commit.ts'
import { askerOf } from '../authorize/asker.ts'
import type { IdTokenHint } from '../tokens/id-token.ts'
import { appsTold, tellApps } from './back-channel.ts'
import { type LogoutRequest, readLogoutRequest, requestFields } from './logout-request.ts'

type Needs = Pick<
  Services,
  | 'issuer'
  | 'keys'
  | 'clients'
  | 'store'
  | 'now'
  | 'audit'
  | 'page'
  | 'cookies'
  | 'sessionEnded'
  | 'wakeOutbox'
>

const isAbout = (hint: IdTokenHint, session: Session): boolean =>
  session.sub === hint.sub && (hint.sid === undefined || hint.sid === session.id)

/** The route. */
export const logoutRoute = (services: Needs): Route => {
  const { store, now, page, cookies } = services

  const aliveAt = async (browser: Browser | undefined): Promise<Session[]> =>
    browser ? (await sessionsOfBrowser(store, browser.id)).filter(session => isAlive(session, now())) : []

  /** Ends a session; the browser it belongs to, where it asks itself, gets a new secret. */
  const end = async (ctx: Context, session: Session, browser: Browser | undefined): Promise<void> => {
    const stays = browser?.activeSessionId === session.id ? null : (browser?.activeSessionId ?? null)
    const turned = browser ? turnBrowser(browser, stays) : undefined
    try {
      await store.commit([
        ...(await endSessions(services, [session], 'signed_out', visitOf(ctx))),
        ...(turned ? [turned.write] : []),
      ])
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error
      // Another sign-in or sign-out gave the browser a new secret meanwhile, and its answer sets the cookie; the
      // session ends all the same.
      if (turned && error.failed === turned.write) return end(ctx, session, undefined)
      // Somebody else ended it at the same moment: it has ended, which is what was asked for.
      return
    }
    if (browser && turned) {
      const others = (await aliveAt(browser)).filter(one => one.id !== session.id)
      cookies.set(ctx, turned.cookie, cookieLife(others, now()))
    }
    await tellApps(services)
  }

  const finish = async (ctx: Context, request: LogoutRequest, ended: Session | undefined): Promise<void> => {
    if (request.returnTo !== undefined) return redirect(ctx, request.returnTo)
    const apps = ended ? await appsTold(services, ended.id) : []
    page(ctx, 'signed-out', { apps }, { locale: request.locale })
  }

  const ask = (ctx: Context, request: LogoutRequest, browser: Browser, session: Session): void =>
    page(
      ctx,
      'logout',
      {
        action: ctx.path,
        formToken: formTokenFor(browser, ctx.path),
        fields: request.fields,
        user: { username: session.username },
        asker: request.client ? askerOf(request.client) : undefined,
        returnName: request.returnTo === undefined ? undefined : request.client?.name,
      },
      { locale: request.locale, parameters: request.fields },
    )

  const begin = async (ctx: Context, params: Params): Promise<void> => {
    const request = await readLogoutRequest(services, params)
    const { hint } = request
    // A logout posted by another site carries no cookie (Lax): a genuine hint names the session that is meant.
    if (hint?.sid !== undefined && ctx.method === 'POST' && presentedCookie(services, ctx) === undefined) {
      const session = await findSession(store, hint.sid)
      if (session && isAbout(hint, session) && isAlive(session, now())) await end(ctx, session, undefined)
      return finish(ctx, request, session)
    }
    const browser = await presentBrowser(services, ctx)
    const alive = await aliveAt(browser)
    const meant = hint && alive.find(session => isAbout(hint, session))
    if (meant) {
      await end(ctx, meant, browser)
      return finish(ctx, request, meant)
    }
    const active = alive.find(session => session.id === browser?.activeSessionId) ?? alive[0]
    // Nobody is signed in, or (by the hint) not the one who is meant any more: there is nothing to ask.
    if (!browser || !active) return finish(ctx, request, undefined)
    ask(ctx, request, browser, active)
  }

  const decide = async (ctx: Context, form: Params): Promise<void> => {
    // A form that is only stale leads to its question again, with all that the app sent along.
    const again = `${ctx.path}?${new URLSearchParams(requestFields(form))}`
    const browser = await checkOwnForm(services, ctx, form, again)
    const request = await readLogoutRequest(services, form)
    const alive = await aliveAt(browser)
    const active = alive.find(session => session.id === browser.activeSessionId) ?? alive[0]
    const decision = form.get('decision')
    if (decision === 'no') {
      const returnTo = request.client?.metadata.client_uri
      return page(
        ctx,
        'signed-out',
        {
          apps: [],
          stillSignedIn: true,
          returnTo:
            request.client && returnTo !== undefined
              ? { url: returnTo, name: request.client.name }
              : undefined,
        },
        { locale: request.locale },
      )
    }
    if (decision !== 'yes' && active) return ask(ctx, request, browser, active)
    if (active) await end(ctx, active, browser)
    await finish(ctx, request, active)
  }

  return {
    path: '/logout',
    kind: 'page',
    formMayLeave: true,
    getActs: true,
    discovery: 'end_session_endpoint',
    handlers: {
      GET: ctx => begin(ctx, Params.parse(ctx.querystring)),
      POST: async ctx => {
        const form = await readFormBody(ctx)
        // An app's own post has no decision in it; our form is checked to be ours.
        await (form.has('decision') || form.has('form_token') ? decide(ctx, form) : begin(ctx, form))
      },
    },
  }
}
