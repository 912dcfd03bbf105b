/** GET and POST /setup?token=… — the first administrator, by a link that works once. */
import type { Context } from 'koa'
import { readFormBody } from '../http/body.ts'
import { Params } from '../http/params.ts'
import { redirect } from '../http/redirect.ts'
import { Refusal } from '../http/refusal.ts'
import type { Route } from '../http/route.ts'
import { visitOf } from '../http/visit.ts'
import { acrOf } from '../identity/assurance.ts'
import { type Browser, checkOwnForm, formTokenFor, presentOrNewBrowser } from '../identity/browser.ts'
import { findLink, newLink } from '../identity/one-time-link.ts'
import { passwordFault, storePassword } from '../identity/password.ts'
import { type SessionSettings, signInWrites } from '../identity/sign-in.ts'
import { signInMethods } from '../identity/sign-in-methods.ts'
import { hasAdministrator, newUser, userFaults } from '../identity/user.ts'
import type { Services } from '../services.ts'
import { GuardFailed } from '../store/commit.ts'

type Needs = Pick<Services, 'issuer' | 'store' | 'cookies' | 'now' | 'audit' | 'page' | 'passwords'>

/** Seconds. */
const linkTtl = 86_400

/**
 * A set-up link, where there is no administrator yet; an earlier one stops working.
 *
 * @returns the link, or undefined when there is an administrator
 */
export const newSetUpLink = async ({
  issuer,
  store,
  now,
}: Pick<Services, 'issuer' | 'store' | 'now'>): Promise<string | undefined> => {
  if (await hasAdministrator(store)) return undefined
  const { token, writes } = newLink('set-up', { ttl: linkTtl, now: now() })
  await store.commit(writes)
  return `${issuer}/setup?token=${token}`
}

type Typed = { username: string | undefined; email: string | undefined; password: string | undefined }
type Fault = { field: 'username' | 'email' | 'password'; reason: string }

/** The route. */
export const setUpRoute = (
  services: Needs,
  settings: { sessions: SessionSettings; minLength: number },
  basePath: string,
): Route => {
  const { store, now, cookies, page, issuer } = services

  const openLink = async (token: string | undefined) => {
    const link = token === undefined ? undefined : await findLink(store, 'set-up', token, now())
    if (!link || (await hasAdministrator(store)))
      throw new Refusal(
        'invalid_link',
        'the set-up link is wrong, was used, is older than a day, or there is an administrator already',
        400,
      )
    return link
  }

  const show = (ctx: Context, browser: Browser, typed: Partial<Typed>, errors: Fault[]): void =>
    page(
      ctx,
      'set-up',
      {
        action: `${ctx.path}${ctx.search}`,
        formToken: formTokenFor(browser, ctx.path),
        issuer,
        username: typed.username,
        email: typed.email,
        errors,
      },
      {
        status: errors.length > 0 ? 422 : 200,
        parameters: [...new URLSearchParams(ctx.querystring)].filter(([name]) => name === 'token'),
      },
    )

  const faultsOf = async ({ username, email, password }: Typed): Promise<Fault[]> => {
    const person = { username: username ?? '', ...(email === undefined ? {} : { email }) }
    const faults = userFaults(person).flatMap((fault): Fault[] =>
      fault.field === 'username' || fault.field === 'email'
        ? [{ field: fault.field, reason: fault.reason }]
        : [],
    )
    const weak = await passwordFault(password ?? '', {
      minLength: settings.minLength,
      admin: true,
      names: [username, email],
    })
    return weak === undefined ? faults : [...faults, { field: 'password', reason: weak }]
  }

  const create = async (ctx: Context): Promise<void> => {
    const form = await readFormBody(ctx)
    const browser = await checkOwnForm(services, ctx, form, `${ctx.path}${ctx.search}`)
    const link = await openLink(Params.parse(ctx.querystring).get('token'))
    const typed: Typed = {
      username: form.get('username'),
      email: form.get('email'),
      password: form.get('password'),
    }
    const faults = await faultsOf(typed)
    if (faults.length > 0) return show(ctx, browser, typed, faults)
    const { user, write } = newUser(
      { username: typed.username ?? '', email: typed.email, role: 'admin' },
      now(),
    )
    const hash = await services.passwords.inTurn(() => services.passwords.hash(typed.password ?? ''))
    const visit = visitOf(ctx)
    const amr = [...signInMethods.password.amr]
    const person = { userId: user.id, amr, acr: acrOf(amr) }
    const signedIn = await signInWrites(services, settings.sessions, person, {
      browser,
      visit,
      remember: false,
    })
    try {
      await store.commit([
        link.take,
        write,
        storePassword(user.id, hash, now()),
        services.audit.write({ event: 'set_up.completed', visit, userId: user.id }),
        ...signedIn.writes,
      ])
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error
      if (error.failed !== write)
        throw new Refusal('invalid_link', 'the set-up link was used meanwhile', 400, { cause: error })
      return show(ctx, browser, typed, [{ field: 'username', reason: 'taken' }])
    }
    cookies.set(ctx, signedIn.cookie)
    redirect(ctx, `${basePath}/`)
  }

  return {
    path: '/setup',
    kind: 'page',
    isolated: true,
    handlers: {
      GET: async ctx => {
        await openLink(Params.parse(ctx.querystring).get('token'))
        show(ctx, await presentOrNewBrowser(services, ctx), {}, [])
      },
      POST: create,
    },
  }
}
