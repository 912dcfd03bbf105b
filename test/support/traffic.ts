/** People and apps who use an issuer all the time: codes, refresh, introspection, revocation, and what they were told. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Answer } from './browser.ts'
import { getCode, type JsonAnswer, redeem } from './flow.ts'
import type { TestClient } from './server.ts'
import { type Endpoint, introspect, refresh, revoke, type Tokens, tokensIn } from './tokens.ts'

export type Traffic = {
  /** Requests that were not answered, or with 502 or 503; each was sent again. */
  interrupted: string[]
  /** What should never have been answered so. */
  wrong: string[]
  /** What apps hold: the last tokens of each authorization. */
  held: Tokens[]
  /** Refresh tokens whose revocation was acknowledged, with the request's id. */
  revoked: { token: string; requestId: string }[]
  /** How many requests were answered. */
  answered: () => number
  stop: () => Promise<void>
}

/** How long a request is sent again before it counts as lost. */
const patience = 60_000

type Ended<T> = { answer: T; interrupted: boolean }

/** Starts it: one loop for each person. The client must hold the grants of both kinds. */
export const startTraffic = (
  at: Endpoint,
  client: TestClient,
  people: readonly { username: string; password: string }[],
): Traffic => {
  const interrupted: string[] = []
  const wrong: string[] = []
  const held: Tokens[] = []
  const revoked: Traffic['revoked'] = []
  let answered = 0
  let stopped = false

  /** Sends a request until it is answered, as a careful app does. */
  const insist = async <T extends { status: number }>(
    what: string,
    run: () => Promise<T>,
  ): Promise<Ended<T>> => {
    const until = performance.now() + patience
    for (let wasInterrupted = false; ; wasInterrupted = true) {
      let failure: string
      try {
        const answer = await run()
        if (answer.status !== 502 && answer.status !== 503) {
          answered += 1
          return { answer, interrupted: wasInterrupted }
        }
        failure = String(answer.status)
      } catch (error) {
        failure = String(error)
      }
      if (performance.now() > until) throw new Error(`${what} was not answered: ${failure}`)
      interrupted.push(`${what}: ${failure}`)
      await wait(20)
    }
  }

  const expectStatus = (what: string, { status, json }: JsonAnswer): void => {
    if (status !== 200) wrong.push(`${what}: ${status} ${JSON.stringify(json)}`)
  }

  const authorize = async (browser: ReturnType<Endpoint['browser']>, person: (typeof people)[number]) => {
    const { answer } = await insist('/authorize', async () => {
      try {
        const { answer: page, code, verifier } = await getCode(browser, client, person)
        return { status: page.status, code, verifier }
      } catch (error) {
        // A page that says 503 holds no code.
        const status = Number(/no code came: (\d+)/.exec(String(error))?.[1])
        if (status === 502 || status === 503) return { status, code: '', verifier: '' }
        throw error
      }
    })
    return answer
  }

  const oneFlow = async (
    browser: ReturnType<Endpoint['browser']>,
    person: (typeof people)[number],
    n: number,
  ): Promise<void> => {
    const code = await authorize(browser, person)
    const redeemed = await insist('redeeming a code', () => redeem(at, client, code))
    // Its first answer was lost on the way: the code was used, and the app begins anew.
    if (redeemed.interrupted && redeemed.answer.json['error'] === 'invalid_grant') return
    expectStatus('redeeming a code', redeemed.answer)
    let tokens = tokensIn(redeemed.answer)
    for (let times = 0; times < 2; times++) {
      const { answer } = await insist('refreshing', () => refresh(at, client, tokens.refresh_token))
      expectStatus('refreshing', answer)
      tokens = tokensIn(answer)
    }
    const { answer } = await insist('introspection', () => introspect(at, client, tokens.access_token))
    if (answer.json['active'] !== true) wrong.push('an access token that was just issued is not active')
    if (n % 4 === 0) {
      const { answer: gone } = await insist('revoking', () => revoke(at, client, tokens.refresh_token))
      expectStatus('revoking', gone)
      revoked.push({ token: tokens.refresh_token, requestId: requestIdOf(gone) })
    } else held.push(tokens)
  }

  const live = async (person: (typeof people)[number]): Promise<void> => {
    const browser = at.browser()
    for (let n = 1; !stopped; n++) {
      try {
        await oneFlow(browser, person, n)
      } catch (error) {
        wrong.push(String(error))
        await wait(100)
      }
    }
  }
  const living = Promise.all(people.map(live))
  return {
    interrupted,
    wrong,
    held,
    revoked,
    answered: () => answered,
    stop: async () => {
      stopped = true
      await living
    },
  }
}

const requestIdOf = ({ headers }: Pick<Answer, 'headers'>): string => String(headers['x-request-id'])
