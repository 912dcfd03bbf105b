/** What stands between an authorization request and its answer. Pure: everything it looks at is handed in. */
import type { AuthorizationRequest } from './request.ts'

/** Who is signed in, as far as the decision needs it. */
export type Present = { sessionId: string; sub: string; authTime: number }

export type Situation = {
  /** The live session that is active in this browser. */
  present: Present | undefined
  /** What this request's own sign-in ended in. */
  signIn: { sessionId: string; authenticated: boolean } | undefined
  /** The scopes that the person has allowed this client before; undefined where they were never asked. */
  consented: ReadonlySet<string> | undefined
  isFirstParty: boolean
  /** The browser has been here before. */
  isKnownBrowser: boolean
  /** Seconds. */
  now: number
}

export type Step =
  | { kind: 'sign-in'; askAgain: boolean }
  | { kind: 'choose-account' }
  | { kind: 'consent' }
  | { kind: 'wrong-person' }
  | { kind: 'respond' }

/** Scopes that the consent page need not be shown for by themselves. */
const neverAskedAlone = new Set(['offline_access'])

/**
 * Decides the next step. Credentials count as asked only when this request's own sign-in asked for them: comparing
 * times would let a sign-in of the same second pass for `prompt=login` (OIDC Core section 3.1.2.1).
 */
export const nextStep = (request: AuthorizationRequest, situation: Situation): Step => {
  const { present, signIn, now } = situation
  if (!present)
    return isChoice(request, situation) ? { kind: 'choose-account' } : { kind: 'sign-in', askAgain: false }
  const arrived = signIn?.sessionId === present.sessionId
  const askedNow = arrived && signIn.authenticated
  if (request.hintedSub !== undefined && request.hintedSub !== present.sub)
    return askedNow ? { kind: 'wrong-person' } : { kind: 'sign-in', askAgain: false }
  const tooOld =
    request.maxAge !== undefined && (request.maxAge === 0 || now - present.authTime > request.maxAge)
  if (request.prompt.includes('select_account') && !arrived) return { kind: 'choose-account' }
  if ((request.prompt.includes('login') || tooOld) && !askedNow) return { kind: 'sign-in', askAgain: true }
  if (situation.isFirstParty) return { kind: 'respond' }
  const { consented } = situation
  // A request for no scope at all still hands the app a person's authorization: it is asked for once.
  if (!consented || request.prompt.includes('consent')) return { kind: 'consent' }
  const missing = request.scope.some(scope => !consented.has(scope) && !neverAskedAlone.has(scope))
  return { kind: missing ? 'consent' : 'respond' }
}

/** Nobody is active, and yet somebody may be signed in here: the chooser knows, and leads on to sign-in if not. */
const isChoice = (
  { prompt, hintedSub }: AuthorizationRequest,
  { signIn, isKnownBrowser }: Situation,
): boolean => prompt.includes('select_account') && isKnownBrowser && !signIn && hintedSub === undefined

/**
 * The scopes that an answer grants. `offline_access` counts only where consent was shown now, is remembered for it,
 * or the app is first-party, and only for clients that can use a refresh token (OIDC Core section 11).
 */
export const grantedScope = (
  request: AuthorizationRequest,
  {
    consented,
    consentedNow = false,
    isFirstParty,
  }: Pick<Situation, 'consented' | 'isFirstParty'> & {
    /** The consent page is answered. */ consentedNow?: boolean
  },
  canRefresh: boolean,
): string[] =>
  request.scope.filter(
    scope =>
      scope !== 'offline_access' ||
      (canRefresh && (consentedNow || isFirstParty || consented?.has(scope) === true)),
  )
