/** A page of ours needs somebody signed in: it is told who, or the browser goes through sign-in and comes back. */
import type { Context } from 'koa'
import { throttleAddress } from '../http/proxy.ts'
import { Refusal, tooManyRequests } from '../http/refusal.ts'
import { visitOf } from '../http/visit.ts'
import { type Browser, newBrowser, presentBrowser } from '../identity/browser.ts'
import { findSession, isAlive, type Session, touchSession } from '../identity/session.ts'
import { newSignIn, type SignInReason } from '../identity/sign-in.ts'
import { findUserById, type User } from '../identity/user.ts'
import type { Services } from '../services.ts'
import { seconds } from '../store/single-use.ts'
import { countFailure, readCount, type ThrottleRule } from '../throttle/throttle.ts'

/** What a page asks of a session beyond that it lives. In seconds. */
export type SessionRule = {
  /** How old the sign-in may be (step-up). */
  signedInWithin?: number
  /** How long the person may have been away. */
  idleTtl?: number
  /** Throws for somebody who may not see the page: before they are asked to sign in again, which would not help. */
  admits?: (user: User) => Promise<void>
}

/** Somebody who is signed in at the browser that asks. */
export type SignedInUser = { browser: Browser; session: Session; user: User }

export type SessionNeeds = Pick<Services, 'store' | 'cookies' | 'now'>

/** Each way to sign-in is a row for a day; nobody needs as many as this. */
const signInsByAddress: ThrottleRule = { name: 'page sign-in', window: 300, sliding: false, lockAt: 100 }

/**
 * Who is signed in at this browser; activity is written. What a form sent is dropped on the way through sign-in:
 * the page comes back fresh.
 *
 * @throws Refusal that leads to sign-in and back: nobody is signed in, or the rule wants the same person asked again
 */
export const requireSession = async (
  services: SessionNeeds,
  ctx: Context,
  basePath: string,
  rule: SessionRule = {},
): Promise<SignedInUser> => {
  const { store, now } = services
  const browser = await presentBrowser(services, ctx)
  const session = browser?.activeSessionId ? await findSession(store, browser.activeSessionId) : undefined
  const user = session && isAlive(session, now()) ? await findUserById(store, session.userId) : undefined
  if (!browser || !session || !user) throw await throughSignIn(services, ctx, basePath, browser, {})
  await rule.admits?.(user)
  if (!isFreshEnough(session, rule, now()))
    throw await throughSignIn(services, ctx, basePath, browser, { loginHint: session.username })
  const activity = touchSession(session, now())
  if (activity.length > 0) await store.commit(activity)
  return { browser, session, user }
}

/** The age of the session that is active counts, so that nobody else's sign-in can pass for its person's. */
const isFreshEnough = (session: Session, { signedInWithin, idleTtl }: SessionRule, now: Date): boolean =>
  (signedInWithin === undefined || seconds(now) - session.authTime <= signedInWithin) &&
  (idleTtl === undefined || seconds(now) - session.seenAt <= idleTtl)

/** @param known the person who is asked again; nobody is where sign-in is open to all */
const throughSignIn = async (
  { store, cookies, now }: SessionNeeds,
  ctx: Context,
  basePath: string,
  present: Browser | undefined,
  known: Pick<SignInReason, 'loginHint'>,
): Promise<Refusal> => {
  const address = throttleAddress(visitOf(ctx).ip)
  const { wait } = await readCount(store, signInsByAddress, address, now())
  if (wait > 0) throw tooManyRequests('too many sign-ins were begun from this address', wait)
  const fresh = present ? undefined : newBrowser(now())
  const returnTo = ctx.method === 'POST' ? ctx.path : `${ctx.path}${ctx.search}`
  const signIn = newSignIn(
    { returnTo, askAgain: known.loginHint !== undefined, ...known },
    present?.id ?? fresh?.browser.id ?? null,
    now(),
  )
  await store.commit([
    signIn.write,
    ...(fresh ? [fresh.write] : []),
    countFailure(signInsByAddress, address, now()),
  ])
  if (fresh) cookies.set(ctx, fresh.cookie)
  const location = `${basePath}/sign-in/${signIn.id}`
  return new Refusal('login_required', 'this page needs somebody signed in', 401, {
    wayBack: { answer: () => ({ location }) },
    reason: present === undefined ? 'no_browser' : known.loginHint === undefined ? 'no_session' : 'too_old',
  })
}
