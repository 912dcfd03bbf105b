import { Auth, type AuthConfig } from '@auth/core'
import { expect, it, onTestFinished } from 'vitest'
import { answerOf, passPages } from '../support/flow.ts'
import { startServer } from '../support/server.ts'
import { watchTokenRequests } from '../support/token-requests.ts'
import { posted, visitor } from '../support/visitor.ts'

const origin = 'http://app.localhost:4100'

/** An app with Auth.js in it, seen from one browser. */
const appWith = (config: AuthConfig) => {
  const visit = visitor(request => Auth(request, config))
  return (path: string, form?: Record<string, string>): Promise<Response> =>
    visit(new URL(path, origin), form && posted(form))
}

const begin = async () => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const client = await server.createClient({
    redirect_uris: [`${origin}/auth/callback/lintel`],
    post_logout_redirect_uris: [`${origin}/bye`],
  })
  const got: { idToken?: string; accessToken?: string } = {}
  const errors: unknown[] = []
  const app = appWith({
    secret: 'a secret of the app, used for its own cookies only',
    trustHost: true,
    basePath: '/auth',
    logger: { error: error => errors.push(error) },
    providers: [
      {
        id: 'lintel',
        name: 'Lintel',
        type: 'oidc',
        issuer: server.issuer,
        clientId: client.id,
        clientSecret: client.secret ?? '',
      },
    ],
    callbacks: {
      jwt: ({ token, account }) => {
        if (account?.id_token) got.idToken = account.id_token
        if (account?.access_token) got.accessToken = account.access_token
        return token
      },
    },
  })
  const { csrfToken } = (await (await app('/auth/csrf')).json()) as { csrfToken: string }
  const left = await app('/auth/signin/lintel', { csrfToken, callbackUrl: `${origin}/home` })
  return { server, client, app, got, errors, url: left.headers.get('location') ?? '' }
}

it('Auth.js as it comes: Basic, PKCE, and its user from the ID token alone', async () => {
  const { server, app, got, errors, url } = await begin()
  const alice = await server.createUser({
    name: 'Alice A.',
    email: 'alice@example.com',
    claims: { picture: 'https://pictures.example/alice.png' },
  })
  const authorizations = watchTokenRequests()
  expect(new URL(url).searchParams.get('code_challenge_method')).toBe('S256')
  expect(new URL(url).searchParams.get('scope')).toBe('openid profile email')

  const browser = server.browser()
  const end = await passPages(browser, await browser.open(url), alice)
  const back = new URL(end.location ?? '')
  const done = await app(back.pathname + back.search)
  expect(errors).toEqual([])
  expect(done.headers.get('location')).toBe(`${origin}/home`)
  expect(authorizations[0]).toMatch(/^Basic /)

  expect(await (await app('/auth/session')).json()).toMatchObject({
    user: { name: 'Alice A.', email: 'alice@example.com', image: 'https://pictures.example/alice.png' },
  })

  const userinfo = await fetch(`${server.issuer}/userinfo`, {
    headers: { authorization: `Bearer ${got.accessToken}` },
  })
  expect(await userinfo.json()).toMatchObject({ sub: alice.sub, name: 'Alice A.' })

  const leave = new URLSearchParams({
    id_token_hint: got.idToken ?? '',
    post_logout_redirect_uri: `${origin}/bye`,
  })
  expect((await browser.open(`/logout?${leave}`)).location).toBe(`${origin}/bye`)
})

it('Auth.js is told of a refusal, and signs nobody in', async () => {
  const { server, app, errors, url } = await begin()
  const alice = await server.createUser()
  const browser = server.browser()
  const page = await browser.open(url)
  const consent = await browser.submit(page, { username: alice.username, password: alice.password })
  const denied = await browser.submit(consent, { decision: 'deny' })
  expect(answerOf(denied).get('error')).toBe('access_denied')
  const back = new URL(denied.location ?? '')
  await app(back.pathname + back.search)
  expect(errors).toHaveLength(1)
  expect(await (await app('/auth/session')).json()).toBeNull()
})
