/** GET and POST /sign-in/:id — the page that asks who somebody is. */
import type { Context } from 'koa'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { type Visit, visitOf } from '../http/visit.ts'
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { acrOf } from './assurance.ts'
import { type Browser, formTokenFor, presentBrowser, readAgain, readOwnForm } from './browser.ts'
import { type Authenticated, findSession, isAlive, sessionsOfBrowser } from './session.ts'
import { completeSignIn, openSignIn, type SessionSettings, type SignIn, signInWrites } from './sign-in.ts'
import { signInMethods } from './sign-in-methods.ts'

type Needs = Pick<
  Services,
  'store' | 'cookies' | 'now' | 'audit' | 'page' | 'issuer' | 'passwords' | 'metrics'
>

/** Forms of one browser that may be sent at once and each be answered with a cookie that counts. */
const mostTries = 5

const idIn = (ctx: Context): string => ctx.path.slice(ctx.path.lastIndexOf('/') + 1)

/**
 * A form that another tab's sign-in has made stale leads here. Somebody is signed in now, so the request goes on; the
 * account chooser's "another account", which leads to the same page, does not carry the mark.
 */
const staleMark = 'stale'
const cameFromStaleForm = (ctx: Context): boolean => new URLSearchParams(ctx.querystring).has(staleMark)

type Shown = {
  error?: 'invalid_credentials' | 'too_many_attempts' | 'missing'
  username?: string
  retryAfter?: number
}

/** The route of the page. */
export const signInRoute = (services: Needs, settings: SessionSettings, basePath: string): Route => {
  const { store, cookies, now, page } = services

  const show = async (
    ctx: Context,
    browser: Browser,
    signIn: SignIn,
    status: number,
    shown: Shown,
  ): Promise<void> => {
    const { reason } = signIn
    const others = (await sessionsOfBrowser(store, browser.id)).filter(session => isAlive(session, now()))
    if (shown.retryAfter !== undefined) ctx.set('Retry-After', String(shown.retryAfter))
    page(
      ctx,
      'sign-in',
      {
        action: ctx.path,
        formToken: formTokenFor(browser, ctx.path),
        username: shown.username ?? reason.loginHint,
        asker: reason.asker,
        error: shown.error,
        retryAfter: shown.retryAfter,
        offerRemember: settings.rememberTtl > 0,
        reason:
          reason.askAgain && others.some(session => session.username === reason.loginHint)
            ? 'again'
            : undefined,
        chooserUrl: others.length > 0 && !reason.askAgain ? `${basePath}/accounts/${signIn.id}` : undefined,
      },
      { status, locale: reason.locale },
    )
  }

  const isSignedIn = async ({ activeSessionId }: Browser): Promise<boolean> => {
    const active = activeSessionId === null ? undefined : await findSession(store, activeSessionId)
    return active !== undefined && isAlive(active, now())
  }

  /**
   * Signs a person in who has proved who they are. When the same form was sent twice at once, the browser may have
   * dropped the other's answer and the new cookie in it; this one proved the password as well, and brings its own.
   */
  const admit = async (
    person: Authenticated,
    at: { signInId: string; browser: Browser; visit: Visit; remember: boolean; writes: Write[] },
  ): Promise<{ cookie: string; maxAge?: number } | undefined> => {
    let browser: Browser | undefined = at.browser
    for (let tries = 0; browser && tries < mostTries; tries++) {
      const signedIn = await signInWrites(services, settings, person, { ...at, browser })
      try {
        await store.commit([
          ...signedIn.writes,
          completeSignIn(at.signInId, signedIn.sessionId, true),
          ...at.writes,
        ])
        return signedIn
      } catch (error) {
        if (!(error instanceof GuardFailed)) throw error
        if (error.failed !== signedIn.writes[0]) return undefined
        browser = await readAgain(store, browser)
      }
    }
    return undefined
  }

  return {
    path: '/sign-in/:id',
    kind: 'page',
    formMayLeave: true,
    handlers: {
      GET: async ctx => {
        const browser = await presentBrowser(services, ctx)
        const signIn = await openSignIn(store, idIn(ctx), browser, now())
        // The back button after a sign-in: it is done, so go on.
        if (signIn.authenticated) return redirect(ctx, signIn.reason.returnTo)
        if (browser && cameFromStaleForm(ctx) && !signIn.reason.askAgain && (await isSignedIn(browser)))
          return redirect(ctx, signIn.reason.returnTo)
        if (browser) await show(ctx, browser, signIn, 200, {})
      },
      POST: async ctx => {
        const { form, browser } = await readOwnForm(services, ctx, `${ctx.path}?${staleMark}`)
        const signIn = await openSignIn(store, idIn(ctx), browser, now())
        const username = form.get('username')
        const password = form.get('password')
        const typed = username === undefined ? {} : { username }
        if (username === undefined || password === undefined)
          return show(ctx, browser, signIn, 422, { error: 'missing', ...typed })
        const visit = visitOf(ctx)
        const method = signInMethods.password
        const outcome = await method.check(services, { username, password, browserId: browser.id, visit })
        if (outcome.kind === 'throttled')
          return show(ctx, browser, signIn, 429, {
            error: 'too_many_attempts',
            retryAfter: outcome.retryAfter,
            ...typed,
          })
        if (outcome.kind === 'wrong')
          return show(ctx, browser, signIn, 422, { error: 'invalid_credentials', ...typed })
        const amr = [...method.amr]
        const person = { userId: outcome.userId, amr, acr: acrOf(amr) }
        const admitted = await admit(person, {
          signInId: signIn.id,
          browser,
          visit,
          remember: form.has('remember'),
          writes: outcome.writes,
        })
        if (!admitted) return redirect(ctx, ctx.path)
        cookies.set(ctx, admitted.cookie, admitted.maxAge)
        redirect(ctx, signIn.reason.returnTo)
      },
    },
  }
}
