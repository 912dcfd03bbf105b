/** GET and POST /account/apps — the apps that somebody uses, what each may see, and taking it back. */
import type { Context } from 'koa'
import { Params } from '../http/params.ts'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { visitOf } from '../http/visit.ts'
import { formTokenFor, readOwnForm } from '../identity/browser.ts'
import { isAlive, type SessionLife } from '../identity/session.ts'
import { askerOf } from '../oauth/authorize/asker.ts'
import { shownScopes } from '../oauth/authorize/consent-page.ts'
import type { Client } from '../oauth/client/client.ts'
import { consentsOf, withdrawConsent } from '../oauth/grant/consent.ts'
import { dropSessionClient } from '../oauth/grant/session-clients.ts'
import { clientEndedWrites, tellApps } from '../oauth/logout/back-channel.ts'
import { openidScopes } from '../oauth/parameters/scope.ts'
import type { Services } from '../services.ts'
import { keyAt, seconds } from '../store/single-use.ts'
import { statement } from '../store/statement.ts'
import { requireSession } from './require-session.ts'

type ReadNeeds = Pick<Services, 'store' | 'now' | 'clients'>
type Needs = ReadNeeds & Pick<Services, 'issuer' | 'cookies' | 'audit' | 'page' | 'resources' | 'wakeOutbox'>

type Use = SessionLife & { clientId: string; firstAt: number }

const used = statement<{ user: string }, Use>('own-apps.used', (knex, { user }) =>
  knex('session')
    .join('session_client', 'session_client.session_id', 'session.id')
    .join('user', 'user.id', 'session.user_id')
    .select({
      clientId: 'session_client.client_id',
      firstAt: 'session_client.first_at',
      endedAt: 'session.ended_at',
      expiresAt: 'session.expires_at',
      seenAt: 'session.seen_at',
      idleTtl: 'session.idle_ttl',
      userDisabledAt: 'user.disabled_at',
    })
    .where({ 'session.user_id': user })
    .whereNull('session.ended_at'),
)

type Lasting = { id: string; clientId: string; authTime: number }

/** What outlives sessions. `offline = 1` stands as it is in the index. */
const lasting = statement<{ user: string; now: number }, Lasting>('own-apps.lasting', (knex, { user, now }) =>
  knex('authorization')
    .join('user', 'user.id', 'authorization.user_id')
    .leftJoin('consent', consent =>
      consent
        .on('consent.user_id', 'authorization.user_id')
        .andOn('consent.client_id', 'authorization.client_id'),
    )
    .select({
      id: 'authorization.id',
      clientId: 'authorization.client_id',
      authTime: 'authorization.auth_time',
    })
    .where({ 'authorization.user_id': user })
    .whereRaw('"authorization"."offline" = 1')
    .whereNull('authorization.revoked_at')
    .andWhere('authorization.expires_at', '>', now)
    .whereRaw('"authorization"."id" >= "user"."ended_before"')
    .whereRaw(`"authorization"."id" >= coalesce("consent"."ended_before", '')`),
)

export type OwnApp = {
  client: Client
  /** What it was allowed and this is remembered; undefined where it was never asked. */
  consented: string[] | undefined
  since: number
  /** How many live sessions it was used in. */
  sessions: number
  /** It may come back while the person is away. */
  lasting: boolean
}

/** The apps that a user has allowed something, uses now, or lets in while away. By name. */
export const ownAppsOf = async ({ store, now, clients }: ReadNeeds, userId: string): Promise<OwnApp[]> => {
  const [consents, uses, kept] = await Promise.all([
    consentsOf(store, userId),
    store.all(used, { user: userId }),
    store.all(lasting, { user: userId, now: seconds(now()) }),
  ])
  const live = uses.filter(use => isAlive(use, now()))
  const ids = new Set([...consents, ...live, ...kept].map(({ clientId }) => clientId))
  const apps = await Promise.all(
    [...ids].map(async (id): Promise<OwnApp[]> => {
      const client = await clients.find(id)
      // What was deleted has no access any more.
      if (!client) return []
      const consent = consents.find(({ clientId }) => clientId === id)
      const usedIn = live.filter(({ clientId }) => clientId === id)
      // The id of a client may be given again after it was deleted: what the former one had stays ended.
      const firstKey = keyAt(new Date(client.createdAt * 1000))
      const keptBy = kept.filter(one => one.clientId === id && one.id >= firstKey)
      if (!consent && usedIn.length === 0 && keptBy.length === 0) return []
      const times = [...usedIn.map(use => use.firstAt), ...keptBy.map(one => one.authTime)]
      return [
        {
          client,
          consented: consent?.scope.split(' ').filter(scope => scope !== ''),
          since: consent?.givenAt ?? Math.min(...times),
          sessions: usedIn.length,
          lasting: keptBy.length > 0,
        },
      ]
    }),
  )
  return apps.flat().sort((a, b) => a.client.name.localeCompare(b.client.name, 'en'))
}

/** Who is never asked may see whatever it asks for. */
const scopeOf = ({ client, consented, lasting }: OwnApp): readonly string[] =>
  consented ??
  (client.isFirstParty
    ? [...(client.scope ?? openidScopes)].filter(name => name !== 'offline_access' || lasting)
    : [])

/** The route. */
export const ownAppsRoute = (services: Needs, basePath: string): Route => {
  const { store, now, audit, page, resources } = services

  const show = async (ctx: Context): Promise<void> => {
    const { browser, user } = await requireSession(services, ctx, basePath)
    const apps = await ownAppsOf(services, user.id)
    page(ctx, 'own-apps', {
      action: ctx.path,
      formToken: formTokenFor(browser, ctx.path),
      user: { username: user.username },
      now: seconds(now()),
      done: Params.parse(ctx.querystring).get('done'),
      apps: apps.map(app => ({
        ...askerOf(app.client),
        id: app.client.id,
        isFirstParty: app.client.isFirstParty,
        scopes: shownScopes(scopeOf(app), new Set(), resources),
        since: app.since,
        sessions: app.sessions,
      })),
    })
  }

  const revoke = async (ctx: Context): Promise<void> => {
    const { form } = await readOwnForm(services, ctx)
    const { user } = await requireSession(services, ctx, basePath)
    const chosen = form.get('revoke')
    const app = (await ownAppsOf(services, user.id)).find(({ client }) => client.id === chosen)
    if (!app) return redirect(ctx, ctx.path)
    const { client } = app
    await store.commit([
      withdrawConsent(user.id, client.id, now()),
      dropSessionClient(user.id, client.id),
      audit.write({
        event: 'consent.withdrawn',
        visit: visitOf(ctx),
        clientId: client.id,
        userId: user.id,
      }),
      ...(await clientEndedWrites(services, client, user.id)),
    ])
    await tellApps(services)
    redirect(ctx, `${ctx.path}?done=one`)
  }

  return {
    path: '/account/apps',
    kind: 'page',
    isolated: true,
    handlers: { GET: show, POST: revoke },
  }
}
