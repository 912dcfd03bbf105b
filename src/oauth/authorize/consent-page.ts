/** GET and POST /consent/:id — a person is asked what an app may have. */
import type { Context } from 'koa'
import { isLoopbackHost } from '../../config/addresses.ts'
import { redirect } from '../../http/redirect.ts'
import type { Route } from '../../http/route.ts'
import { visitOf } from '../../http/visit.ts'
import { formTokenFor, readOwnForm } from '../../identity/browser.ts'
import type { ResourceDirectory } from '../client/resource-server.ts'
import { accessDenied } from '../errors.ts'
import { giveConsent } from '../grant/consent.ts'
import { findUnderWay, otherBrowser, respondOnce, situationOf } from './asked.ts'
import { askerOf } from './asker.ts'
import type { AuthorizeNeeds } from './authorize.ts'
import { grantedScope, nextStep } from './next-step.ts'
import { type AuthorizeSettings, respondWithCode } from './respond.ts'
import { takeTransaction } from './transaction.ts'

/** Where the answer goes, in a person's words. */
const destination = (redirectUri: string): { redirectHost: string; isLocal: boolean } => {
  const url = new URL(redirectUri)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return { redirectHost: url.protocol.replace(':', ''), isLocal: true }
  return { redirectHost: url.host, isLocal: isLoopbackHost(url.hostname) }
}

/** The scopes as the page shows them; API scopes stand under the name of their API. */
export const shownScopes = (
  scope: readonly string[],
  consented: ReadonlySet<string> | undefined,
  resources: ResourceDirectory,
) =>
  scope
    .filter(name => name !== 'openid' || scope.length === 1)
    .map(name => {
      const resource = resources.ofScope(name)
      return {
        name,
        title: resource ? `${resource.name}: ${name}` : name,
        isNew: consented?.has(name) !== true,
      }
    })

/** The route of the page. */
export const consentRoute = (
  services: AuthorizeNeeds,
  settings: AuthorizeSettings,
  basePath: string,
): Route => {
  const { store, now, audit, page, resources } = services

  /** The request that the page is about, with the scopes it would grant; undefined where it waits for something else. */
  const find = async (ctx: Context) => {
    const underWay = await findUnderWay(services, ctx)
    const { client, request, standing, transaction } = underWay
    const { browser, person, consented } = standing
    if (!browser || browser.id !== transaction.browserId)
      throw otherBrowser('this request was not started in this browser')
    if (!person || nextStep(request, situationOf(underWay, now())).kind !== 'consent') return { transaction }
    const allowed = { consented, consentedNow: true, isFirstParty: false }
    const scope = grantedScope(request, allowed, client.grantTypes.has('refresh_token'))
    return { transaction, asking: { ...underWay, browser, person, consented, scope } }
  }

  const show = async (ctx: Context): Promise<void> => {
    const { transaction, asking } = await find(ctx)
    if (!asking) return redirect(ctx, `${basePath}/authorize/${transaction.id}`)
    const { client, request, browser, person, consented, scope } = asking
    page(
      ctx,
      'consent',
      {
        action: ctx.path,
        formToken: formTokenFor(browser, ctx.path),
        client: {
          ...askerOf(client),
          ...destination(request.replyTo.redirectUri),
          // Its name and links are its own words: nobody here has looked at them.
          registeredItself: client.registration !== undefined,
        },
        user: { username: person.username, name: person.name ?? undefined },
        scopes: shownScopes(scope, consented, resources),
        // What is new stands out only beside what is not.
        rememberedScopes: scope.every(name => consented?.has(name)) ? [] : [...(consented ?? [])],
        switchUrl: `${basePath}/accounts/${transaction.signInId}`,
        offline: scope.includes('offline_access'),
      },
      { locale: request.uiLocales },
    )
  }

  const decide = async (ctx: Context): Promise<void> => {
    const { form } = await readOwnForm(services, ctx)
    const { transaction, asking } = await find(ctx)
    if (!asking) return redirect(ctx, `${basePath}/authorize/${transaction.id}`)
    const { client, request, replyTo, person, consented, scope } = asking
    const about = { visit: visitOf(ctx), clientId: client.id, userId: person.userId }
    const take = takeTransaction(transaction.id, now())
    const decision = form.get('decision')
    if (decision === 'deny') {
      await respondOnce(() => store.commit([take, audit.write({ event: 'consent.refused', ...about })]))
      throw accessDenied('the person did not allow it', { wayBack: replyTo })
    }
    if (decision !== 'allow') return show(ctx)
    const remembered = [...new Set([...(consented ?? []), ...scope])]
    await respondOnce(() =>
      respondWithCode(services, settings, ctx, { client, request, replyTo, person, scope }, [
        take,
        giveConsent({ userId: person.userId, clientId: client.id, scope: remembered }, now()),
        audit.write({ event: 'consent.given', ...about, detail: { scope: scope.join(' ') } }),
      ]),
    )
  }

  return { path: '/consent/:id', kind: 'page', formMayLeave: true, handlers: { GET: show, POST: decide } }
}
