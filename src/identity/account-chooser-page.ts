/** GET and POST /accounts/:id — which of the people signed in at this browser goes on. */
import type { Context } from 'koa'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import type { Services } from '../services.ts'
import { GuardFailed } from '../store/commit.ts'
import { formTokenFor, presentBrowser, readOwnForm, turnBrowser } from './browser.ts'
import { cookieLife, isAlive, sessionsOfBrowser } from './session.ts'
import { completeSignIn, openSignIn, reopenSignIn } from './sign-in.ts'

type Needs = Pick<Services, 'store' | 'cookies' | 'now' | 'audit' | 'page' | 'issuer'>

const idIn = (ctx: Context): string => ctx.path.slice(ctx.path.lastIndexOf('/') + 1)

/** The route of the page. */
export const accountChooserRoute = (services: Needs, basePath: string): Route => {
  const { store, cookies, now, page } = services
  const aliveAt = async (browserId: string) =>
    (await sessionsOfBrowser(store, browserId)).filter(one => isAlive(one, now()))
  return {
    path: '/accounts/:id',
    kind: 'page',
    formMayLeave: true,
    handlers: {
      GET: async ctx => {
        const browser = await presentBrowser(services, ctx)
        const signIn = await openSignIn(store, idIn(ctx), browser, now())
        if (!browser) return
        const accounts = await aliveAt(browser.id)
        if (accounts.length === 0) return redirect(ctx, `${basePath}/sign-in/${signIn.id}`)
        page(
          ctx,
          'account-chooser',
          {
            action: ctx.path,
            formToken: formTokenFor(browser, ctx.path),
            asker: signIn.reason.asker,
            accounts: accounts.map(({ id, username }) => ({ value: id, username })),
          },
          { locale: signIn.reason.locale },
        )
      },
      POST: async ctx => {
        const { form, browser } = await readOwnForm(services, ctx)
        const signIn = await openSignIn(store, idIn(ctx), browser, now())
        const account = form.get('account')
        const accounts = await aliveAt(browser.id)
        const chosen = accounts.find(session => session.id === account)
        if (!chosen) {
          // Its page would go on at once with whoever has signed in by it already.
          await store.commit([reopenSignIn(signIn.id)])
          return redirect(ctx, `${basePath}/sign-in/${signIn.id}`)
        }
        const turned = turnBrowser(browser, chosen.id)
        try {
          await store.commit([turned.write, completeSignIn(signIn.id, chosen.id, false)])
        } catch (error) {
          // The same form was sent twice at once: the other one has chosen, and its answer sets the cookie.
          if (error instanceof GuardFailed) return redirect(ctx, signIn.reason.returnTo)
          throw error
        }
        cookies.set(ctx, turned.cookie, cookieLife(accounts, now()))
        redirect(ctx, signIn.reason.returnTo)
      },
    },
  }
}
