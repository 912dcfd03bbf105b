// @ts-check
import { randomBytes } from 'node:crypto'

/** @typedef {{ signedIn: import('./provider.js').SignedIn, endsAt: number, renewing?: Promise<unknown> }} Session */

const lifetime = 8 * 60 * 60 * 1000

/** Who is signed in, by the random value of a cookie. In memory: with several processes, a table. */
export class Sessions {
  /** @type {Map<string, Session>} */
  #sessions = new Map()

  constructor() {
    setInterval(() => {
      for (const [id, { endsAt }] of this.#sessions) if (endsAt < Date.now()) this.#sessions.delete(id)
    }, 60_000).unref()
  }

  /** Always under a new id: one that was there before the sign-in may be known to somebody else. */
  open(/** @type {import('./provider.js').SignedIn} */ signedIn) {
    const id = randomBytes(32).toString('base64url')
    this.#sessions.set(id, { signedIn, endsAt: Date.now() + lifetime })
    return id
  }

  /** @param {string | undefined} id */
  find(id) {
    const session = this.#sessions.get(id ?? '')
    return session && session.endsAt > Date.now() ? session : undefined
  }

  /** @param {string | undefined} id */
  close(id) {
    this.#sessions.delete(id ?? '')
  }

  /** Ends what a logout token names. @param {{ sid?: string, sub?: string }} ended */
  closeNamed({ sid, sub }) {
    for (const [id, { signedIn }] of this.#sessions) {
      if ((sid ?? signedIn.sid) === signedIn.sid && (sub ?? signedIn.sub) === signedIn.sub) this.close(id)
    }
  }

  /** For the demo's start page. */
  list() {
    return [...this.#sessions.values()].map(({ signedIn: { username, sid } }) => ({ username, sid }))
  }
}
