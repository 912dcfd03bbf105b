/** An authorization request as it comes in: client, then redirect URI, then everything else (RFC 6749 section 4.1.2.1). */
import type { Context } from 'koa'
import type { Params } from '../../http/params.ts'
import { Refusal, type RefusalOptions } from '../../http/refusal.ts'
import { visitOf } from '../../http/visit.ts'
import type { Services } from '../../services.ts'
import type { Client } from '../client/client.ts'
import { mismatchDetail, ReplyTo } from './reply-to.ts'
import { type AuthorizationRequest, parseAuthorizationRequest } from './request.ts'

type Needs = Pick<Services, 'issuer' | 'keys' | 'clients' | 'resources' | 'audit' | 'log'>

/** RFC 6749 appendix A.1, and a length that ids of metadata documents keep within. */
const clientIdForm = /^[\x20-\x7e]{1,500}$/

/**
 * Reads a request. Until the redirect URI is matched a refusal stays on our page; after that it goes back to the app.
 *
 * @throws Refusal, audited as `authorize.rejected`
 */
export const readIncoming = async (
  services: Needs,
  ctx: Context,
  params: Params,
): Promise<{ client: Client; request: AuthorizationRequest; replyTo: ReplyTo }> => {
  let client: Client | undefined
  let replyTo: ReplyTo | undefined
  try {
    client = await findClient(services, params)
    replyTo = ReplyTo.match(params, client, services.issuer)
    return { client, replyTo, request: parseAuthorizationRequest(services, params, client, replyTo) }
  } catch (error) {
    if (!(error instanceof Refusal) || error.status >= 500) throw error
    await report(services, ctx, params, client, error)
    throw withWayBack(error, client, replyTo)
  }
}

const findClient = async ({ clients }: Needs, params: Params): Promise<Client> => {
  const clientId = params.need('client_id')
  const client = clientIdForm.test(clientId) ? await clients.find(clientId) : undefined
  if (!client || client.disabledAt !== null)
    throw new Refusal('invalid_client', 'client_id names no client of this server')
  return client
}

/** Received against registered, for the app's developer: in the audit (`lintel audit list`) and in the log. */
const report = async (
  { audit, log }: Needs,
  ctx: Context,
  params: Params,
  client: Client | undefined,
  refusal: Refusal,
): Promise<void> => {
  const reason = refusal.options.reason ?? refusal.error
  const detail = {
    error: refusal.error,
    description: refusal.description,
    ...(client && reason.startsWith('redirect_') ? mismatchDetail(params, client) : {}),
  }
  // A NUL could not be stored, and the event would be lost.
  const clientId = client?.id ?? params.all('client_id')[0]?.replaceAll('\0', '\u2400')
  await audit.record({ event: 'authorize.rejected', visit: visitOf(ctx), clientId, reason, detail })
  log.warn('authorize.rejected', {
    request_id: visitOf(ctx).requestId,
    client_id: clientId,
    reason,
    detail: JSON.stringify(detail),
  })
}

const withWayBack = (refusal: Refusal, client: Client | undefined, replyTo: ReplyTo | undefined): Refusal => {
  const options: RefusalOptions = {
    ...refusal.options,
    ...(replyTo ? { wayBack: replyTo } : {}),
    ...(client
      ? {
          app: {
            name: client.name,
            ...(client.metadata.client_uri
              ? { url: client.metadata.client_uri, linkKind: 'home' as const }
              : {}),
          },
        }
      : {}),
  }
  return new Refusal(refusal.error, refusal.description, refusal.status, options)
}
