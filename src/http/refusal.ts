/** The one error class for what a client or person did wrong; everything else thrown is our bug. */

/** A way back to who asked, where a refusal may be told by redirect (RFC 6749 section 4.1.2.1). */
export type WayBack = { answer: (error: string, description: string) => RefusalAnswer }

/** What a way back makes of a refusal. */
export type RefusalAnswer = { location: string } | { form: { action: string; fields: [string, string][] } }

export type RefusalOptions = {
  headers?: Record<string, string>
  wayBack?: WayBack
  cause?: unknown
  /** For the page: the app that was on its way, and what else helps a person. */
  app?: { name: string; url?: string; linkKind?: 'sign-in' | 'home' }
  /** A short reason for logs, where `error` alone does not tell. */
  reason?: string
}

/**
 * Thrown where a rule is broken, answered in one place.
 *
 * @param error the specification's code, such as `invalid_grant`
 * @param description for the client's developer: what was wrong; never what would have been right for an attacker
 */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly error: string
  readonly description: string
  readonly status: number
  readonly options: RefusalOptions
  constructor(error: string, description: string, status = 400, options: RefusalOptions = {}) {
    super(`${error}: ${description}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.error = error
    this.description = description
    this.status = status
    this.options = options
  }
}

/** 404 for what is not there. */
export const notFound = (): Refusal => new Refusal('not_found', 'there is nothing at this address', 404)

/** 503 for what cannot be done now; the client may try again. */
export const temporarilyUnavailable = (description: string, retryAfter = 1, cause?: unknown): Refusal =>
  new Refusal('temporarily_unavailable', description, 503, {
    headers: { 'Retry-After': String(retryAfter) },
    cause,
  })

/** 429 with the seconds after which it may be tried again. */
export const tooManyRequests = (description: string, retryAfter: number): Refusal =>
  new Refusal('too_many_requests', description, 429, {
    headers: { 'Retry-After': String(Math.max(1, retryAfter)) },
  })
