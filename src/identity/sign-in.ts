/** Why a browser is at sign-in and where it goes next: a record, so that nothing in a URL or field can change it. */

import { Refusal, type RefusalOptions } from '../http/refusal.ts'
import type { Visit } from '../http/visit.ts'
import type { Services } from '../services.ts'
import { cleanOlder } from '../store/clean-up.ts'
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'
import { newTextKey } from '../store/text-key.ts'
import { type Browser, turnBrowser } from './browser.ts'
import {
  type Authenticated,
  cookieLife,
  isAlive,
  newSession,
  renewSession,
  sessionsOfBrowser,
} from './session.ts'

/** What sign-in is told; it knows nothing else of who sent the browser. */
export type SignInReason = {
  /** A path of ours, where the browser goes afterwards. */
  returnTo: string
  /** Ask for credentials though somebody is signed in. */
  askAgain: boolean
  wantedAcr?: string
  loginHint?: string
  /** `ui_locales`, or a language. */
  locale?: string
  /** For whom: an app's name and links, to be shown. */
  asker?: { name: string; uri?: string; policyUri?: string; tosUri?: string; startAgain?: string }
}

export type SignIn = {
  id: string
  browserId: string | null
  reason: SignInReason
  /** The session it ended in, if it did. */
  sessionId: string | null
  /** Whether credentials were asked for on the way, not just a session chosen. */
  authenticated: boolean
  expiresAt: number
}

/** As long as the transaction it may belong to. */
export const signInTtl = 1800

const inserting = insertion<{ id: string; browser_id: string | null; told: string; expires_at: number }>(
  'sign_in',
  ['id', 'browser_id', 'told', 'expires_at'],
)

type Row = Omit<SignIn, 'reason' | 'authenticated'> & { told: string; authenticated: number }
const reading = statement<{ id: string }, Row>('sign_in.read', (knex, { id }) =>
  knex('sign_in')
    .select({
      id: 'id',
      browserId: 'browser_id',
      told: 'told',
      sessionId: 'session_id',
      authenticated: 'authenticated',
      expiresAt: 'expires_at',
    })
    .where({ id }),
)
const completing = statement<{ id: string; session: string; authenticated: number }>(
  'sign_in.complete',
  (knex, { id, session, authenticated }) =>
    knex('sign_in').where({ id }).update({ session_id: session, authenticated }),
)
const claiming = statement<{ id: string; browser: string }>('sign_in.claim', (knex, { id, browser }) =>
  knex('sign_in').where({ id }).whereNull('browser_id').update({ browser_id: browser }),
)

/** A record of why a browser goes to sign in. Without a browser, the one that opens it first owns it. */
export const newSignIn = (
  reason: SignInReason,
  browserId: string | null,
  now: Date,
): { id: string; write: Write } => {
  const id = newTextKey(now)
  return {
    id,
    write: write(inserting, {
      id,
      browser_id: browserId,
      told: JSON.stringify(reason),
      expires_at: seconds(now) + signInTtl,
    }),
  }
}

/** The write by which the first browser that opens it owns it. */
export const claimSignIn = (id: string, browserId: string): Write =>
  write(claiming, { id, browser: browserId })

/** The write that says which session a sign-in ended in. */
export const completeSignIn = (id: string, sessionId: string, authenticated: boolean): Write =>
  write(completing, { id, session: sessionId, authenticated: authenticated ? 1 : 0 })

const reopening = statement<{ id: string }>('sign_in.reopen', (knex, { id }) =>
  knex('sign_in').where({ id }).update({ session_id: null, authenticated: 0 }),
)

/** The write after which a sign-in asks for credentials once more: somebody else is to sign in. */
export const reopenSignIn = (id: string): Write => write(reopening, { id })

export const findSignIn = async (store: Store, id: string): Promise<SignIn | undefined> => {
  const row = await store.one(reading, { id })
  return (
    row && { ...row, reason: JSON.parse(row.told) as SignInReason, authenticated: row.authenticated === 1 }
  )
}

/** For the error page: which app it was, and where it can be started again. */
export const appOf = ({ asker }: SignInReason): Pick<RefusalOptions, 'app'> =>
  asker === undefined
    ? {}
    : {
        app: {
          name: asker.name,
          ...(asker.startAgain
            ? { url: asker.startAgain, linkKind: 'sign-in' as const }
            : asker.uri
              ? { url: asker.uri, linkKind: 'home' as const }
              : {}),
        },
      }

/**
 * The sign-in that a page is about, when it belongs to this browser and has not ended.
 *
 * @throws Refusal `expired`, or `other_browser` when it was started in another one, or the cookie did not come
 */
export const openSignIn = async (
  store: Store,
  id: string,
  browser: Browser | undefined,
  now: Date,
): Promise<SignIn> => {
  const signIn = await findSignIn(store, id)
  if (!signIn) throw new Refusal('expired', 'there is no such sign-in, or it was left too long', 400)
  if (!browser || signIn.browserId !== browser.id)
    throw new Refusal('other_browser', 'this sign-in was not started in this browser', 400, {
      reason: 'foreign_browser',
      ...appOf(signIn.reason),
    })
  if (signIn.expiresAt <= seconds(now))
    throw new Refusal('expired', 'the sign-in was left for more than 30 minutes', 400, appOf(signIn.reason))
  return signIn
}

export type SessionSettings = { idleTtl: number; ttl: number; rememberTtl: number }

/**
 * Somebody has proved who they are: the writes that sign them in at a browser, and its new cookie. Whoever is
 * signed in there already stays so; the same person keeps the session, with a new `auth_time`.
 */
export const signInWrites = async (
  { store, now, audit }: Pick<Services, 'store' | 'now' | 'audit'>,
  settings: SessionSettings,
  person: Authenticated,
  { browser, visit, remember }: { browser: Browser; visit: Visit; remember: boolean },
): Promise<{ sessionId: string; cookie: string; maxAge?: number; writes: Write[] }> => {
  const remembered = remember && settings.rememberTtl > 0
  const ttl = remembered ? settings.rememberTtl : settings.ttl
  // Shorter than its life: one that cannot end by idleness is one whose person asked to stay signed in.
  const idleTtl = remembered ? settings.rememberTtl : Math.min(settings.idleTtl, settings.ttl - 1)
  const present = await sessionsOfBrowser(store, browser.id)
  const known = present.find(session => session.userId === person.userId && isAlive(session, now()))
  const session = known
    ? { id: known.id, write: renewSession(known, person, { now: now(), idleTtl, ttl }) }
    : newSession(person, { browserId: browser.id, visit, now: now(), idleTtl, ttl })
  const turned = turnBrowser(browser, session.id)
  const life = Math.max(cookieLife(present, now()) ?? 0, remembered ? settings.rememberTtl : 0)
  return {
    sessionId: session.id,
    cookie: turned.cookie,
    ...(life > 0 ? { maxAge: life } : {}),
    writes: [
      turned.write,
      session.write,
      audit.write({
        event: 'login.succeeded',
        visit,
        userId: person.userId,
        detail: { amr: person.amr, session: session.id, again: known !== undefined },
      }),
    ],
  }
}

/** Keep them for a day after their end: until then a page left open can still name its app. */
export const signInMemory = 86_400 + signInTtl
export const cleanSignIns = cleanOlder('sign_in')
