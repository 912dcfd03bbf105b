/** One browser: a cookie `id ‖ secret` that owns requests under way, form tokens and sessions. */

import type { Context } from 'koa'
import { readFormBody } from '../http/body.ts'
import { formToken, isOwnOrigin, judgeFormToken } from '../http/csrf.ts'
import type { Params } from '../http/params.ts'
import { Refusal } from '../http/refusal.ts'
import { visitOf } from '../http/visit.ts'
import type { Services } from '../services.ts'
import { cleanUp } from '../store/clean-up.ts'
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { equalInConstantTime, handSecret, type PresentedSecret, readSecret } from '../store/secret.ts'
import { keyAt, seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'
import { newTextKey } from '../store/text-key.ts'

export type Browser = {
  id: string
  /** The secret in its cookie; what is stored is the hash. */
  secret: string
  secretHash: string
  activeSessionId: string | null
}

type BrowserNeeds = Pick<Services, 'store' | 'cookies'>

const reading = statement<{ id: string }, { secretHash: string; activeSessionId: string | null }>(
  'browser.read',
  (knex, { id }) =>
    knex('browser').select({ secretHash: 'secret_hash', activeSessionId: 'active_session_id' }).where({ id }),
)
const inserting = insertion<{
  id: string
  secret_hash: string
  active_session_id: string | null
  created_at: number
}>('browser', ['id', 'secret_hash', 'active_session_id', 'created_at'])
const turning = statement<{ id: string; old: string; hash: string; session: string | null }>(
  'browser.turn',
  (knex, { id, old, hash, session }) =>
    knex('browser').where({ id, secret_hash: old }).update({ secret_hash: hash, active_session_id: session }),
)
/** What the cookie claims; nothing is known yet about whether it is right. */
export const presentedCookie = (
  { cookies }: Pick<Services, 'cookies'>,
  ctx: Context,
): PresentedSecret | undefined => {
  const text = cookies.read(ctx)
  return text === undefined ? undefined : readSecret('browser', text)
}

/** The browser that sent this request; undefined when it has no cookie of ours, or a wrong one. */
export const presentBrowser = async (services: BrowserNeeds, ctx: Context): Promise<Browser | undefined> => {
  const presented = presentedCookie(services, ctx)
  if (!presented) return undefined
  const row = await services.store.one(reading, { id: presented.id })
  if (!row || !equalInConstantTime(row.secretHash, presented.hash)) return undefined
  return { id: presented.id, secret: presented.secret, ...row }
}

/** The browser that sent this request, or a new one, which has its cookie from this answer on. */
export const presentOrNewBrowser = async (
  services: BrowserNeeds & Pick<Services, 'now'>,
  ctx: Context,
): Promise<Browser> => {
  const known = await presentBrowser(services, ctx)
  if (known) return known
  const { browser, cookie, write } = newBrowser(services.now())
  await services.store.commit([write])
  services.cookies.set(ctx, cookie)
  return browser
}

/** The same browser as it is stored now: another answer may have changed its secret meanwhile. */
export const readAgain = async (store: Store, browser: Browser): Promise<Browser | undefined> => {
  const row = await store.one(reading, { id: browser.id })
  return row && { ...browser, ...row }
}

/** A browser seen for the first time. Its cookie must be set once the write is committed. */
export const newBrowser = (
  now: Date,
  activeSessionId: string | null = null,
): { browser: Browser; cookie: string; write: Write } => {
  const id = newTextKey(now)
  const { text, hash } = handSecret('browser', id)
  return {
    browser: { id, secret: text.slice(-52), secretHash: hash, activeSessionId },
    cookie: text,
    write: write(inserting, {
      id,
      secret_hash: hash,
      active_session_id: activeSessionId,
      created_at: seconds(now),
    }),
  }
}

/**
 * A new secret for the cookie, at every sign-in, elevation, change of account and sign-out: a cookie planted before is
 * worth nothing after, and a form made for one person is stale for the next. The write is a guard: refused when the secret was changed meanwhile.
 */
export const turnBrowser = (
  browser: Browser,
  activeSessionId: string | null,
): { cookie: string; write: Write } => {
  const { text, hash } = handSecret('browser', browser.id)
  return {
    cookie: text,
    write: write(turning, { id: browser.id, old: browser.secretHash, hash, session: activeSessionId }),
  }
}

/** The token of a form on the page at `path` (with the issuer's path in front). */
export const formTokenFor = (browser: Browser, path: string): string => formToken(browser, path)

/** The form was handed out to this browser before its secret changed: the page is shown again, and the request goes on. */
const staleForm = (continueAt: string): Refusal =>
  new Refusal('expired', 'the form is older than the last sign-in', 403, {
    wayBack: { answer: () => ({ location: continueAt }) },
  })

/** Reads a form of ours, when it came from our own page in this browser: `checkOwnForm` says what may be thrown. */
export const readOwnForm = async (
  services: FormNeeds,
  ctx: Context,
  continueAt?: string,
): Promise<{ form: Params; browser: Browser }> => {
  const form = await readFormBody(ctx)
  return { form, browser: await checkOwnForm(services, ctx, form, continueAt) }
}

type FormNeeds = Pick<Services, 'store' | 'cookies' | 'audit' | 'issuer'>

/**
 * Checks that a form came from our own page in this browser.
 *
 * @param continueAt where a form that is only stale leads; the page itself by default
 * @throws Refusal `csrf` 403, audited
 */
export const checkOwnForm = async (
  services: FormNeeds,
  ctx: Context,
  form: Params,
  continueAt: string = ctx.path,
): Promise<Browser> => {
  const refuse = async (reason: string, description: string): Promise<never> => {
    await services.audit.record({ event: 'csrf.rejected', visit: visitOf(ctx), reason })
    throw new Refusal('csrf', description, 403, { reason })
  }
  if (!isOwnOrigin(ctx, new URL(services.issuer).origin))
    return refuse('foreign_origin', 'the form was sent from another site')
  const browser = await presentBrowser(services, ctx)
  if (!browser)
    return refuse('no_browser', 'the form came without our cookie: cookies must be allowed for this site')
  const verdict = judgeFormToken(form.get('form_token'), browser, ctx.path)
  if (verdict === 'stale') throw staleForm(continueAt)
  if (verdict === 'foreign') return refuse('form_token', 'the form does not belong to this browser')
  return browser
}

/** Deletes browsers first seen long ago at which nobody is or was signed in. */
export const cleanBrowsers = cleanUp(
  'browser',
  'id',
  (rows, before) =>
    rows
      .leftJoin('session', 'session.browser_id', 'browser.id')
      .where('browser.id', '<', before)
      .whereNull('session.id'),
  keyAt,
)
