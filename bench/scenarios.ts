/** **Table** of what is measured: one flow each, as a function over one connection. */
import { type Answer, type Connection, header } from './connection.ts'
import { inParallel } from './load.ts'
import {
  authorizePath,
  basic,
  connections,
  expectStatus,
  firstTokens,
  redeem,
  refresh,
  signedInBrowsers,
  tokensIn,
  turns,
} from './requests.ts'
import { BrowserJar, codeIn, signIn } from './sign-in.ts'
import { type Alg, type Target, type TargetName, targetNames } from './target.ts'

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

const common = { targets: targetNames, connections }

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
    targets: ['lintel', 'lintel-postgres'],
    connections: 4,
    prepare: passwordSignIn,
  },
]

function fetching(pathOf: (target: Target) => string) {
  return async (target: Target): Promise<Prepared> => {
    const path = pathOf(target)
    return { flow: async connection => expectStatus(await connection.get(path), 200) }
  }
}

async function authorizing(target: Target): Promise<Prepared> {
  const browsers = await signedInBrowsers(target)
  const path = authorizePath(target, 'ES256')
  const next = turns(browsers)
  return {
    flow: async (connection, worker) => {
      codeIn(header(await connection.get(path, browsers[next(worker)]), 'location'))
    },
  }
}

async function codeFlow(target: Target, alg: Alg): Promise<Prepared> {
  const browsers = await signedInBrowsers(target)
  const path = authorizePath(target, alg)
  const next = turns(browsers)
  return {
    flow: async (connection, worker) => {
      const code = codeIn(header(await connection.get(path, browsers[next(worker)]), 'location'))
      expectStatus(await redeem(connection, target, alg, code), 200)
    },
  }
}

async function refreshing(target: Target, alg: Alg): Promise<Prepared> {
  const held = await firstTokens(target, alg)
  const next = turns(held)
  return {
    flow: async (connection, worker) => {
      const at = next(worker)
      held[at] = tokensIn(await refresh(connection, target, alg, held[at]?.refresh_token ?? ''))
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
  const held = await firstTokens(target, 'ES256')
  const nextHeld = turns(held)
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
        const one = nextHeld(worker)
        const next = tokensIn(await refresh(connection, target, 'ES256', held[one]?.refresh_token ?? ''))
        held[one] = next
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
