/** The requests that flows are made of, and the signed-in browsers that send them. */
import { createHash } from 'node:crypto'
import { type Answer, Connection, header } from './connection.ts'
import { inParallel } from './load.ts'
import { BrowserJar, codeIn, signIn } from './sign-in.ts'
import { redirectUri } from './sites.ts'
import type { Alg, Target } from './target.ts'

export const connections = 32

export type Tokens = { access_token: string; refresh_token: string }

const verifier = 'v'.repeat(43)
const challenge = createHash('sha256').update(verifier).digest('base64url')

export function authorizePath({ endpoints, clients }: Target, alg: Alg) {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: clients[alg].id,
    redirect_uri: redirectUri,
    scope: 'openid profile email',
    state: 'a-state-of-some-length',
    nonce: 'a-nonce-of-some-length',
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })
  return `${endpoints.authorize}?${query}`
}

export function redeem(connection: Connection, target: Target, alg: Alg, code: string) {
  const body = `grant_type=authorization_code&code=${code}&redirect_uri=${encodeURIComponent(redirectUri)}&code_verifier=${verifier}`
  return connection.post(target.endpoints.token, body, basic(target, alg))
}

export function refresh(connection: Connection, target: Target, alg: Alg, token: string) {
  const body = `grant_type=refresh_token&refresh_token=${token}`
  return connection.post(target.endpoints.token, body, basic(target, alg))
}

export function basic({ clients }: Target, alg: Alg) {
  const { id, secret } = clients[alg]
  return `Authorization: Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}\r\n`
}

export function tokensIn(answer: Answer): Tokens {
  expectStatus(answer, 200)
  const tokens: Tokens = JSON.parse(answer.body)
  if (!tokens.refresh_token) throw new Error(`no refresh token in ${answer.body.slice(0, 200)}`)
  return tokens
}

export function expectStatus(answer: Answer, status: number) {
  if (answer.status !== status)
    throw new Error(`${answer.status} instead of ${status}: ${answer.body.slice(0, 300)}`)
}

/** Which one is a worker's next: each goes round a share of its own, so that no two use one at a time. */
export function turns({ length }: readonly unknown[]) {
  const share = Math.max(1, Math.floor(length / connections))
  const taken = new Array<number>(connections).fill(0)
  return (worker: number) => {
    const turn = taken[worker] ?? 0
    taken[worker] = turn + 1
    return worker + connections * (turn % share)
  }
}

/**
 * The Cookie headers of browsers that are signed in, at least as many as there are connections: once for all scenarios of a target.
 */
export function signedInBrowsers(target: Target): Promise<readonly string[]> {
  const known =
    signedIn.get(target) ?? (target.visitors ? Promise.resolve(target.visitors) : signInBrowsers(target))
  signedIn.set(target, known)
  return known
}

const signedIn = new WeakMap<Target, Promise<readonly string[]>>()

async function signInBrowsers(target: Target) {
  const { issuer, person } = target
  const path = authorizePath(target, 'ES256')
  const headers: string[] = []
  const connection = new Connection(target.port)
  for (let browser = 0; browser < connections; browser++) {
    const jar = new BrowserJar()
    await signIn(connection, jar, { path, issuer, person })
    headers.push(jar.header(target.endpoints.authorize))
  }
  connection.close()
  return headers
}

/** A code flow for each of the browsers. */
export async function firstTokens(target: Target, alg: Alg) {
  const browsers = await signedInBrowsers(target)
  const path = authorizePath(target, alg)
  const held: Tokens[] = []
  let next = 0
  await inParallel(target.port, connections, async connection => {
    const at = next++
    const cookie = browsers[at]
    if (cookie === undefined) return false
    const code = codeIn(header(await connection.get(path, cookie), 'location'))
    held[at] = tokensIn(await redeem(connection, target, alg, code))
    return true
  })
  return held
}
