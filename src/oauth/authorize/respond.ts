/** The answer of an authorization request that nothing stands before any more: an authorization and its code. */
import type { Context } from 'koa'
import { answerWithForm } from '../../http/answer-refusals.ts'
import { redirect } from '../../http/redirect.ts'
import type { RefusalAnswer } from '../../http/refusal.ts'
import { visitOf } from '../../http/visit.ts'
import { touchSession } from '../../identity/session.ts'
import type { Services } from '../../services.ts'
import type { Write } from '../../store/commit.ts'
import type { Client } from '../client/client.ts'
import { newAuthorization, type SignedIn } from '../grant/authorization.ts'
import { addSessionClient } from '../grant/session-clients.ts'
import { newCode } from './code.ts'
import type { ReplyTo } from './reply-to.ts'
import type { AuthorizationRequest } from './request.ts'
import type { SignedInPerson } from './standing-browser.ts'

export type AuthorizeSettings = { codeTtl: number; accessTokenTtl: number; refreshTtl: number }

type Needs = Pick<Services, 'store' | 'now' | 'audit' | 'page'>

export type Answerable = {
  client: Client
  request: AuthorizationRequest
  replyTo: ReplyTo
  person: SignedInPerson
  /** What is granted of what was asked. */
  scope: string[]
}

/**
 * An authorization to be and its code, for what a request asked for and is granted.
 *
 * @param ttl seconds that anything it gives can live
 */
export const newGrant = (
  {
    client,
    request,
    person,
    scope,
  }: Pick<Answerable, 'client' | 'request' | 'scope'> & { person: SignedIn & { userId: string } },
  { codeTtl, ttl }: { codeTtl: number; ttl: number },
  now: Date,
): { authorizationId: string; code: string; writes: [authorization: Write, code: Write] } => {
  const authorization = newAuthorization(
    {
      userId: person.userId,
      clientId: client.id,
      scope,
      dropped: [...request.scope.filter(name => !scope.includes(name)), ...request.ignoredScope],
      resources: request.resources,
      offline: scope.includes('offline_access'),
      signedIn: person,
      ttl,
    },
    now,
  )
  const code = newCode(
    {
      authorizationId: authorization.id,
      clientId: client.id,
      redirectUri: request.replyTo.redirectUri,
      codeChallenge: request.codeChallenge,
      nonce: request.nonce,
      ttl: codeTtl,
    },
    now,
  )
  return { authorizationId: authorization.id, code: code.code, writes: [authorization.write, code.write] }
}

/**
 * Answers with a code.
 *
 * @param guard what must still hold in the same commit: the transaction that is answered, a consent that is stored
 */
export const respondWithCode = async (
  { store, now, audit, page }: Needs,
  settings: AuthorizeSettings,
  ctx: Context,
  { client, request, replyTo, person, scope }: Answerable,
  guard: Write[] = [],
): Promise<void> => {
  const at = now()
  const canRefresh = client.grantTypes.has('refresh_token')
  const ttl = settings.codeTtl + (canRefresh ? settings.refreshTtl : 0) + settings.accessTokenTtl
  const granted = newGrant({ client, request, person, scope }, { codeTtl: settings.codeTtl, ttl }, at)
  const firstUse = [
    addSessionClient(person.sessionId, client.id, at),
    audit.write({
      event: 'authorization.granted',
      visit: visitOf(ctx),
      clientId: client.id,
      userId: person.userId,
      detail: { scope: scope.join(' '), session: person.sessionId },
    }),
  ]
  await store.commit([
    ...guard,
    ...granted.writes,
    ...(person.knowsClient ? [] : firstUse),
    ...touchSession({ id: person.sessionId, seenAt: person.seenAt }, at),
  ])
  answer(page, ctx, replyTo.send({ code: granted.code }), client.name)
}

/** Sends an answer the way its response mode has it. */
const answer = (page: Services['page'], ctx: Context, how: RefusalAnswer, appName: string): void => {
  if ('location' in how) redirect(ctx, how.location)
  else answerWithForm(ctx, page, how.form, appName)
}
