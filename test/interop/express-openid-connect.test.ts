import { auth, requiresAuth } from 'express-openid-connect'
import session from 'express-session'
import { expect, it, onTestFinished } from 'vitest'
import { startExpress } from '../support/express-app.ts'
import { passPages } from '../support/flow.ts'
import { eventually, startServer } from '../support/server.ts'
import { watchTokenRequests } from '../support/token-requests.ts'

const begin = async (settings: Parameters<typeof auth>[0] = {}) => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const { app, origin, visit } = await startExpress()
  const client = await server.createClient({
    redirect_uris: [`${origin}/callback`],
    post_logout_redirect_uris: [origin],
    backchannel_logout_uri: `${origin}/backchannel-logout`,
    grant_types: ['authorization_code', 'refresh_token'],
  })
  app.use(
    auth({
      issuerBaseURL: server.issuer,
      baseURL: origin,
      clientID: client.id,
      clientSecret: client.secret ?? '',
      secret: 'a secret of the app, for its own cookies only',
      authRequired: false,
      idpLogout: true,
      authorizationParams: { response_type: 'code', scope: 'openid profile email' },
      ...settings,
    }),
  )
  app.get('/me', requiresAuth(), async ({ oidc }, response) => {
    response.json({ user: oidc.user, userInfo: await oidc.fetchUserInfo() })
  })
  app.get('/renew', requiresAuth(), async ({ oidc }, response) => {
    const before = oidc.accessToken?.access_token
    const after = await oidc.accessToken?.refresh()
    response.json({ isNew: after !== undefined && after.access_token !== before })
  })
  const browser = server.browser()
  const signIn = async (person: { username: string; password: string }) => {
    const left = await visit(`${origin}/login`)
    const back = await passPages(browser, await browser.open(left.headers.get('location') ?? ''), person)
    const done = await visit(back.location ?? '')
    expect(done.status, await done.clone().text()).toBe(302)
    return { asked: new URL(left.headers.get('location') ?? '') }
  }
  const read = async (path: string): Promise<unknown> => {
    const answer = await visit(origin + path)
    return answer.status === 200 ? answer.json() : answer.status
  }
  return { server, browser, origin, visit, signIn, read }
}

it('express-openid-connect with response_type code: sign-in, UserInfo, refresh, logout', async () => {
  const { server, browser, origin, visit, signIn, read } = await begin()
  const alice = await server.createUser({ name: 'Alice A.', email: 'alice@example.com' })
  const authorizations = watchTokenRequests()
  const { asked } = await signIn(alice)
  expect(asked.searchParams.get('code_challenge_method')).toBe('S256')
  expect(authorizations[0]).toMatch(/^Basic /)
  const known = { sub: alice.sub, name: 'Alice A.', email: 'alice@example.com' }
  expect(await read('/me')).toMatchObject({ user: known, userInfo: known })
  expect(await read('/renew')).toEqual({ isNew: true })
  expect(await read('/me')).toMatchObject({ user: known })

  const left = await visit(`${origin}/logout`)
  expect((await browser.open(left.headers.get('location') ?? '')).location).toBe(origin)
  expect(await read('/me')).toBe(302)
})

it('express-openid-connect hears by back-channel logout that the session ended elsewhere', async () => {
  const { server, browser, signIn, read } = await begin({
    backchannelLogout: { store: new session.MemoryStore() as never },
  })
  const alice = await server.createUser()
  await signIn(alice)
  expect(await read('/me')).toMatchObject({ user: { sub: alice.sub } })
  await browser.submit(await browser.open('/logout'), { decision: 'yes' })
  await eventually(async () => (await read('/me')) === 302, 'the app is told')
})
