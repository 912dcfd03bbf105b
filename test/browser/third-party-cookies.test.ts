/** Single sign-on where browsers differ most: what a frame of another site may keep and see. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { eventually } from '../support/server.ts'
import { htmlPage } from '../support/site.ts'
import { expectHeading, expectQuiet, fillSignIn, sidAt, startWorld, userAt } from '../support/world.ts'

describe.each(['blocked', 'allowed'] as const)('with third-party cookies %s', thirdPartyCookies => {
  let chromium: Chromium
  beforeAll(async () => {
    chromium = await startChromium({ thirdPartyCookies })
  })
  afterAll(() => chromium.close())

  it('signs in once, opens the second app without a page, and signs out of both', async () => {
    const { server, app, site } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: { first_party: true } })
    const two = await app({ hostname: 'app-two.localhost', metadata: { first_party: true } })
    const person = await chromium.profile()
    const { page, context } = person
    onTestFinished(() => page.close())

    // The browser is what it is said to be: a frame of another site gets its SameSite=None cookie, or not.
    const framed = await site('framed.localhost', {
      'GET /set': () => ({ cookies: ['probe=1; Path=/; SameSite=None; Secure'], html: htmlPage('set') }),
      'GET /frame': () => ({ html: htmlPage('frame') }),
    })
    const framing = await site('framing.localhost', {
      'GET /': () => ({ html: htmlPage(`<iframe src="${framed.origin}/frame"></iframe>`) }),
    })
    await page.goto(`${framed.origin}/set`)
    await page.goto(framing.origin)
    expect(framed.visits.at(-1)?.cookies.has('probe')).toBe(thirdPartyCookies === 'allowed')

    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    const sid = await sidAt(page)
    await page.goto(`${two.origin}/login`)
    expect(await userAt(page)).toBe('alice')
    expect(await sidAt(page)).toBe(sid)

    // Top-level prompt=none tells an app who is there without a page, in either world.
    await page.goto(`${two.origin}/login?prompt=none`)
    expect(await userAt(page)).toBe('alice')

    const named = async (url: string) => (await context.cookies(url)).map(({ name }) => name)
    expect(await named(one.origin)).toEqual(['app-one-localhost'])
    expect(await named(two.origin)).toEqual(['app-two-localhost'])
    expect(await named(server.issuer)).toEqual([`lintel-${new URL(server.issuer).port}`])

    await page.goto(two.origin)
    await page.click('[data-action=sign-out]')
    await page.waitForSelector('[data-left]')
    await eventually(() => one.signedIn().length === 0, 'the first app is told')
    await page.goto(`${one.origin}/login`)
    await expectHeading(page, 'Sign in')
    expectQuiet(person)
  })
})
