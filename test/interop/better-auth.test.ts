import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { genericOAuth } from 'better-auth/plugins'
import { expect, it, onTestFinished } from 'vitest'
import { passPages } from '../support/flow.ts'
import { startServer } from '../support/server.ts'
import { watchTokenRequests } from '../support/token-requests.ts'
import { visitor } from '../support/visitor.ts'

const origin = 'http://app.localhost:4100'

const json = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', origin },
  body: JSON.stringify(body),
})

/** An app with better-auth in it, and a registered client for its generic OAuth provider. */
const begin = async () => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const client = await server.createClient({
    redirect_uris: [`${origin}/api/auth/callback/lintel`],
    post_logout_redirect_uris: [`${origin}/bye`],
    grant_types: ['authorization_code', 'refresh_token'],
  })
  const complaints: string[] = []
  const rows = { user: [], session: [], account: [], verification: [] }
  const auth = betterAuth({
    baseURL: origin,
    secret: 'a secret of the app, for its own cookies only',
    database: memoryAdapter(rows),
    telemetry: { enabled: false },
    rateLimit: { enabled: false },
    logger: { log: (level, message) => level === 'error' && complaints.push(message) },
    plugins: [
      genericOAuth({
        config: [
          {
            providerId: 'lintel',
            discoveryUrl: `${server.issuer}/.well-known/openid-configuration`,
            requireIdTokenVerification: true,
            clientId: client.id,
            clientSecret: client.secret,
            scopes: ['openid', 'profile', 'email'],
          },
        ],
      }),
    ],
  })
  const app = visitor(request => auth.handler(request))
  const post = async (path: string, body: unknown): Promise<Record<string, unknown>> =>
    (await (await app(`${origin}/api/auth${path}`, json(body))).json()) as Record<string, unknown>
  const session = async () => (await app(`${origin}/api/auth/get-session`)).json() as Promise<unknown>
  const { url } = await post('/sign-in/social', { provider: 'lintel', callbackURL: '/home' })
  return { server, app, post, session, complaints, url: String(url), rows }
}

it('better-auth as it comes: PKCE, nonce, its user by e-mail address, refresh, logout', async () => {
  const { server, app, post, session, complaints, url } = await begin()
  const alice = await server.createUser({ name: 'Alice A.', email: 'alice@example.com', emailVerified: true })
  const authorizations = watchTokenRequests()
  expect(Object.fromEntries(new URL(url).searchParams)).toMatchObject({
    code_challenge_method: 'S256',
    nonce: expect.any(String),
    scope: 'openid profile email',
  })

  const browser = server.browser()
  const back = await passPages(browser, await browser.open(url), alice)
  const done = await app(back.location ?? '')
  expect(complaints).toEqual([])
  expect(done.headers.get('location')).toBe('/home')
  expect(authorizations).toHaveLength(1)
  expect(await session()).toMatchObject({
    user: { name: 'Alice A.', email: 'alice@example.com', emailVerified: true },
  })

  const [account] = (await (await app(`${origin}/api/auth/list-accounts`)).json()) as [{ id: string }]
  const before = await post('/get-access-token', { accountId: account.id })
  const renewed = await post('/refresh-token', { accountId: account.id })
  expect(renewed).toMatchObject({ accessToken: expect.any(String), refreshToken: expect.any(String) })
  expect(before).toMatchObject({ accessToken: expect.any(String) })
  expect(renewed['accessToken']).not.toBe(before['accessToken'])
  const userinfo = await fetch(`${server.issuer}/userinfo`, {
    headers: { authorization: `Bearer ${renewed['accessToken']}` },
  })
  expect(await userinfo.json()).toMatchObject({ sub: alice.sub })

  const left = await post('/sign-out', { callbackURL: '/bye', state: 'left' })
  expect(await session()).toBeNull()
  const asked = new URL(String(left['url']))
  expect([...asked.searchParams.keys()].sort()).toEqual(
    ['client_id', 'id_token_hint', 'post_logout_redirect_uri', 'state'].sort(),
  )
  expect((await browser.open(asked.href)).location).toBe(`${origin}/bye?state=left`)
})

it('better-auth is told of a refusal, and makes no user', async () => {
  const { server, app, session, url, rows } = await begin()
  const alice = await server.createUser({ email: 'alice@example.com' })
  const browser = server.browser()
  const consent = await browser.submit(await browser.open(url), {
    username: alice.username,
    password: alice.password,
  })
  const denied = await browser.submit(consent, { decision: 'deny' })
  const done = await app(denied.location ?? '')
  expect(done.headers.get('location')).toContain('error=access_denied')
  expect(await session()).toBeNull()
  expect(rows.user).toEqual([])
})
