import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { setUpLink } from '../support/screens.ts'
import { decide, expectHeading, fillSignIn, startWorld, userAt } from '../support/world.ts'

let chromium: Chromium
beforeAll(async () => {
  chromium = await startChromium()
})
afterAll(() => chromium.close())

/** What the keyboard is at. */
const focused = (page: Page): Promise<string> =>
  page.evaluate<string>(
    '((e) => e.getAttribute("name") ? e.getAttribute("name") + (e.tagName === "BUTTON" ? "=" + e.value : "") : e.textContent.trim())(document.activeElement)',
  )

describe('set-up', () => {
  it('by the printed link makes the first administrator, signed in, once', async () => {
    const { server, person } = await startWorld(chromium)
    const { page } = await person()
    await page.goto(setUpLink(server))
    expect(await page.textContent('.fact code')).toBe(server.issuer)
    expect(await focused(page)).toBe('username')

    await page.fill('input[name=username]', 'the first')
    await page.fill('input[name=email]', 'first@localhost')
    await page.fill('input[name=password]', 'short')
    await page.click('form button')
    await expectHeading(page, 'Welcome to Lintel')
    await page.waitForSelector('#summary')
    expect(await page.title()).toMatch(/^Error: /)
    expect(await page.inputValue('input[name=username]')).toBe('the first')
    expect(await page.inputValue('input[name=email]')).toBe('first@localhost')
    expect(await page.inputValue('input[name=password]')).toBe('')
    expect(await page.textContent('#username-fault')).toContain('Leave out spaces')
    expect(await page.textContent('#password-fault')).toContain('at least 15 characters')
    // The summary has the focus, and its links lead to the fields.
    expect(await page.evaluate('document.activeElement.id')).toBe('summary')
    await page.click('#summary a[href="#username"]')
    expect(await focused(page)).toBe('username')

    await page.fill('input[name=username]', 'first')
    await page.fill('input[name=password]', 'purple ficus under a lintel')
    await page.keyboard.press('Enter')
    await expectHeading(page, 'Hello, first')

    await page.goto(setUpLink(server))
    await expectHeading(page, 'This link no longer works')
  })

  it('a server that has none yet says where to look, and a wrong link does not work', async () => {
    const { server, person } = await startWorld(chromium)
    const { page } = await person()
    await page.goto(`${server.issuer}/`)
    await page.getByText('no administrator yet').waitFor()
    await page.goto(`${server.issuer}/setup?token=wrong`)
    await expectHeading(page, 'This link no longer works')
  })
})

describe('with the keyboard alone', () => {
  it('one signs in and allows, with Tab and Enter', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost' })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    expect(await focused(page)).toBe('username')
    await page.keyboard.type('alice')
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('password')
    await page.keyboard.type(alice.password)
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('Sign in')
    await page.keyboard.press('Enter')
    await page.waitForSelector('button[name=decision]')

    // Nothing is chosen beforehand; the first stops are the other account, then the decision.
    const stops: string[] = []
    for (let tabs = 0; tabs < 3; tabs++) {
      await page.keyboard.press('Tab')
      stops.push(await focused(page))
    }
    expect(stops).toEqual(['Use another account', 'decision=allow', 'decision=deny'])
    const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
    expect(outline, 'the focus can be seen').toBe('solid')
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Enter')
    expect(await userAt(page)).toBe('alice')
  })

  it('one chooses an account', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: { first_party: true } })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await userAt(page)
    await page.goto(`${one.origin}/login?prompt=select_account`)
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.textContent')).toBe('alice')
    await page.keyboard.press('Space')
    expect(await userAt(page)).toBe('alice')
  })
})

describe('with JavaScript switched off', () => {
  it('everything goes on: sign-in, refusal, consent, chooser, sign-out', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const bob = await server.createUser({ username: 'bob' })
    const one = await app({ hostname: 'app-one.localhost' })
    const { page } = await person({ javaScriptEnabled: false })
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, { ...alice, password: 'wrong' })
    await page.waitForSelector('[data-error=invalid_credentials]')
    await fillSignIn(page, alice)
    await decide(page, 'allow')
    expect(await userAt(page)).toBe('alice')

    await page.goto(`${one.origin}/login?prompt=select_account`)
    await page.click('button[value=other]')
    await fillSignIn(page, bob)
    await decide(page, 'allow')
    expect(await userAt(page)).toBe('bob')

    await page.goto(`${server.issuer}/logout`)
    await decide(page, 'yes')
    await expectHeading(page, 'You’re signed out')
  })

  it('set-up too', async () => {
    const { server, person } = await startWorld(chromium)
    const { page } = await person({ javaScriptEnabled: false })
    await page.goto(setUpLink(server))
    await page.fill('input[name=username]', 'first')
    await page.fill('input[name=email]', 'first@example.com')
    await page.fill('input[name=password]', 'purple ficus under a lintel')
    await page.click('form button')
    await expectHeading(page, 'Hello, first')
  })
})

describe('what is sent twice', () => {
  it('a double click on a button signs in once, allows once and signs out once', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost' })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await page.fill('input[name=username]', 'alice')
    await page.fill('input[name=password]', alice.password)
    await page.dblclick('form button')
    await page.dblclick('button[value=allow]')
    expect(await userAt(page)).toBe('alice')
    expect(await server.counts()).toMatchObject({ session: 1, authorization: 1 })
    await page.goto(`${server.issuer}/logout`)
    await page.dblclick('button[value=yes]')
    await expectHeading(page, 'You’re signed out')
  })
})
