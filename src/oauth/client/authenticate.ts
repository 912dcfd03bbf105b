/** Authenticating the client of a request, before anything of it is touched (RFC 6749 sections 2.3, 3.2.1). */
import type { Context } from 'koa'
import { limitReadingTo } from '../../http/cors.ts'
import { countHeader } from '../../http/headers.ts'
import type { Params } from '../../http/params.ts'
import { throttleAddress } from '../../http/proxy.ts'
import { tooManyRequests } from '../../http/refusal.ts'
import { visitOf } from '../../http/visit.ts'
import type { Services } from '../../services.ts'
import { countFailure, readCount, type ThrottleRule } from '../../throttle/throttle.ts'
import { invalidClient, invalidRequest } from '../errors.ts'
import { type AuthMethod, authMethods, isAllowedMethod, type Presented } from './auth-methods.ts'
import type { Client } from './client.ts'

type Needs = Pick<Services, 'store' | 'clients' | 'now' | 'audit' | 'log' | 'issuer' | 'clientKeys'>

/** Failed authentications of one client from one address (security-defaults.md, Other limits). */
const failureRule: ThrottleRule = { name: 'client-auth', window: 60, sliding: false, lockAt: 20 }

const longestClientId = 500

type Try = { method: AuthMethod; presented: Presented }

const readTries = (ctx: Context, params: Params): Try[] =>
  authMethods.flatMap(method => {
    const presented = method.read(ctx, params)
    return presented === undefined ? [] : [{ method, presented }]
  })

/** Basic with an empty password: a public client that knows no other way (relying-parties.md section 2.6). */
const asPublic = (one: Try): Try => {
  const none = authMethods.find(method => method.name === 'none')
  const isEmpty = one.presented.secrets.length > 0 && one.presented.secrets.every(secret => secret === '')
  return none && isEmpty
    ? { method: none, presented: { clientId: one.presented.clientId, secrets: [] } }
    : one
}

/**
 * The client that sent a request.
 *
 * @throws Refusal `invalid_client` 401 (unknown, wrong and not allowed say the same), `invalid_request` 400 for two
 *   methods at once or none, 429 after too many failures
 */
export const authenticateClient = async (services: Needs, ctx: Context, params: Params): Promise<Client> => {
  const { clients, store, now, audit } = services
  const triedHeader = ctx.req.headers.authorization !== undefined
  if (countHeader(ctx, 'authorization') > 1) throw invalidRequest('Authorization was sent more than once')
  const tries = readTries(ctx, params)
  // An Authorization header that is no Basic is a second way as well, whatever its scheme.
  const ways =
    tries.length + (triedHeader && !tries.some(one => one.method.name === 'client_secret_basic') ? 1 : 0)
  if (tries.length > 0 && ways > 1) throw invalidRequest('the client authenticates in more than one way')
  const [only] = tries
  if (!only) {
    if (triedHeader) throw invalidClient('the Authorization header cannot be read', true)
    throw invalidRequest('client_id is missing, and the client does not authenticate in any other way')
  }
  const { method, presented } = asPublic(only)
  const named = params.get('client_id')
  if (named !== undefined && named !== presented.clientId)
    throw invalidRequest('client_id names another client than the one that authenticates')
  const client =
    presented.clientId.length > longestClientId ? undefined : await clients.find(presented.clientId)
  if (client) limitReadingTo(ctx, client.origins)
  const subject = `${presented.clientId.slice(0, 100)} ${throttleAddress(visitOf(ctx).ip)}`
  const refuseMany = async (): Promise<void> => {
    const { wait } = await readCount(store, failureRule, subject, now())
    if (wait > 0) throw tooManyRequests('too many failed authentications of this client', wait)
  }
  if (method.isDear) await refuseMany()
  const reason = await failure(services, client, method, presented)
  // The right secret is never refused for the failures of others: it cannot be guessed (256 bits), and whoever shares
  // the client's address could lock it out.
  if (client && reason === undefined) return client
  await refuseMany()
  await store.commit([
    countFailure(failureRule, subject, now()),
    audit.write({
      event: 'client_auth.failed',
      visit: visitOf(ctx),
      clientId: presented.clientId,
      reason,
      detail: { method: method.name },
    }),
  ])
  throw invalidClient(
    'the client is not known, or did not authenticate as it is registered',
    triedHeader,
    reason,
  )
}

const failure = async (
  services: Needs,
  client: Client | undefined,
  method: AuthMethod,
  presented: Presented,
): Promise<string | undefined> => {
  if (!client) return 'unknown_client'
  if (client.disabledAt !== null) return 'disabled'
  if (!isAllowedMethod(client, method.name)) return 'method_not_registered'
  return method.verify(client, presented, services)
}
