// @ts-check
import { randomBytes } from 'node:crypto'

/**
 * A sign-in that was begun and has not come back yet.
 * @typedef {{ state: string, nonce: string, codeVerifier: string, silent: boolean }} Attempt
 *
 * Somebody who is signed in.
 * @typedef {object} SignedIn
 * @property {string} sub who, for the provider: never changes, unlike name and e-mail address
 * @property {string} [sid] the session at the provider, the same in every app
 * @property {Record<string, unknown>} claims what the ID token says
 * @property {string} idToken
 * @property {string} accessToken
 * @property {string} [refreshToken]
 *
 * What this app knows about one browser.
 * @typedef {object} Session
 * @property {string} id
 * @property {number} endsAt
 * @property {Attempt[]} attempts
 * @property {SignedIn} [signedIn]
 * @property {string} [notice] said once, on the next page
 * @property {string} [signOutState]
 */

const lifetime = 8 * 60 * 60 * 1000

/** Sessions in memory. With several processes, or to survive a restart, this is a table in a database. */
export class Sessions {
  /** @type {Map<string, Session>} */
  #sessions = new Map()

  constructor() {
    setInterval(() => this.#end(session => session.endsAt < Date.now()), 60_000).unref()
  }

  open() {
    const id = randomBytes(32).toString('base64url')
    /** @type {Session} */
    const session = { id, endsAt: Date.now() + lifetime, attempts: [] }
    this.#sessions.set(id, session)
    return session
  }

  /** @param {string | undefined} id */
  find(id) {
    const session = this.#sessions.get(id ?? '')
    return session && session.endsAt > Date.now() ? session : undefined
  }

  /** @param {Session | undefined} session */
  close(session) {
    if (session) this.#sessions.delete(session.id)
  }

  /**
   * Ends what a logout token names: one session at the provider, or all of a person's.
   * @param {{ sid?: string, sub?: string }} logout
   */
  closeNamed({ sid, sub }) {
    this.#end(
      ({ signedIn }) =>
        signedIn !== undefined &&
        (sid === undefined || signedIn.sid === sid) &&
        (sub === undefined || signedIn.sub === sub),
    )
  }

  /** Who is signed in, by name and session at the provider. */
  list() {
    return [...this.#sessions.values()].flatMap(({ signedIn }) =>
      signedIn ? { username: signedIn.claims.preferred_username ?? signedIn.sub, sid: signedIn.sid } : [],
    )
  }

  /** @param {(session: Session) => boolean} condition */
  #end(condition) {
    for (const session of this.#sessions.values()) if (condition(session)) this.close(session)
  }
}
