/** POST /register (RFC 7591, OpenID Connect Dynamic Client Registration 1.0): an app registers itself. */
import type { Context } from 'koa'
import { throttleAddress } from '../http/proxy.ts'
import { tooManyRequests } from '../http/refusal.ts'
import type { Route } from '../http/route.ts'
import { visitOf } from '../http/visit.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { countFailure, readCount } from '../throttle/throttle.ts'
import { readBearer } from './bearer.ts'
import { newClient, readClient } from './client/client.ts'
import { findInitialAccessToken } from './client/initial-access-token.ts'
import { countUnusedRegistrations, newRegistration } from './client/registration.ts'
import { makeStatementReader, type ReadStatement } from './client/software-statement.ts'
import { invalidToken } from './errors.ts'
import { manageRegistrationRoute } from './manage-registration.ts'
import { answerRegistration, registrationPath } from './registration-answer.ts'
import {
  auditingRefusal,
  parseRegistration,
  type RegistrationNeeds,
  type RegistrationSettings,
  readObject,
  refuseNoisy,
} from './registration-request.ts'

/** So many may wait for their first use, where everybody may register: the clean-up makes room. */
const mostUnused = 1000

const usedToken = 'the initial access token is not known, was used or has expired'

/** What lets somebody register: an initial access token, which they may have where registration is open as well. */
const readInvitation = async (
  { store, now }: RegistrationNeeds,
  { mode }: RegistrationSettings,
  ctx: Context,
): Promise<{ take: Write } | undefined> => {
  if (mode === 'open' && ctx.req.headers.authorization === undefined) return undefined
  const found = await findInitialAccessToken(store, await readBearer(ctx), now())
  if (!found) throw invalidToken(usedToken)
  return found
}

/** Counts first and looks then: of many at once none gets past the limit unseen. */
const refuseCrowd = async (
  { store, now }: RegistrationNeeds,
  { perHour }: RegistrationSettings,
  ctx: Context,
): Promise<void> => {
  const rule = { name: 'registration', window: 3600, sliding: false, lockAt: perHour + 1 }
  const subject = throttleAddress(visitOf(ctx).ip)
  await store.commit([countFailure(rule, subject, now())])
  const { wait } = await readCount(store, rule, subject, now())
  if (wait > 0) throw tooManyRequests('too many registrations from this address', wait)
  if ((await countUnusedRegistrations(store)) >= mostUnused)
    throw tooManyRequests('too many registered clients wait for their first use', 3600)
}

const register = async (
  services: RegistrationNeeds,
  settings: RegistrationSettings,
  readStatement: ReadStatement | undefined,
  ctx: Context,
): Promise<void> => {
  const { store, now, audit, metrics } = services
  const invitation = await readInvitation(services, settings, ctx)
  if (!invitation) await refuseNoisy(services, ctx)
  const { metadata, softwareStatement } = await auditingRefusal(services, ctx, undefined, async () =>
    parseRegistration(services, settings, readStatement, { body: await readObject(ctx) }),
  )
  if (!invitation) await refuseCrowd(services, settings, ctx)
  const made = newClient({ ...metadata, profile: settings.profile }, { now: now() })
  const registration = newRegistration(made.id, softwareStatement, now())
  try {
    await store.commit([
      ...(invitation ? [invitation.take] : []),
      ...made.writes,
      registration.write,
      audit.write({
        event: 'client.created',
        visit: visitOf(ctx),
        clientId: made.id,
        detail: { by: invitation ? 'initial_access_token' : 'open_registration', name: metadata.client_name },
      }),
    ])
  } catch (error) {
    // Of several with the same token exactly one gets past the guard.
    if (error instanceof GuardFailed) throw invalidToken(usedToken)
    throw error
  }
  metrics.count('lintel_registrations_total', { outcome: 'created' })
  const client = await readClient(store, made.id)
  if (!client) throw invalidToken('the client was deleted meanwhile')
  ctx.status = 201
  answerRegistration(services, ctx, {
    client,
    token: registration.token,
    secret: made.secret,
    softwareStatement,
  })
}

/** The routes; none, where registration is off. */
export const registerRoutes = (services: RegistrationNeeds, settings: RegistrationSettings): Route[] => {
  if (settings.mode === 'off') return []
  const readStatement = makeStatementReader(services, settings.trustedIssuers)
  return [
    {
      path: registrationPath,
      kind: 'endpoint',
      cors: 'client',
      discovery: 'registration_endpoint',
      handlers: { POST: ctx => register(services, settings, readStatement, ctx) },
    },
    manageRegistrationRoute(services, settings, readStatement),
  ]
}
