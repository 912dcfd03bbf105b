/** GET and POST /admin/users/:id — somebody: who they are, where they are signed in, what they use, and ending it. */
import type { Context } from 'koa'
import { deviceOf } from '../account/device.ts'
import { ownAppsOf } from '../account/own-apps-page.ts'
import { liveSessionsOf } from '../account/own-sessions-page.ts'
import type { SessionLine } from '../http/admin-views.ts'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { findPasswordHash } from '../identity/password.ts'
import type { Session } from '../identity/session.ts'
import type { Services } from '../services.ts'
import { type Admin, type AdminNeeds, adminRoute, attempt, idIn } from './admin-room.ts'
import { revokeSession, revokeSessionsOf } from './session-operations.ts'
import { disableUser, enableUser, newPasswordLink } from './user-access-operations.ts'
import { showUser, type UserNeeds } from './user-operations.ts'

export type UserPageNeeds = AdminNeeds & UserNeeds & Pick<Services, 'clients'>

/** A session as lists of administration show it. */
export const sessionLine = (session: Session): SessionLine => ({
  id: session.id,
  username: session.username,
  userId: session.userId,
  device: deviceOf(session.userAgent ?? ''),
  ip: session.ip ?? undefined,
  createdAt: session.createdAt,
  seenAt: session.seenAt,
})

/** Shows a user. A link to set a password is shown by the answer that made it, and never again. */
export const showUserPage = async (
  services: UserPageNeeds,
  ctx: Context,
  { frame, user: self }: Admin,
  id: string,
  { said, passwordLink, problem }: { said?: string; passwordLink?: string; problem?: string } = {},
): Promise<void> => {
  const { store, now, page } = services
  const { user, groups } = await showUser(services, id)
  const [sessions, apps, hash] = await Promise.all([
    liveSessionsOf(store, user.id, now()),
    ownAppsOf(services, user.id),
    findPasswordHash(store, user.id),
  ])
  page(
    ctx,
    'user',
    {
      ...frame,
      ...(said === undefined ? {} : { done: said }),
      problem,
      passwordLink,
      account: {
        id: user.id,
        sub: user.sub,
        username: user.username,
        name: user.name ?? undefined,
        email: user.email ?? undefined,
        emailVerified: user.emailVerified,
        isAdmin: user.role === 'admin',
        isSelf: user.id === self.id,
        isDisabled: user.disabledAt !== null,
        hasPassword: hash !== undefined,
        createdAt: user.createdAt,
        groups,
      },
      sessions: sessions.sort((a, b) => b.seenAt - a.seenAt).map(sessionLine),
      apps: apps.map(({ client, since, sessions: used }) => ({
        id: client.id,
        name: client.name,
        since,
        sessions: used,
      })),
    },
    { status: problem === undefined ? 200 : 409 },
  )
}

/** What the buttons of the page do; each says what was done by its name in the catalogue. */
const actions: Record<string, (services: UserPageNeeds, id: string, admin: Admin) => Promise<unknown>> = {
  disable: (services, id, { actor }) => disableUser(services, id, actor),
  enable: (services, id, { actor }) => enableUser(services, id, actor),
  sign_out: (services, id, { actor }) => revokeSessionsOf(services, id, actor),
}

/** The route. */
export const userRoute = (services: UserPageNeeds, basePath: string): Route =>
  adminRoute(services, basePath, {
    path: '/admin/users/:id',
    place: 'users',
    confirm: 'change',
    show: (ctx, admin) => showUserPage(services, ctx, admin, idIn(ctx, -1)),
    change: async (ctx, admin, form) => {
      const { user } = await showUser(services, idIn(ctx, -1))
      const session = form.get('revoke')
      if (session !== undefined) {
        const ofUser = (await liveSessionsOf(services.store, user.id, services.now())).some(
          ({ id }) => id === session,
        )
        if (ofUser) await revokeSession(services, session, admin.actor)
        return redirect(ctx, `${ctx.path}?done=session`)
      }
      const action = form.get('action') ?? ''
      if (action === 'password_link') {
        const passwordLink = await newPasswordLink(services, user.id, admin.actor)
        return showUserPage(services, ctx, admin, user.id, { said: 'link', passwordLink })
      }
      const act = Object.hasOwn(actions, action) ? actions[action] : undefined
      if (!act) return redirect(ctx, ctx.path)
      const { refused } = await attempt(() => act(services, user.id, admin))
      if (refused) return showUserPage(services, ctx, admin, user.id, { problem: refused.description })
      redirect(ctx, `${ctx.path}?done=${action}`)
    },
  })
