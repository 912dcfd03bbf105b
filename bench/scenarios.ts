/** **Table** of what is measured: one flow each, as a function over one connection. */
import { createHash } from 'node:crypto'
import { type Answer, Connection, header } from './connection.ts'
import { inParallel } from './load.ts'
import { BrowserJar, codeIn, signIn } from './sign-in.ts'
import { type Alg, redirectUri, type Target, type TargetName } from './target.ts'

export type Prepared = {
  /** One flow. Workers number the connections: what belongs to one is used by one at a time. */
  flow: (connection: Connection, worker: number) => Promise<void>
  /** Before every round, unmeasured: makes what the flow uses up, and says how many flows it is good for. */
  refill?: () => Promise<number>
}
export type Scenario = {
  name: string
  title: string
  targets: readonly TargetName[]
  connections: number
  prepare: (target: Target) => Promise<Prepared>
}

const everyone: readonly TargetName[] = ['floor', 'lintel', 'peer']
const connections = 32
const common = { targets: everyone, connections }

export const scenarios: readonly Scenario[] = [
  {
    name: 'discovery',
    title: 'discovery',
    ...common,
    prepare: fetching(() => '/.well-known/openid-configuration'),
  },
  { name: 'jwks', title: 'JWKS', ...common, prepare: fetching(({ endpoints }) => endpoints.jwks) },
  { name: 'authorize', title: '`/authorize`, live session', ...common, prepare: authorizing },
  {
    name: 'code-es256',
    title: 'code flow, ES256 ID token',
    ...common,
    prepare: target => codeFlow(target, 'ES256'),
  },
  {
    name: 'code-rs256',
    title: 'code flow, RS256 ID token',
    ...common,
    prepare: target => codeFlow(target, 'RS256'),
  },
  {
    name: 'refresh-es256',
    title: 'refresh, ES256 ID token',
    ...common,
    prepare: target => refreshing(target, 'ES256'),
  },
  {
    name: 'refresh-rs256',
    title: 'refresh, RS256 ID token',
    ...common,
    prepare: target => refreshing(target, 'RS256'),
  },
  { name: 'client-credentials', title: 'client credentials, JWT', ...common, prepare: clientCredentials },
  {
    name: 'introspection-first',
    title: 'introspection, first use',
    ...common,
    prepare: target => presenting(target, introspected, 'first'),
  },
  {
    name: 'introspection',
    title: 'introspection, next uses',
    ...common,
    prepare: target => presenting(target, introspected, 'next'),
  },
  {
    name: 'userinfo-first',
    title: 'userinfo, first use',
    ...common,
    prepare: target => presenting(target, askedAbout, 'first'),
  },
  {
    name: 'userinfo',
    title: 'userinfo, next uses',
    ...common,
    prepare: target => presenting(target, askedAbout, 'next'),
  },
  {
    name: 'sign-in',
    title: 'password sign-in, whole',
    targets: ['lintel'],
    connections: 4,
    prepare: passwordSignIn,
  },
]

const verifier = 'v'.repeat(43)
const challenge = createHash('sha256').update(verifier).digest('base64url')

function fetching(pathOf: (target: Target) => string) {
  return async (target: Target): Promise<Prepared> => {
    const path = pathOf(target)
    return { flow: async connection => expectStatus(await connection.get(path), 200) }
  }
}

async function authorizing(target: Target): Promise<Prepared> {
  const browsers = await signedInBrowsers(target)
  const path = authorizePath(target, 'ES256')
  return {
    flow: async (connection, worker) => {
      codeIn(header(await connection.get(path, browsers[worker]), 'location'))
    },
  }
}

async function codeFlow(target: Target, alg: Alg): Promise<Prepared> {
  const browsers = await signedInBrowsers(target)
  const path = authorizePath(target, alg)
  return {
    flow: async (connection, worker) => {
      const code = codeIn(header(await connection.get(path, browsers[worker]), 'location'))
      expectStatus(await redeem(connection, target, alg, code), 200)
    },
  }
}

async function refreshing(target: Target, alg: Alg): Promise<Prepared> {
  const held = await Promise.all(
    (await signedInBrowsers(target)).map(cookie => firstTokens(target, alg, cookie)),
  )
  const authentication = basic(target, alg)
  return {
    flow: async (connection, worker) => {
      held[worker] = tokensIn(
        await refresh(connection, target, authentication, held[worker]?.refresh_token ?? ''),
      )
    },
  }
}

async function clientCredentials(target: Target): Promise<Prepared> {
  const body = new URLSearchParams({ grant_type: 'client_credentials', ...target.api }).toString()
  const authentication = basic(target, 'ES256')
  return {
    flow: async connection =>
      expectStatus(await connection.post(target.endpoints.token, body, authentication), 200),
  }
}

type Present = (connection: Connection, target: Target, token: string) => Promise<Answer>

async function introspected(connection: Connection, target: Target, token: string) {
  const answer = await connection.post(target.endpoints.introspect, `token=${token}`, basic(target, 'ES256'))
  if (!answer.body.includes('"active":true'))
    throw new Error(`not active: ${answer.status} ${answer.body.slice(0, 200)}`)
  return answer
}

async function askedAbout(connection: Connection, target: Target, token: string) {
  return connection.get(target.endpoints.userinfo, `Authorization: Bearer ${token}\r\n`)
}

/** First use: every token is new to the server. Next uses: 64 tokens over and over. */
async function presenting(target: Target, present: Present, use: 'first' | 'next'): Promise<Prepared> {
  const held = await Promise.all(
    (await signedInBrowsers(target)).map(cookie => firstTokens(target, 'ES256', cookie)),
  )
  const amount = use === 'first' ? 2_000 : 64
  let tokens: string[] = []
  let at = 0
  return {
    flow: async connection =>
      expectStatus(await present(connection, target, tokens[at++ % tokens.length] ?? ''), 200),
    refill: async () => {
      if (use === 'next' && tokens.length > 0) return Number.POSITIVE_INFINITY
      ;[tokens, at] = [[], 0]
      await inParallel(target.port, connections, async (connection, worker) => {
        if (tokens.length >= amount) return false
        const next = tokensIn(
          await refresh(connection, target, basic(target, 'ES256'), held[worker]?.refresh_token ?? ''),
        )
        held[worker] = next
        tokens.push(next.access_token)
        return true
      })
      return use === 'next' ? Number.POSITIVE_INFINITY : tokens.length
    },
  }
}

async function passwordSignIn(target: Target): Promise<Prepared> {
  const { issuer, person } = target
  const path = authorizePath(target, 'ES256')
  return {
    flow: async connection => {
      await signIn(connection, new BrowserJar(), { path, issuer, person })
    },
  }
}

/** The Cookie headers of as many browsers as there are connections, all signed in: once for all scenarios of a target. */
function signedInBrowsers(target: Target) {
  const known = signedIn.get(target) ?? signInBrowsers(target)
  signedIn.set(target, known)
  return known
}

const signedIn = new WeakMap<Target, Promise<string[]>>()

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

async function firstTokens(target: Target, alg: Alg, cookie: string) {
  const connection = new Connection(target.port)
  const code = codeIn(header(await connection.get(authorizePath(target, alg), cookie), 'location'))
  const tokens = tokensIn(await redeem(connection, target, alg, code))
  connection.close()
  return tokens
}

function redeem(connection: Connection, target: Target, alg: Alg, code: string) {
  const body = `grant_type=authorization_code&code=${code}&redirect_uri=${encodeURIComponent(redirectUri)}&code_verifier=${verifier}`
  return connection.post(target.endpoints.token, body, basic(target, alg))
}

function refresh(connection: Connection, target: Target, authentication: string, token: string) {
  return connection.post(
    target.endpoints.token,
    `grant_type=refresh_token&refresh_token=${token}`,
    authentication,
  )
}

function authorizePath({ endpoints, clients }: Target, alg: Alg) {
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

function basic({ clients }: Target, alg: Alg) {
  const { id, secret } = clients[alg]
  return `Authorization: Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}\r\n`
}

function tokensIn(answer: Answer): { access_token: string; refresh_token: string } {
  expectStatus(answer, 200)
  const tokens: { access_token: string; refresh_token: string } = JSON.parse(answer.body)
  if (!tokens.refresh_token) throw new Error(`no refresh token in ${answer.body.slice(0, 200)}`)
  return tokens
}

function expectStatus(answer: Answer, status: number) {
  if (answer.status !== status)
    throw new Error(`${answer.status} instead of ${status}: ${answer.body.slice(0, 300)}`)
}
