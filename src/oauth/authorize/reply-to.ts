/** Where the answer of an authorization request may go. Only who matched the registered redirect URI has one. */
import type { Params } from '../../http/params.ts'
import type { RefusalAnswer, WayBack } from '../../http/refusal.ts'
import type { Client } from '../client/client.ts'
import { isRegisteredUri, nearestUri } from '../client/redirect-uri.ts'
import { invalidRequest } from '../errors.ts'
import { type AnswerFields, responseModes } from './response-modes.ts'

/** What is kept of it in a stored request. */
export type StoredReplyTo = { redirectUri: string; responseMode: string; state?: string }

export class ReplyTo implements WayBack {
  readonly #issuer: string
  readonly stored: StoredReplyTo

  private constructor(issuer: string, stored: StoredReplyTo) {
    this.#issuer = issuer
    this.stored = stored
  }

  /**
   * Matches the redirect URI of a request against the client's registered ones (RFC 9700 section 2.1).
   *
   * @throws Refusal `invalid_request` with no way back; its reason tells what was received and registered
   */
  static match(params: Params, client: Client, issuer: string): ReplyTo {
    const redirectUri = params.get('redirect_uri')
    if (redirectUri === undefined)
      throw invalidRequest('redirect_uri is missing', { reason: 'redirect_missing' })
    if (!isRegisteredUri(redirectUri, client.redirectUris, client.isNative)) {
      throw invalidRequest('redirect_uri is not registered for this client', { reason: 'redirect_mismatch' })
    }
    const mode = params.all('response_mode')[0]
    const states = params.all('state')
    return new ReplyTo(issuer, {
      redirectUri,
      responseMode: mode !== undefined && responseModes.has(mode) ? mode : 'query',
      ...(states.length === 1 && states[0] !== undefined ? { state: states[0] } : {}),
    })
  }

  /** From a request that was matched when it was stored, if its client still has the URI. */
  static restore(stored: StoredReplyTo, client: Client, issuer: string): ReplyTo {
    if (!isRegisteredUri(stored.redirectUri, client.redirectUris, client.isNative))
      throw invalidRequest('redirect_uri is no longer registered for this client', {
        reason: 'redirect_mismatch',
      })
    return new ReplyTo(issuer, stored)
  }

  /** The answer with these fields, `state` as it was sent, and `iss` (RFC 9207). */
  send(fields: AnswerFields): RefusalAnswer {
    const mode = responseModes.get(this.stored.responseMode)
    if (!mode) throw new Error(`no response mode ${this.stored.responseMode}`)
    return mode(this.stored.redirectUri, {
      ...fields,
      ...(this.stored.state === undefined ? {} : { state: this.stored.state }),
      iss: this.#issuer,
    })
  }

  answer(error: string, description: string): RefusalAnswer {
    return this.send({ error, error_description: description })
  }
}

/** For log and audit: what came, what is registered, and what comes nearest. */
export const mismatchDetail = (params: Params, client: Client): Record<string, unknown> => {
  const received = params.all('redirect_uri')[0] ?? ''
  return {
    received,
    registered: client.redirectUris.slice(0, 10),
    nearest: nearestUri(received, client.redirectUris),
  }
}
