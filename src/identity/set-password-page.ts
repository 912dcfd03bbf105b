/** GET and POST /set-password?token=… — somebody sets a password, by a link that works once, and is signed in. */
import type { Context } from 'koa'
import { readFormBody } from '../http/body.ts'
import { Params } from '../http/params.ts'
import { redirect } from '../http/redirect.ts'
import { Refusal } from '../http/refusal.ts'
import type { Route } from '../http/route.ts'
import { visitOf } from '../http/visit.ts'
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { acrOf } from './assurance.ts'
import { type Browser, checkOwnForm, formTokenFor, presentOrNewBrowser } from './browser.ts'
import { findLink } from './one-time-link.ts'
import { minLengthFor, passwordFault, storePassword } from './password.ts'
import { endSessions, sessionsOfUser } from './session.ts'
import { type SessionSettings, signInWrites } from './sign-in.ts'
import { signInMethods } from './sign-in-methods.ts'
import { endAccessOf, findUserById, type User } from './user.ts'

type Needs = Pick<
  Services,
  'issuer' | 'store' | 'cookies' | 'now' | 'audit' | 'page' | 'passwords' | 'sessionEnded' | 'wakeOutbox'
>

/** How often it is tried again when a session of the user ends by itself meanwhile. */
const mostTries = 5

/** The route. */
export const setPasswordRoute = (
  services: Needs,
  settings: { sessions: SessionSettings; minLength: number },
  basePath: string,
): Route => {
  const { store, now, cookies, page, passwords, audit } = services

  const invalid = (cause?: unknown): Refusal =>
    new Refusal('invalid_link', 'the link is wrong, was used, or is too old', 400, { cause })

  const openLink = async (ctx: Context): Promise<{ user: User; take: Write }> => {
    const token = Params.parse(ctx.querystring).get('token')
    const link = token === undefined ? undefined : await findLink(store, 'set-password', token, now())
    const user = link?.userId ? await findUserById(store, link.userId) : undefined
    if (!link || !user || user.disabledAt !== null) throw invalid()
    return { user, take: link.take }
  }

  const show = (ctx: Context, browser: Browser, user: User, fault?: string): void =>
    page(
      ctx,
      'set-password',
      {
        action: `${ctx.path}${ctx.search}`,
        formToken: formTokenFor(browser, ctx.path),
        username: user.username,
        minLength: minLengthFor(user.role === 'admin', settings.minLength),
        fault,
      },
      {
        status: fault === undefined ? 200 : 422,
        parameters: [...new URLSearchParams(ctx.querystring)].filter(([name]) => name === 'token'),
      },
    )

  /** The password, the end of what was allowed with an earlier one, and the sign-in, in one commit. */
  const replace = async (ctx: Context, browser: Browser, hash: string): Promise<void> => {
    const amr = [...signInMethods.password.amr]
    const visit = visitOf(ctx)
    for (let tries = 1; ; tries++) {
      const { user, take } = await openLink(ctx)
      const signedIn = await signInWrites(
        services,
        settings.sessions,
        { userId: user.id, amr, acr: acrOf(amr) },
        { browser, visit, remember: false },
      )
      const others = (await sessionsOfUser(store, user.id)).filter(({ id }) => id !== signedIn.sessionId)
      try {
        await store.commit([
          take,
          storePassword(user.id, hash, now()),
          endAccessOf(user.id, now()),
          audit.write({ event: 'password.changed', visit, userId: user.id, reason: 'link' }),
          ...(await endSessions(services, others, 'password_changed', visit)),
          ...signedIn.writes,
        ])
        return cookies.set(ctx, signedIn.cookie)
      } catch (error) {
        if (!(error instanceof GuardFailed)) throw error
        if (error.failed === take || tries === mostTries) throw invalid(error)
      }
    }
  }

  return {
    path: '/set-password',
    kind: 'page',
    handlers: {
      GET: async ctx => {
        const { user } = await openLink(ctx)
        show(ctx, await presentOrNewBrowser(services, ctx), user)
      },
      POST: async ctx => {
        const form = await readFormBody(ctx)
        const browser = await checkOwnForm(services, ctx, form, `${ctx.path}${ctx.search}`)
        const { user } = await openLink(ctx)
        const password = form.get('new_password') ?? ''
        const fault = await passwordFault(password, {
          minLength: settings.minLength,
          admin: user.role === 'admin',
          names: [user.username, user.email, user.name],
        })
        if (fault !== undefined) return show(ctx, browser, user, fault)
        await replace(ctx, browser, await passwords.inTurn(() => passwords.hash(password)))
        services.wakeOutbox()
        redirect(ctx, `${basePath}/`)
      },
    },
  }
}
