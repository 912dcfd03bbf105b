/** Metadata that a client sends of itself, parsed once; who sends too much that cannot be registered must wait. */
import type { Context } from 'koa'
import { readJsonBody } from '../http/body.ts'
import { throttleAddress } from '../http/proxy.ts'
import { Refusal, tooManyRequests } from '../http/refusal.ts'
import { visitOf } from '../http/visit.ts'
import type { Services } from '../services.ts'
import { countFailure, readCount, type ThrottleRule } from '../throttle/throttle.ts'
import type { Client } from './client/client.ts'
import { type ClientMetadata, parseClientMetadata } from './client/client-metadata.ts'
import type { ReadStatement } from './client/software-statement.ts'
import { invalidClientMetadata } from './errors.ts'
import { offeredBy } from './offered.ts'
import { openidScopes } from './parameters/scope.ts'

/** What a client that registers itself may be. */
export type RegistrationSettings = {
  mode: 'off' | 'token' | 'open'
  /** Scopes of APIs, besides the OpenID ones. */
  scopes: readonly string[]
  profile: 'oauth21' | 'oidc'
  perHour: number
  trustedIssuers: readonly string[]
}

export type RegistrationNeeds = Pick<
  Services,
  'store' | 'now' | 'audit' | 'keys' | 'issuer' | 'fetch' | 'log' | 'metrics'
>

/** A client of a person's: whatever acts by itself is the operator's to register (SEC-142). */
const dynamicGrants = ['authorization_code', 'refresh_token']

/** Each refusal is a row of the audit, which strangers must not fill. */
const refusedRule: ThrottleRule = { name: 'registration refused', window: 3600, sliding: false, lockAt: 60 }

/** @throws Refusal 429 */
export const refuseNoisy = async ({ store, now }: RegistrationNeeds, ctx: Context): Promise<void> => {
  const { wait } = await readCount(store, refusedRule, throttleAddress(visitOf(ctx).ip), now())
  if (wait > 0) throw tooManyRequests('too many refused registrations from this address', wait)
}

/** @throws Refusal `invalid_request`, `invalid_client_metadata` */
export const readObject = async (ctx: Context): Promise<Record<string, unknown>> => {
  const body = await readJsonBody(ctx)
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw invalidClientMetadata('the body must be a JSON object')
  return { ...body }
}

export type RegistrationRequest = { metadata: ClientMetadata; softwareStatement: string | undefined }

/**
 * What a body asks for. What a software statement says wins over what stands beside it (RFC 7591 section 2.3).
 *
 * @param present the client as it is, when it changes itself: what the operator gave it, it may keep
 */
export const parseRegistration = async (
  services: RegistrationNeeds,
  settings: RegistrationSettings,
  readStatement: ReadStatement | undefined,
  { body, present }: { body: Record<string, unknown>; present?: Client },
): Promise<RegistrationRequest> => {
  const { software_statement: statement, ...own } = body
  const vouched = statement === undefined || !readStatement ? undefined : await readStatement(statement)
  const offered = offeredBy(services)
  const metadata = parseClientMetadata({ ...own, ...vouched }, 'dynamic', {
    ...offered,
    grantTypes: offered.grantTypes.filter(
      name => dynamicGrants.includes(name) || present?.grantTypes.has(name) === true,
    ),
    scopes: [...openidScopes, ...settings.scopes, ...(present?.scope ?? [])],
  })
  return { metadata, softwareStatement: vouched ? String(statement) : undefined }
}

/** Tells the audit of what was refused (SEC-008), and counts it. */
export const auditingRefusal = async <T>(
  { store, audit, now, metrics }: RegistrationNeeds,
  ctx: Context,
  clientId: string | undefined,
  run: () => Promise<T>,
): Promise<T> => {
  try {
    return await run()
  } catch (error) {
    if (error instanceof Refusal && error.status === 400) {
      const visit = visitOf(ctx)
      const detail = { by: clientId ?? 'registration', description: error.description }
      await store.commit([
        countFailure(refusedRule, throttleAddress(visit.ip), now()),
        audit.write({ event: 'client.rejected', visit, clientId, reason: error.error, detail }),
      ])
      metrics.count('lintel_registrations_total', { outcome: 'refused' })
    }
    throw error
  }
}
