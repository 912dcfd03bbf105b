import session from 'express-session'
import { Passport } from 'passport'
import OpenIDConnectStrategy from 'passport-openidconnect'
import { expect, it, onTestFinished } from 'vitest'
import { startExpress } from '../support/express-app.ts'
import { passPages } from '../support/flow.ts'
import { startServer } from '../support/server.ts'
import { watchTokenRequests } from '../support/token-requests.ts'

type Metadata = Record<
  'issuer' | 'authorization_endpoint' | 'token_endpoint' | 'userinfo_endpoint' | 'end_session_endpoint',
  string
>

/** It reads no discovery document by itself and knows no PKCE: the document is read for it, and the client may go without. */
const begin = async (registered: Record<string, unknown>) => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const { app, origin, visit } = await startExpress()
  const client = await server.createClient({
    redirect_uris: [`${origin}/callback`],
    post_logout_redirect_uris: [`${origin}/bye`],
    ...registered,
  })
  const discovered = await fetch(`${server.issuer}/.well-known/openid-configuration`)
  const metadata = (await discovered.json()) as Metadata
  const passport = new Passport()
  passport.serializeUser((user, done) => done(null, user))
  passport.deserializeUser((user: Express.User, done) => done(null, user))
  passport.use(
    new OpenIDConnectStrategy(
      {
        issuer: metadata.issuer,
        authorizationURL: metadata.authorization_endpoint,
        tokenURL: metadata.token_endpoint,
        userInfoURL: metadata.userinfo_endpoint,
        clientID: client.id,
        clientSecret: client.secret ?? '',
        callbackURL: `${origin}/callback`,
        scope: ['profile', 'email'],
        nonce: true as never,
        skipUserProfile: false,
      },
      (
        issuer: string,
        profile: unknown,
        _context: unknown,
        idToken: string | object,
        done: OpenIDConnectStrategy.VerifyCallback,
      ) => done(null, { issuer, profile, idToken }),
    ),
  )
  app.use(session({ secret: 'of the app', resave: false, saveUninitialized: false }))
  app.use(passport.session())
  app.get('/login', passport.authenticate('openidconnect'))
  app.get(
    '/callback',
    passport.authenticate('openidconnect', { failureRedirect: '/failed' }),
    (_, response) => response.redirect('/'),
  )
  app.get('/me', (request, response) => void response.json(request.user ?? null))
  const left = await visit(`${origin}/login`)
  return { server, client, metadata, origin, visit, url: left.headers.get('location') ?? '' }
}

it('passport-openidconnect, a client with require_pkce false: sign-in by code, UserInfo, logout', async () => {
  const { server, metadata, origin, visit, url } = await begin({ require_pkce: false })
  const alice = await server.createUser({ name: 'Alice A.', email: 'alice@example.com' })
  const authorizations = watchTokenRequests()
  const asked = new URL(url).searchParams
  expect(asked.has('code_challenge')).toBe(false)
  const browser = server.browser()
  const back = await passPages(browser, await browser.open(url), alice)
  const done = await visit(back.location ?? '')
  expect(done.headers.get('location'), await done.clone().text()).toBe('/')
  // The secret came in the body.
  expect(authorizations).toEqual([undefined])
  const me = (await (await visit(`${origin}/me`)).json()) as { idToken: string }
  expect(me).toMatchObject({
    issuer: server.issuer,
    profile: { id: alice.sub, displayName: 'Alice A.', emails: [{ value: 'alice@example.com' }] },
  })

  const leave = new URL(metadata.end_session_endpoint)
  leave.search = String(
    new URLSearchParams({ id_token_hint: me.idToken, post_logout_redirect_uri: `${origin}/bye` }),
  )
  expect((await browser.open(leave.href)).location).toBe(`${origin}/bye`)
})

it('without require_pkce false it is sent back with invalid_request, and the log says which setting', async () => {
  const { server, client, url } = await begin({})
  const refused = await server.browser().open(url)
  expect(new URL(refused.location ?? '').searchParams.get('error')).toBe('invalid_request')
  const line = server.logged.find(one => one.includes(client.id) && one.includes('require_pkce'))
  expect(line).toBeDefined()
})
