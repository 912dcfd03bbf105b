/** GET and POST /consent/:id — a person is asked what an app may have. */
import type { Context } from 'koa'
import { isLoopbackHost } from '../../config/addresses.ts'
import { redirect } from '../../http/redirect.ts'
import { Refusal } from '../../http/refusal.ts'
import type { Route } from '../../http/route.ts'
import { visitOf } from '../../http/visit.ts'
import { formTokenFor, readOwnForm } from '../../identity/browser.ts'
import type { Client } from '../client/client.ts'
import type { ResourceDirectory } from '../client/resource-server.ts'
import { accessDenied } from '../errors.ts'
import { giveConsent } from '../grant/consent.ts'
import { askerOf } from './asker.ts'
import { type Asked, type AuthorizeNeeds, respondOnce, situationOf } from './authorize.ts'
import { grantedScope, nextStep } from './next-step.ts'
import { ReplyTo } from './reply-to.ts'
import { type AuthorizeSettings, respondWithCode } from './respond.ts'
import { readStandingBrowser } from './standing-browser.ts'
import { openTransaction, takeTransaction } from './transaction.ts'

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
  consented: ReadonlySet<string>,
  resources: ResourceDirectory,
) =>
  scope
    .filter(name => name !== 'openid' || scope.length === 1)
    .map(name => {
      const resource = resources.ofScope(name)
      return { name, title: resource ? `${resource.name}: ${name}` : name, isNew: !consented.has(name) }
    })

/** The route of the page. */
export const consentRoute = (
  services: AuthorizeNeeds,
  settings: AuthorizeSettings,
  basePath: string,
): Route => {
  const { store, now, clients, audit, page, resources, issuer } = services

  /** The request that the page is about, where consent is what it waits for; otherwise where it goes on. */
  const find = async (ctx: Context): Promise<Asked & { client: Client }> => {
    const transaction = await openTransaction(store, ctx.path.slice(ctx.path.lastIndexOf('/') + 1), now())
    const client = await clients.find(transaction.request.clientId)
    if (!client || client.disabledAt !== null)
      throw new Refusal('invalid_client', 'the client is not known any more')
    const standing = await readStandingBrowser(services, ctx, client.id)
    if (!standing.browser || standing.browser.id !== transaction.browserId)
      throw new Refusal('other_browser', 'this request was not started in this browser', 400, {
        reason: 'foreign_browser',
      })
    const replyTo = ReplyTo.restore(transaction.request.replyTo, client, issuer)
    return { client, request: transaction.request, replyTo, standing, transaction }
  }

  const show = async (ctx: Context): Promise<void> => {
    const asked = await find(ctx)
    const { client, request, standing, transaction } = asked
    const { browser, person, consented } = standing
    if (
      !browser ||
      !person ||
      !transaction ||
      nextStep(request, situationOf(asked, now())).kind !== 'consent'
    )
      return redirect(ctx, `${basePath}/authorize/${transaction?.id ?? ''}`)
    const scope = grantedScope(
      request,
      { consented, consentedNow: true, isFirstParty: false },
      client.grantTypes.has('refresh_token'),
    )
    page(
      ctx,
      'consent',
      {
        action: ctx.path,
        formToken: formTokenFor(browser, ctx.path),
        client: { ...askerOf(client), ...destination(request.replyTo.redirectUri) },
        user: { username: person.username, name: person.name ?? undefined },
        scopes: shownScopes(scope, consented, resources),
        rememberedScopes: [...consented],
        switchUrl: `${basePath}/accounts/${transaction.signInId}`,
        offline: scope.includes('offline_access'),
      },
      { locale: request.uiLocales },
    )
  }

  const decide = async (ctx: Context): Promise<void> => {
    const { form } = await readOwnForm(services, ctx)
    const asked = await find(ctx)
    const { client, request, replyTo, standing, transaction } = asked
    const { person, consented } = standing
    if (!transaction || !person || nextStep(request, situationOf(asked, now())).kind !== 'consent')
      return redirect(ctx, `${basePath}/authorize/${transaction?.id ?? ''}`)
    const about = { visit: visitOf(ctx), clientId: client.id, userId: person.userId }
    const take = takeTransaction(transaction.id, now())
    const decision = form.get('decision')
    if (decision === 'deny') {
      await respondOnce(() => store.commit([take, audit.write({ event: 'consent.refused', ...about })]))
      throw accessDenied('the person did not allow it', { wayBack: replyTo })
    }
    if (decision !== 'allow') return show(ctx)
    const scope = grantedScope(
      request,
      { consented, consentedNow: true, isFirstParty: false },
      client.grantTypes.has('refresh_token'),
    )
    const remembered = [...new Set([...consented, ...scope])]
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
