/** GET and POST /account/sessions — where somebody is signed in, and signing out there. */
import type { Context } from 'koa'
import { Params } from '../http/params.ts'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { visitOf } from '../http/visit.ts'
import { formTokenFor, readOwnForm, turnBrowser } from '../identity/browser.ts'
import { cookieLife, isAlive, type Session, sessionsOfBrowser, sessionsOfUser } from '../identity/session.ts'
import type { Services } from '../services.ts'
import { GuardFailed } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { statement } from '../store/statement.ts'
import { commitEnding } from './commit-ending.ts'
import { deviceOf } from './device.ts'
import { requireSession, type SignedInUser } from './require-session.ts'

type Needs = Pick<
  Services,
  'issuer' | 'store' | 'cookies' | 'now' | 'audit' | 'page' | 'clients' | 'sessionEnded' | 'wakeOutbox'
>

const usedClients = statement<{ user: string }, { sessionId: string; clientId: string }>(
  'own-sessions.clients',
  (knex, { user }) =>
    knex('session')
      .join('session_client', 'session_client.session_id', 'session.id')
      .select({ sessionId: 'session.id', clientId: 'session_client.client_id' })
      .where({ 'session.user_id': user })
      .whereNull('session.ended_at')
      .orderBy('session_client.first_at'),
)

/** The sessions of a user that live. */
export const liveSessionsOf = async (store: Store, userId: string, now: Date): Promise<Session[]> =>
  (await sessionsOfUser(store, userId)).filter(session => isAlive(session, now))

/** The route. */
export const ownSessionsRoute = (services: Needs, basePath: string): Route => {
  const { store, now, clients, page, cookies } = services

  /** The names of the apps that each session was used for. */
  const appsBySession = async (userId: string): Promise<Map<string, string[]>> => {
    const names = new Map<string, string[]>()
    for (const { sessionId, clientId } of await store.all(usedClients, { user: userId })) {
      const client = await clients.find(clientId)
      if (client) names.set(sessionId, [...(names.get(sessionId) ?? []), client.name])
    }
    return names
  }

  const show = async (ctx: Context): Promise<void> => {
    const { browser, session: own, user } = await requireSession(services, ctx, basePath)
    const [live, apps] = await Promise.all([liveSessionsOf(store, user.id, now()), appsBySession(user.id)])
    const inOrder = live.sort((a, b) =>
      a.id === own.id ? -1 : b.id === own.id ? 1 : b.seenAt - a.seenAt || b.createdAt - a.createdAt,
    )
    page(ctx, 'own-sessions', {
      action: ctx.path,
      formToken: formTokenFor(browser, ctx.path),
      user: { username: user.username },
      now: seconds(now()),
      done: Params.parse(ctx.querystring).get('done'),
      sessions: inOrder.map(session => ({
        id: session.id,
        ...deviceOf(session.userAgent ?? ''),
        ip: session.ip ?? undefined,
        createdAt: session.createdAt,
        seenAt: session.seenAt,
        apps: apps.get(session.id) ?? [],
        isThis: session.id === own.id,
      })),
    })
  }

  /** Those that were idle for too long and that nobody was told of yet can be ended as well. */
  const sessionsWhere = (userId: string, isMeant: (id: string) => boolean) => async () =>
    (await sessionsOfUser(store, userId)).filter(({ id }) => isMeant(id))

  /** Signing out here: the browser gets a new secret, as at every sign-out. */
  const endOwn = async (ctx: Context, { browser, session, user }: SignedInUser): Promise<void> => {
    const turned = turnBrowser(browser, null)
    try {
      await commitEnding(
        services,
        sessionsWhere(user.id, id => id === session.id),
        {
          reason: 'signed_out',
          visit: visitOf(ctx),
          writes: [turned.write],
        },
      )
      cookies.set(ctx, turned.cookie, cookieLife(await sessionsOfBrowser(store, browser.id), now()))
    } catch (error) {
      // The same form was sent twice at once: the other one has signed out, and its answer sets the cookie.
      if (!(error instanceof GuardFailed)) throw error
    }
    redirect(ctx, `${basePath}/`)
  }

  const end = async (ctx: Context): Promise<void> => {
    const { form } = await readOwnForm(services, ctx)
    const present = await requireSession(services, ctx, basePath)
    const { session: own, user } = present
    const chosen = form.get('revoke')
    if (chosen === own.id) return endOwn(ctx, present)
    const everywhere = form.get('revoke_others') === 'yes'
    const ended = await commitEnding(
      services,
      sessionsWhere(user.id, id => id !== own.id && (everywhere || id === chosen)),
      { reason: 'revoked', visit: visitOf(ctx) },
    )
    redirect(ctx, ended === 0 ? ctx.path : `${ctx.path}?done=${everywhere ? 'everywhere' : 'one'}`)
  }

  return {
    path: '/account/sessions',
    kind: 'page',
    isolated: true,
    handlers: { GET: show, POST: end },
  }
}
