/** An authorization request with everything that its next step is decided on. */
import type { Context } from 'koa'
import { Refusal } from '../../http/refusal.ts'
import type { Services } from '../../services.ts'
import { GuardFailed } from '../../store/commit.ts'
import { seconds } from '../../store/single-use.ts'
import type { Client } from '../client/client.ts'
import type { Situation } from './next-step.ts'
import { ReplyTo } from './reply-to.ts'
import type { AuthorizationRequest } from './request.ts'
import { readStandingBrowser, type StandingBrowser } from './standing-browser.ts'
import { openTransaction, type Transaction } from './transaction.ts'

export type Asked = {
  client: Client
  request: AuthorizationRequest
  replyTo: ReplyTo
  standing: StandingBrowser
  /** The stored request; undefined while it need not be stored. */
  transaction: Transaction | undefined
}

/** A request that was stored and is on its way through the pages. */
export type UnderWay = Asked & { transaction: Transaction }

type Needs = Pick<Services, 'store' | 'clients' | 'now' | 'cookies' | 'issuer'>

/**
 * The stored request whose id ends the path. Whose browser it is, the caller looks at.
 *
 * @throws Refusal for what was answered or left too long, or whose client is gone
 */
export const findUnderWay = async (services: Needs, ctx: Context): Promise<UnderWay> => {
  const id = ctx.path.slice(ctx.path.lastIndexOf('/') + 1)
  const transaction = await openTransaction(services.store, id, services.now())
  const { request } = transaction
  const client = await services.clients.find(request.clientId)
  if (!client || client.disabledAt !== null)
    throw new Refusal('invalid_client', 'the client is not known any more')
  const standing = await readStandingBrowser(services, ctx, client.id)
  const replyTo = ReplyTo.restore(request.replyTo, client, services.issuer)
  return { client, request, replyTo, standing, transaction }
}

/** A request is seen only in the browser that it was started in. */
export const otherBrowser = (description: string): Refusal =>
  new Refusal('other_browser', description, 400, { reason: 'foreign_browser' })

/** What the decision looks at, taken from what was read. */
export const situationOf = (
  { client, standing, transaction }: Omit<Asked, 'replyTo' | 'request'>,
  now: Date,
): Situation => ({
  present: standing.person,
  signIn: transaction?.signIn,
  consented: standing.consented,
  isFirstParty: client.isFirstParty,
  isKnownBrowser: standing.browser !== undefined,
  now: seconds(now),
})

/** @throws Refusal `finished` when the same request was answered meanwhile, in another tab say */
export const respondOnce = async (respond: () => Promise<void>): Promise<void> => {
  try {
    await respond()
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    throw new Refusal('finished', 'this request was answered already', 400, { cause: error })
  }
}
