import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Answer, Browser } from '../support/browser.ts'
import { authorizeUrl, basic, getCode, pkcePair, post, redeem } from '../support/flow.ts'
import { eventually, startServer, type TestClient, type TestServer } from '../support/server.ts'
import {
  headingOf,
  listeningApp,
  noticeTaker,
  openApp,
  openAs,
  outbox,
  type Person,
  revocable,
  userinfo,
} from './support.ts'

let server: TestServer
let alice: Person & { id: string }
const world = noticeTaker()

beforeEach(async () => {
  world.taken.length = 0
  server = await startServer({ fetch: world.fetch })
  alice = await server.createUser()
})
afterEach(() => server.stop())

const path = '/account/apps'
const revoke = async (browser: Browser, id: string): Promise<Answer> =>
  browser.submit(await browser.open(path), { revoke: id })
const refresh = (client: TestClient, token: string) =>
  post(server, '/token', { grant_type: 'refresh_token', refresh_token: token }, basic(client))
const askAgain = async (browser: Browser, client: TestClient, scope: string): Promise<Answer> =>
  browser.open(
    authorizeUrl(client, { scope, code_challenge: pkcePair().challenge, code_challenge_method: 'S256' }),
  )

describe('nothing happens', () => {
  it('to an app that only somebody else uses', async () => {
    const bob = await server.createUser({ username: 'bob', password: 'a very different secret' })
    const [mine, app] = [await listeningApp(server, 'Mine'), await listeningApp(server, 'Atlas')]
    const theirs = await openApp(server, server.browser(), app, bob)
    const browser = server.browser()
    await openApp(server, browser, mine, alice)
    const before = await server.counts()
    expect(revocable(await browser.open(path))).toEqual([mine.id])
    const page = await revoke(browser, app.id)
    expect(page.body).not.toContain('notice good')
    expect((await userinfo(server, theirs.accessToken)).status).toBe(200)
    expect(await server.counts()).toEqual(before)
    expect((await server.audit()).some(row => row.event === 'consent.withdrawn')).toBe(false)
  })

  it('from another site, or without a form token (SEC-022)', async () => {
    const app = await listeningApp(server, 'Atlas')
    const browser = server.browser()
    const { accessToken } = await openApp(server, browser, app, alice)
    const page = await browser.open(path)
    const foreign = await browser.submit(page, { revoke: app.id }, { origin: 'https://evil.test' })
    expect(foreign.status).toBe(403)
    const bare = await browser.send(path, { method: 'POST', body: `revoke=${app.id}` })
    expect(bare.status).toBe(403)
    expect((await userinfo(server, accessToken)).status).toBe(200)
  })

  it('where there is no session: sign-in, and back to the page', async () => {
    const app = await listeningApp(server, 'Atlas')
    const browser = server.browser()
    await openApp(server, browser, app, alice)
    const page = await browser.open(path)
    server.sleep(3601)
    const asked = await browser.submit(page, { revoke: app.id })
    expect(headingOf(asked)).toBe('Sign in')
    const back = await browser.submit(asked, { username: 'alice', password: alice.password })
    expect(headingOf(back)).toBe('Connected apps')
    expect(revocable(back)).toEqual([app.id])
  })
})

describe('the page', () => {
  it('is empty for whoever has used none', async () => {
    const page = await openAs(server.browser(), alice, path)
    expect(page.body).toContain('No apps yet')
    expect(page.body).not.toContain('name="revoke"')
  })

  it('names what each app may do, in words', async () => {
    const app = await listeningApp(server, 'Atlas', { client_uri: 'https://atlas.test/' })
    const browser = server.browser()
    await openApp(server, browser, app, alice, 'openid profile email')
    const page = await browser.open(path)
    expect(page.body).toContain('<a href="https://atlas.test/"><bdi>Atlas</bdi></a>')
    expect(page.body).toContain('See your profile')
    expect(page.body).toContain('See your email address')
    expect(page.body).not.toContain('See your phone number')
    expect(page.body).toContain('In use in 1 browser')
  })

  it('still shows what was allowed when nobody is signed in there any more', async () => {
    const app = await listeningApp(server, 'Atlas')
    await openApp(server, server.browser(), app, alice)
    server.sleep(3601)
    const page = await openAs(server.browser(), alice, path)
    expect(revocable(page)).toEqual([app.id])
    expect(page.body).not.toContain('In use in')
  })

  it('shows an app of the house while it is used, and as long as it may come back by itself', async () => {
    const wiki = await listeningApp(server, 'Wiki', { first_party: true })
    const mail = await listeningApp(server, 'Mail', { first_party: true })
    const browser = server.browser()
    await openApp(server, browser, wiki, alice, 'openid')
    await openApp(server, browser, mail, alice, 'openid offline_access')
    const used = await browser.open(path)
    expect(revocable(used)).toEqual([mail.id, wiki.id])
    expect(used.body.match(/Trusted here/g)).toHaveLength(2)
    expect(used.body.match(/Keep access while you are away/g)).toHaveLength(1)
    server.sleep(3601)
    expect(revocable(await openAs(server.browser(), alice, path))).toEqual([mail.id])
  })

  it('does not show an app that was deleted', async () => {
    const app = await listeningApp(server, 'Atlas')
    const browser = server.browser()
    await openApp(server, browser, app, alice)
    const { deleteClient } = await import('../../src/oauth/client/client.ts')
    await server.services.store.commit(deleteClient(app.id))
    server.services.clients.forget()
    expect((await browser.open(path)).body).toContain('No apps yet')
  })
})

describe('taking access back', () => {
  it('ends all of it at once: tokens, refresh tokens, consent (SEC-065)', async () => {
    const app = await listeningApp(server, 'Atlas')
    const other = await listeningApp(server, 'Notes')
    const browser = server.browser()
    const scope = 'openid profile offline_access'
    const first = await openApp(server, browser, app, alice, scope)
    const elsewhere = await openApp(server, server.browser(), app, alice, scope)
    const kept = await openApp(server, browser, other, alice, scope)
    const page = await revoke(browser, app.id)
    expect(page.body).toContain('Its access has ended')
    expect(revocable(page)).toEqual([other.id])
    for (const { accessToken, refreshToken } of [first, elsewhere]) {
      expect((await userinfo(server, accessToken)).status).toBe(401)
      expect(await refresh(app, refreshToken)).toMatchObject({
        status: 400,
        json: { error: 'invalid_grant' },
      })
    }
    expect((await userinfo(server, kept.accessToken)).status).toBe(200)
    expect((await refresh(other, kept.refreshToken)).status).toBe(200)
    expect(headingOf(await askAgain(browser, app, scope))).toContain('Allow')
    expect((await server.audit()).filter(row => row.event === 'consent.withdrawn')).toMatchObject([
      { client_id: app.id, user_id: alice.id, ip: '127.0.0.1' },
    ])
  })

  it('a code that is on its way is worth nothing', async () => {
    const app = await listeningApp(server, 'Atlas')
    const browser = server.browser()
    const code = await getCode(browser, app, alice)
    await revoke(browser, app.id)
    expect(await redeem(server, app, code)).toMatchObject({ status: 400, json: { error: 'invalid_grant' } })
  })

  it('tells the app, once for each session in which it was used, and no other app', async () => {
    const app = await listeningApp(server, 'Atlas')
    const other = await listeningApp(server, 'Notes')
    const browser = server.browser()
    await openApp(server, browser, app, alice)
    await openApp(server, browser, other, alice)
    await openApp(server, server.browser(), app, alice)
    await openAs(server.browser(), alice)
    await revoke(browser, app.id)
    await eventually(() => world.taken.length === 2, 'the app is told')
    expect(new Set(world.taken.map(request => request.url))).toEqual(
      new Set(['https://atlas.test/backchannel']),
    )
    expect((await outbox(server)).map(row => row.client_id)).toEqual([app.id, app.id])
  })

  it('an app that is used again afterwards is told again when the session ends', async () => {
    const app = await listeningApp(server, 'Atlas')
    const browser = server.browser()
    await openApp(server, browser, app, alice)
    await revoke(browser, app.id)
    await browser.submit(await browser.open('/logout'), { decision: 'yes' })
    expect(await outbox(server), 'it has no part in the session any more').toHaveLength(1)
    await openApp(server, browser, app, alice)
    await browser.submit(await browser.open('/logout'), { decision: 'yes' })
    expect(await outbox(server)).toHaveLength(2)
  })

  it('of an app of the house ends what it has; it may come back when it is opened', async () => {
    const wiki = await listeningApp(server, 'Wiki', { first_party: true })
    const browser = server.browser()
    const { accessToken, refreshToken } = await openApp(server, browser, wiki, alice, 'openid offline_access')
    expect((await revoke(browser, wiki.id)).body).toContain('No apps yet')
    expect((await userinfo(server, accessToken)).status).toBe(401)
    expect((await refresh(wiki, refreshToken)).status).toBe(400)
    await openApp(server, browser, wiki, alice)
    expect(revocable(await browser.open(path))).toEqual([wiki.id])
  })
})
