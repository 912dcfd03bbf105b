/** Storing a request that pages stand before, and who owns it. */
import type { Context } from 'koa'
import { visitOf } from '../../http/visit.ts'
import { type Browser, newBrowser } from '../../identity/browser.ts'
import { claimSignIn, newSignIn } from '../../identity/sign-in.ts'
import type { Services } from '../../services.ts'
import { GuardFailed, type Write } from '../../store/commit.ts'
import type { Client } from '../client/client.ts'
import { otherBrowser, type UnderWay } from './asked.ts'
import { askerOf } from './asker.ts'
import type { Step } from './next-step.ts'
import type { AuthorizationRequest } from './request.ts'
import { claimTransaction, newTransactionId, refuseTooMany, storeTransaction } from './transaction.ts'

type Needs = Pick<Services, 'store' | 'now' | 'cookies'>

/** The two records of a request under way. */
export type RequestIds = { transaction: string; signIn: string }

export type Beginning = {
  client: Client
  request: AuthorizationRequest
  step: Step
  /** Who is signed in, to be asked for again by name. */
  username?: string | undefined
}

/** The browser that a request belongs to; one seen for the first time is made, and gets its cookie afterwards. */
const ownerOf = ({ now, cookies }: Needs, ctx: Context, known: Browser | undefined) => {
  if (known) return { id: known.id, writes: [] as Write[], greet: () => undefined }
  const { browser, cookie, write } = newBrowser(now())
  return { id: browser.id, writes: [write], greet: () => cookies.set(ctx, cookie) }
}

/** Stores a request, tied to this browser. */
export const beginTransaction = async (
  services: Needs,
  ctx: Context,
  basePath: string,
  one: Beginning & { browser: Browser | undefined },
): Promise<RequestIds> => {
  const owner = ownerOf(services, ctx, one.browser)
  const ids = await storeRequest(services, ctx, basePath, one, owner)
  owner.greet()
  return ids
}

/**
 * Stores a request that was posted from another site. It carries no cookie (Lax) and must set none, or it would end the
 * session that is there: the browser that opens it first owns it.
 */
export const beginUnowned = (
  services: Needs,
  ctx: Context,
  basePath: string,
  one: Beginning,
): Promise<RequestIds> => storeRequest(services, ctx, basePath, one, { id: null, writes: [] })

const storeRequest = async (
  { store, now }: Needs,
  ctx: Context,
  basePath: string,
  { client, request, step, username }: Beginning,
  owner: { id: string | null; writes: Write[] },
): Promise<RequestIds> => {
  const visit = visitOf(ctx)
  await refuseTooMany(store, visit, now())
  const transaction = newTransactionId(now())
  const askAgain = step.kind === 'sign-in' && step.askAgain
  const hint = request.loginHint ?? (askAgain ? username : undefined)
  const signIn = newSignIn(
    {
      returnTo: `${basePath}/authorize/${transaction}`,
      askAgain,
      asker: askerOf(client),
      ...(hint === undefined ? {} : { loginHint: hint }),
      ...(request.uiLocales === undefined ? {} : { locale: request.uiLocales }),
    },
    owner.id,
    now(),
  )
  await store.commit([
    ...owner.writes,
    signIn.write,
    storeTransaction({ id: transaction, browserId: owner.id, signInId: signIn.id, request, visit }, now()),
  ])
  return { transaction, signIn: signIn.id }
}

/**
 * Makes sure that a stored request is opened in its own browser; one that came without a cookie is owned from now on.
 *
 * @throws Refusal `other_browser`
 */
export const claimUnderWay = async (
  services: Needs,
  ctx: Context,
  { transaction, standing }: Pick<UnderWay, 'transaction' | 'standing'>,
): Promise<void> => {
  if (transaction.browserId !== null) {
    if (standing.browser?.id === transaction.browserId) return
    throw otherBrowser('this request was not started in this browser')
  }
  const owner = ownerOf(services, ctx, standing.browser)
  try {
    await services.store.commit([
      claimTransaction(transaction.id, owner.id),
      claimSignIn(transaction.signInId, owner.id),
      ...owner.writes,
    ])
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    throw otherBrowser('this request was opened in another browser')
  }
  owner.greet()
}
