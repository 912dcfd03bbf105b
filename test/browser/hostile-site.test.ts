import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { authorizeUrl, pkcePair } from '../support/flow.ts'
import { htmlPage } from '../support/site.ts'
import { decide, expectHeading, fillSignIn, startWorld, userAt } from '../support/world.ts'

let chromium: Chromium
beforeAll(async () => {
  chromium = await startChromium()
})
afterAll(() => chromium.close())

/** A page that posts these fields as soon as it is opened. */
const posting = (action: string, fields: Record<string, string>): string =>
  htmlPage(
    `<form method="post" action="${action}">${Object.entries(fields)
      .map(([name, value]) => `<input name="${name}" value="${value}">`)
      .join('')}</form><script>document.forms[0].submit()</script>`,
  )

describe('a page of another site', () => {
  it('SEC-021 signs nobody in as mallory, though it knows her password', async () => {
    const { server, app, site, person } = await startWorld(chromium)
    const mallory = await server.createUser({ username: 'mallory' })
    const one = await app({ hostname: 'app-one.localhost', metadata: { first_party: true } })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    const signInPage = page.url()
    // Mallory's own page lends the attack a token that is good in her browser.
    const hers = await person()
    await hers.page.goto(`${one.origin}/login`)
    const token = await hers.page.inputValue('input[name=form_token]')

    const evil = await site('evil.localhost', {
      'GET /': () => ({
        html: posting(signInPage, {
          username: 'mallory',
          password: mallory.password,
          form_token: token,
        }),
      }),
    })
    const before = await server.counts()
    const answered = page.waitForResponse(response => response.request().method() === 'POST')
    await page.goto(evil.origin, { waitUntil: 'commit' })
    const answer = await answered
    expect(answer.status()).toBe(403)
    expect(await answer.request().headerValue('sec-fetch-site')).toBe('cross-site')
    await page.waitForSelector('[data-error=csrf]')
    expect((await server.counts())['session']).toBe(before['session'])

    await page.goto(`${one.origin}/login`)
    await expectHeading(page, 'Sign in')
    expect((await server.audit()).map(({ event }) => event)).toContain('csrf.rejected')
  })

  it('SEC-022 allows no app in alice’s name, though it knows the address of her consent page', async () => {
    const { server, app, site, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost' })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await page.waitForSelector('button[name=decision]')
    const consentPage = page.url()
    const evil = await site('evil.localhost', {
      'GET /': () => ({ html: posting(consentPage, { decision: 'allow' }) }),
    })
    await page.goto(evil.origin, { waitUntil: 'commit' })
    await page.waitForSelector('[data-error=csrf]')
    expect(await server.counts()).toMatchObject({ code: 0, consent: 0, authorization: 0 })

    await page.goto(consentPage)
    await decide(page, 'allow')
    expect(await userAt(page)).toBe('alice')
  })

  it('SEC-023 cannot have alice finish what mallory began', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost' })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await page.waitForSelector('button[name=decision]')

    const mallory = await person()
    await mallory.page.goto(`${one.origin}/login`)
    const signIn = mallory.page.url()
    await page.goto(signIn)
    expect(await page.getAttribute('[data-error]', 'data-error')).toBe('other_browser')
    await expectHeading(page, 'This was started in another browser')
    expect(await page.locator('form').count()).toBe(0)
  })

  it('SEC-026 shows none of our pages in a frame', async () => {
    const { server, app, site, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost' })
    const { page } = await person({ mayComplain: /frame-ancestors|X-Frame-Options|chrome-error:/i })
    await page.goto(`${one.origin}/login`)
    const signIn = page.url()
    await fillSignIn(page, alice)
    await page.waitForSelector('button[name=decision]')
    const consent = page.url()
    const authorize = authorizeUrl(one.client, {
      code_challenge: pkcePair().challenge,
      code_challenge_method: 'S256',
    })
    const addresses = [
      signIn,
      consent,
      `${server.issuer}${authorize}`,
      `${server.issuer}/logout`,
      `${server.issuer}/`,
      `${server.issuer}/authorize`,
      `${server.issuer}/nowhere`,
    ]
    const evil = await site('evil.localhost', {
      'GET /': () => ({
        html: htmlPage(addresses.map(address => `<iframe src="${address}"></iframe>`).join('')),
      }),
    })
    await page.goto(evil.origin)
    const frames = page.frames().filter(frame => frame !== page.mainFrame())
    expect(frames).toHaveLength(addresses.length)
    // What stands there is the browser's own page, at no address of ours; a request goes back to its app.
    const shown = (frame: (typeof frames)[number]): string => frame.url().split('?')[0] ?? ''
    await expect
      .poll(() => frames.map(shown))
      .toEqual(
        addresses.map((_, index) => (index === 2 ? one.client.redirectUri : 'chrome-error://chromewebdata/')),
      )
    expect(frames[2]?.url()).toContain('error=interaction_required')
  })

  it('holds on to no window of an administrator (COOP), and leaves the popups of sign-in alone', async () => {
    const { server, app, site, person } = await startWorld(chromium)
    const one = await app({ hostname: 'app-one.localhost' })
    const [link] = server.announced
    const evil = await site('evil.localhost', {
      'GET /': () => ({ html: htmlPage('<button>open</button>') }),
    })
    const { page, context } = await person()
    await page.goto(evil.origin)
    const windowOpenedAt = async (address: string) => {
      const opened = context.waitForEvent('page')
      await page.evaluate(`void open(${JSON.stringify(address)})`)
      const popup = await opened
      await popup.waitForSelector('h1')
      return popup
    }
    const setUp = await windowOpenedAt(setUpLink(link))
    expect(await setUp.evaluate('window.opener')).toBeNull()
    const signIn = await windowOpenedAt(`${one.origin}/login`)
    expect(await signIn.evaluate('window.opener !== null')).toBe(true)
  })
})

const setUpLink = (line = ''): string => /https?:\S+/.exec(line)?.[0] ?? ''
