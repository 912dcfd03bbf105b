/** What every page of /admin shares: who may see it, how fresh their sign-in must be, and the frame around it. */
import type { Context } from 'koa'
import { requireSession, type SessionRule } from '../account/require-session.ts'
import type { AdminFrame, AdminPlace } from '../http/admin-views.ts'
import { Params } from '../http/params.ts'
import { Refusal } from '../http/refusal.ts'
import type { Handler, Route } from '../http/route.ts'
import { visitOf } from '../http/visit.ts'
import { formTokenFor, readOwnForm } from '../identity/browser.ts'
import type { Session } from '../identity/session.ts'
import type { User } from '../identity/user.ts'
import type { Services } from '../services.ts'
import { seconds } from '../store/single-use.ts'
import type { Actor } from './actor.ts'

export type AdminNeeds = Pick<Services, 'issuer' | 'store' | 'cookies' | 'now' | 'audit' | 'page'>

/** Seconds (contracts.md section 6, Lifetimes). */
const idleTtl = 900
const longestSince = 4 * 3600
const stepUp = 300

/** An administrator at a page of theirs. */
export type Admin = { user: User; session: Session; actor: Actor; frame: AdminFrame }

/** A page of /admin. */
export type AdminPage = {
  path: string
  place: AdminPlace
  /**
   * What wants a sign-in of the last five minutes: keys, secrets, users and what apps may do. `change`: its forms;
   * `look`: to see it as well, where it is nothing but a form, so that nobody fills one in and then has to sign in.
   */
  confirm: 'nothing' | 'change' | 'look'
  show: (ctx: Context, admin: Admin) => Promise<void>
  change?: (ctx: Context, admin: Admin, form: Params) => Promise<void>
}

/** @throws Refusal 403 for somebody who is no administrator, audited */
const admitting =
  ({ audit }: Pick<Services, 'audit'>, ctx: Context): NonNullable<SessionRule['admits']> =>
  async user => {
    if (user.role === 'admin') return
    await audit.record({
      event: 'admin.denied',
      visit: visitOf(ctx),
      userId: user.id,
      reason: 'no_administrator',
      detail: { method: ctx.method, path: ctx.path },
    })
    throw new Refusal('access_denied', 'this is for administrators', 403)
  }

/** The route of a page. */
export const adminRoute = (services: AdminNeeds, basePath: string, page: AdminPage): Route => {
  const enter = async (ctx: Context, confirmed: boolean): Promise<Admin> => {
    const { browser, session, user } = await requireSession(services, ctx, basePath, {
      signedInWithin: confirmed ? stepUp : longestSince,
      idleTtl,
      admits: admitting(services, ctx),
    })
    return {
      user,
      session,
      actor: { kind: 'admin', userId: user.id, visit: visitOf(ctx) },
      frame: {
        user: { username: user.username, name: user.name ?? undefined },
        place: page.place,
        action: ctx.path,
        formToken: formTokenFor(browser, ctx.path),
        now: seconds(services.now()),
        done: Params.parse(ctx.querystring).get('done'),
      },
    }
  }
  const { change } = page
  const handlers: Record<string, Handler> = {
    GET: async ctx => page.show(ctx, await enter(ctx, page.confirm === 'look')),
  }
  if (change)
    handlers['POST'] = async ctx => {
      // First: what another site sends must not begin a sign-in.
      const { form } = await readOwnForm(services, ctx)
      await change(ctx, await enter(ctx, page.confirm !== 'nothing'), form)
    }
  return { path: page.path, kind: 'page', isolated: true, handlers }
}

const longestSearch = 200

/** A search or a cursor as it was sent: short, and without what a database cannot hold. Whatever else it is, it is text. */
export const searchText = (params: Params, name: string): string =>
  (params.get(name) ?? '').slice(0, longestSearch).replace(/[\0\p{Cs}]/gu, '')

/** A cursor that somebody made up is none. */
export const numberIn = (text: string): number | undefined =>
  /^\d{1,15}$/.test(text) ? Number(text) : undefined

/** Rows of a list on one page. */
export const pageSize = 50

/** Of one row more than is shown: what is shown, and whether there is more. */
export const cut = <T>(rows: readonly T[], size = pageSize): { shown: T[]; last: T | undefined } => {
  const shown = rows.slice(0, size)
  return { shown, last: rows.length > size ? shown.at(-1) : undefined }
}

/** The part of a path that varies. */
export const idIn = (ctx: Context, place: number): string => {
  const part = ctx.path.split('/').at(place) ?? ''
  try {
    return decodeURIComponent(part).replaceAll('\0', '')
  } catch {
    return part
  }
}

/** Runs what a form asks for. @returns the refusal, where it was for what was typed or had changed meanwhile */
export const attempt = async <T>(
  run: () => Promise<T>,
): Promise<{ done: T; refused?: undefined } | { done?: undefined; refused: Refusal }> => {
  try {
    return { done: await run() }
  } catch (error) {
    if (error instanceof Refusal && [400, 409].includes(error.status)) return { refused: error }
    throw error
  }
}
