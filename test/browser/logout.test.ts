import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { authorizeUrl } from '../support/flow.ts'
import { htmlPage } from '../support/site.ts'
import { decide, expectHeading, fillSignIn, sidAt, startWorld, userAt } from '../support/world.ts'

let chromium: Chromium
beforeAll(async () => {
  chromium = await startChromium()
})
afterAll(() => chromium.close())

const ours = { first_party: true }

/** Alice, signed in at two apps of two sites. */
const signedInAtBoth = async () => {
  const world = await startWorld(chromium)
  const alice = await world.server.createUser()
  const one = await world.app({ hostname: 'app-one.localhost', name: 'One', metadata: ours })
  const two = await world.app({ hostname: 'app-two.localhost', name: 'Two', metadata: ours })
  const { page, context } = await world.person()
  await page.goto(`${one.origin}/login`)
  await fillSignIn(page, alice)
  const sid = await sidAt(page)
  await page.goto(`${two.origin}/login`)
  await userAt(page)
  return { ...world, alice, one, two, page, context, sid }
}

describe('signing out', () => {
  it('at one app asks nothing, comes back there, and the other app is out at once (back-channel)', async () => {
    const { one, two, page, sid, server } = await signedInAtBoth()
    await page.goto(one.origin)
    await page.click('[data-action=sign-out]')
    expect(await page.getAttribute('[data-left]', 'data-left')).toBe('left')
    expect(page.url()).toMatch(`${one.origin}/signed-out`)

    expect(two.signedIn(), 'the second app was told before').toEqual([])
    expect(two.logoutTokens[0]).toMatchObject({ sid, iss: server.issuer, aud: two.client.id })
    await page.goto(two.origin)
    expect(await page.locator('[data-action=sign-in]').count()).toBe(1)
    await page.click('[data-action=sign-in]')
    await expectHeading(page, 'Sign in')
  })

  it('at the provider asks first; yes signs out and tells the apps', async () => {
    const { one, two, page, server } = await signedInAtBoth()
    await page.goto(`${server.issuer}/logout`)
    await expectHeading(page, 'Sign out?')
    expect(await page.textContent('.person strong')).toBe('alice')
    expect(one.signedIn()).toHaveLength(1)
    await decide(page, 'yes')
    await expectHeading(page, 'You’re signed out')
    expect((await page.locator('.states bdi').allTextContents()).sort()).toEqual(['One', 'Two'])
    expect([...one.signedIn(), ...two.signedIn()], 'both apps were told before').toEqual([])
  })

  it('no keeps the session, and the other app opens without a page', async () => {
    const { one, page, server } = await signedInAtBoth()
    await page.goto(`${server.issuer}/logout`)
    await decide(page, 'no')
    await expectHeading(page, 'You’re still signed in')
    await page.goto(`${one.origin}/login`)
    expect(await userAt(page)).toBe('alice')
  })

  it('an app that sends no hint is asked about, then goes back where it registered', async () => {
    const { one, page, server } = await signedInAtBoth()
    const back = encodeURIComponent(`${one.origin}/signed-out`)
    await page.goto(
      `${server.issuer}/logout?client_id=${one.client.id}&post_logout_redirect_uri=${back}&state=asked`,
    )
    expect(await page.textContent('.lead')).toBe('One is asking to sign you out.')
    await decide(page, 'yes')
    expect(await page.getAttribute('[data-left]', 'data-left')).toBe('asked')
  })

  it('posted by an app from its own site, with a hint and without our cookie, it ends the session', async () => {
    const { two, one, page, context, server } = await signedInAtBoth()
    await page.goto(`${two.origin}/post-sign-out`)
    const sent = page.waitForRequest(request => request.method() === 'POST')
    await page.click('button')
    expect(await (await sent).headerValue('cookie'), 'Lax: another site brings no cookie').toBeNull()
    expect(await page.getAttribute('[data-left]', 'data-left')).toBe('posted')
    expect(one.signedIn(), 'the other app was told before').toEqual([])

    expect(await context.cookies(server.issuer), 'the cookie of the browser stays').toHaveLength(1)
    await page.goto(`${one.origin}/login`)
    await expectHeading(page, 'Sign in')
  })

  it('does not wait long for an app that does not answer', async () => {
    const { one, two, page, server, site } = await signedInAtBoth()
    const hanging = await site('hanging.localhost', {
      'POST /backchannel-logout': () => new Promise(() => undefined),
      'GET /cb': () => ({ html: htmlPage('<h1>Back</h1>') }),
    })
    const client = await server.createClient({
      first_party: true,
      redirect_uris: [`${hanging.origin}/cb`],
      backchannel_logout_uri: `${hanging.origin}/backchannel-logout`,
      require_pkce: false,
    })
    await page.goto(server.issuer + authorizeUrl(client))
    await expectHeading(page, 'Back')
    await page.goto(one.origin)
    const startedAt = performance.now()
    await page.click('[data-action=sign-out]')
    await page.waitForSelector('[data-left]')
    expect(performance.now() - startedAt).toBeLessThan(4500)
    expect(hanging.visits.at(-1)?.method).toBe('POST')
    expect(two.signedIn(), 'the others are told all the same').toEqual([])
  })

  it('SEC-024 a confirmation that another site posts ends nothing', async () => {
    const { one, page, server, site } = await signedInAtBoth()
    const evil = await site('evil.localhost', {
      'GET /': () => ({
        html: `<form method="post" action="${server.issuer}/logout"><input name="decision" value="yes"></form>
          <script>document.forms[0].submit()</script>`,
      }),
    })
    await page.goto(evil.origin)
    await page.waitForSelector('[data-error=csrf]')
    await page.goto(`${one.origin}/login`)
    expect(await userAt(page)).toBe('alice')
    expect((await server.audit()).map(({ event }) => event)).toContain('csrf.rejected')
  })

  it('of two people signs out the one who is active, and the other stays', async () => {
    const { one, page, server } = await signedInAtBoth()
    const bob = await server.createUser({ username: 'bob' })
    await page.goto(`${one.origin}/login?prompt=select_account`)
    await page.click('button[value=other]')
    await fillSignIn(page, bob)
    expect(await userAt(page)).toBe('bob')
    await page.click('[data-action=sign-out]')
    await page.waitForSelector('[data-left]')
    const open = await server.services.store.search<{ username: string }>(knex =>
      knex('session').join('user', 'user.id', 'session.user_id').whereNull('ended_at').select('username'),
    )
    expect(open.map(({ username }) => username)).toEqual(['alice'])
  })
})
