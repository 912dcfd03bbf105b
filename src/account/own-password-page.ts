/** GET and POST /account/password — a new password ends all that was allowed with the old one, this session aside. */
import type { Context } from 'koa'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { visitOf } from '../http/visit.ts'
import { formTokenFor, readOwnForm, turnBrowser } from '../identity/browser.ts'
import { forgetLinks } from '../identity/one-time-link.ts'
import { findPasswordHash, minLengthFor, passwordFault, storePassword } from '../identity/password.ts'
import { checkPassword } from '../identity/password-check.ts'
import { cookieLife, sessionsOfBrowser, sessionsOfUser } from '../identity/session.ts'
import { endAccessOf, type User } from '../identity/user.ts'
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { commitEnding } from './commit-ending.ts'
import { requireSession, type SignedInUser } from './require-session.ts'

type Needs = Pick<
  Services,
  | 'issuer'
  | 'store'
  | 'cookies'
  | 'now'
  | 'audit'
  | 'page'
  | 'passwords'
  | 'metrics'
  | 'sessionEnded'
  | 'wakeOutbox'
>

type Fault = { field: 'current_password' | 'new_password'; reason: string }

type Shown =
  | { kind: 'form' }
  | { kind: 'faults'; faults: Fault[] }
  | { kind: 'wrong' }
  | { kind: 'throttled'; retryAfter: number }

const statusOf: Record<Shown['kind'], number> = { form: 200, faults: 422, wrong: 422, throttled: 429 }

/** Where password managers look for the page (W3C, A Well-Known URL for Changing Passwords). */
export const changePasswordRoute = (basePath: string): Route => ({
  path: '/.well-known/change-password',
  alsoAt: '/.well-known/change-password',
  kind: 'page',
  handlers: { GET: ctx => redirect(ctx, `${basePath}/account/password`) },
})

/** The route. */
export const ownPasswordRoute = (
  services: Needs,
  settings: { minLength: number },
  basePath: string,
): Route => {
  const { store, now, page, cookies, passwords, audit } = services

  const show = (ctx: Context, { browser, user }: SignedInUser, shown: Shown): void => {
    if (shown.kind === 'throttled') ctx.set('Retry-After', String(shown.retryAfter))
    page(
      ctx,
      'own-password',
      {
        action: ctx.path,
        formToken: formTokenFor(browser, ctx.path),
        user: { username: user.username },
        minLength: minLengthFor(user.role === 'admin', settings.minLength),
        error:
          shown.kind === 'wrong'
            ? 'invalid_credentials'
            : shown.kind === 'throttled'
              ? 'too_many_attempts'
              : undefined,
        retryAfter: shown.kind === 'throttled' ? shown.retryAfter : undefined,
        errors: shown.kind === 'faults' ? shown.faults : [],
      },
      { status: statusOf[shown.kind] },
    )
  }

  /** What is wrong with the new password; the old one is known to be right. */
  const faultsOf = async (user: User, current: string, wanted: string): Promise<Fault[]> => {
    if (wanted === current) return [{ field: 'new_password', reason: 'unchanged' }]
    const reason = await passwordFault(wanted, {
      minLength: settings.minLength,
      admin: user.role === 'admin',
      names: [user.username, user.email, user.name],
    })
    return reason === undefined ? [] : [{ field: 'new_password', reason }]
  }

  /** @returns whether it is the person's password now */
  const replace = async (
    ctx: Context,
    { browser, session, user }: SignedInUser,
    password: string,
  ): Promise<boolean> => {
    const hash = await passwords.inTurn(() => passwords.hash(password))
    const visit = visitOf(ctx)
    const turned = turnBrowser(browser, session.id)
    try {
      await commitEnding(
        services,
        async () => (await sessionsOfUser(store, user.id)).filter(({ id }) => id !== session.id),
        {
          reason: 'password_changed',
          visit,
          writes: [
            turned.write,
            storePassword(user.id, hash, now()),
            endAccessOf(user.id, now()),
            forgetLinks('set-password', user.id),
            audit.write({ event: 'password.changed', visit, userId: user.id }),
          ],
        },
      )
    } catch (error) {
      // Something else turned the browser meanwhile: this form sent twice at once, or a sign-in.
      if (error instanceof GuardFailed && error.failed === turned.write) return isStored(user, password)
      throw error
    }
    cookies.set(ctx, turned.cookie, cookieLife(await sessionsOfBrowser(store, browser.id), now()))
    return true
  }

  /** Whether the password that was proved is still the person's: it may have changed in another browser meanwhile. */
  const holds = async (writes: Write[]): Promise<boolean> => {
    try {
      await store.commit(writes)
      return true
    } catch (error) {
      if (error instanceof GuardFailed) return false
      throw error
    }
  }

  const isStored = async ({ id }: User, password: string): Promise<boolean> => {
    const hash = await findPasswordHash(store, id)
    return passwords.inTurn(() => passwords.verify(hash, password))
  }

  const change = async (ctx: Context): Promise<void> => {
    const { form } = await readOwnForm(services, ctx)
    const present = await requireSession(services, ctx, basePath)
    const { browser, user } = present
    const current = form.get('current_password')
    const wanted = form.get('new_password') ?? ''
    if (current === undefined)
      return show(ctx, present, {
        kind: 'faults',
        faults: [{ field: 'current_password', reason: 'required' }],
      })
    const outcome = await checkPassword(services, {
      username: user.username,
      password: current,
      browserId: browser.id,
      visit: visitOf(ctx),
    })
    if (outcome.kind === 'throttled') return show(ctx, present, outcome)
    if (outcome.kind === 'wrong' || outcome.userId !== user.id) return show(ctx, present, { kind: 'wrong' })
    // By themselves: they look at the old password's row, and the new one goes into the same.
    if (!(await holds(outcome.writes))) return show(ctx, present, { kind: 'wrong' })
    const faults = await faultsOf(user, current, wanted)
    if (faults.length > 0) return show(ctx, present, { kind: 'faults', faults })
    const changed = await replace(ctx, present, wanted)
    redirect(ctx, changed ? `${basePath}/account?done=password` : ctx.path)
  }

  return {
    path: '/account/password',
    kind: 'page',
    isolated: true,
    handlers: {
      GET: async ctx => show(ctx, await requireSession(services, ctx, basePath), { kind: 'form' }),
      POST: change,
    },
  }
}
