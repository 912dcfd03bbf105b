/** GET / — what somebody sees who opens the issuer's address. */
import type { Route } from '../http/route.ts'
import { presentBrowser } from '../identity/browser.ts'
import { findSession, isAlive, touchSession } from '../identity/session.ts'
import { findUserById, hasAdministrator } from '../identity/user.ts'
import type { Services } from '../services.ts'

type Needs = Pick<Services, 'issuer' | 'store' | 'now' | 'page' | 'cookies'>

/** The route. */
export const homeRoute = (services: Needs, links: { account?: string; admin?: string }): Route => ({
  path: '/',
  kind: 'page',
  handlers: {
    GET: async ctx => {
      const browser = await presentBrowser(services, ctx)
      const session = browser?.activeSessionId
        ? await findSession(services.store, browser.activeSessionId)
        : undefined
      const isIn = session !== undefined && isAlive(session, services.now())
      const user = isIn ? await findUserById(services.store, session.userId) : undefined
      const activity = isIn ? touchSession(session, services.now()) : []
      if (activity.length > 0) await services.store.commit(activity)
      services.page(ctx, 'home', {
        issuer: services.issuer,
        user: user && { username: user.username, name: user.name ?? undefined },
        links: {
          discovery: `${services.issuer}/.well-known/openid-configuration`,
          account: links.account,
          admin: user?.role === 'admin' ? links.admin : undefined,
          setUp: user === undefined && !(await hasAdministrator(services.store)),
        },
      })
    },
  },
})
