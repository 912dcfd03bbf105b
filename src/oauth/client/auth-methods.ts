/** How a client proves who it is at an endpoint. One row a method (RFC 6749 section 2.3, RFC 7591 section 2). */
import type { Context } from 'koa'
import type { Params } from '../../http/params.ts'
import type { Services } from '../../services.ts'
import type { Client } from './client.ts'
import { readAssertion, verifyAssertion } from './client-assertion.ts'
import { readBasic, readPost, verifySecret } from './client-secret.ts'
import { readNone, verifyNone } from './no-secret.ts'

/** What a request presents by one method. */
export type Presented = {
  clientId: string
  /** Candidates: clients disagree on encoding. */
  secrets: readonly string[]
}

export type AuthMethod = {
  name: string
  /** What the request presents by this method, or undefined. */
  read: (ctx: Context, params: Params) => Presented | undefined
  /** To look at it costs a signature, and perhaps a request to the client: nobody does after too many failures. */
  isDear?: boolean
  /** Why it does not fit, for the audit, or undefined. The client is not told. */
  verify: (
    client: Client,
    presented: Presented,
    services: Pick<Services, 'store' | 'now' | 'log' | 'issuer' | 'clientKeys'>,
  ) => Promise<string | undefined>
}

/** In the order discovery lists them (contracts.md section 6). */
export const authMethods: readonly AuthMethod[] = [
  { name: 'client_secret_basic', read: readBasic, verify: verifySecret },
  { name: 'client_secret_post', read: readPost, verify: verifySecret },
  { name: 'private_key_jwt', read: readAssertion, isDear: true, verify: verifyAssertion },
  { name: 'none', read: readNone, verify: verifyNone },
]

/** Which methods a client may use: a secret comes either way, unless the metadata names one. */
export const isAllowedMethod = (client: Client, method: string): boolean => {
  const registered = client.metadata.token_endpoint_auth_method
  return registered === undefined
    ? method === 'client_secret_basic' || method === 'client_secret_post'
    : registered === method
}
