import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { decide, expectHeading, fillSignIn, startWorld, userAt } from '../support/world.ts'

let chromium: Chromium
beforeAll(async () => {
  chromium = await startChromium()
})
afterAll(() => chromium.close())

const ours = { first_party: true }

describe('several tabs of one browser', () => {
  it('each goes on from where it is, whichever signs in first', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const two = await app({ hostname: 'app-two.localhost' })
    const { page, context } = await person()
    const [second, third] = [await context.newPage(), await context.newPage()]
    await page.goto(`${one.origin}/login`)
    await second.goto(`${two.origin}/login`)
    await third.goto(`${two.origin}/login`)

    await fillSignIn(page, alice)
    expect(await userAt(page)).toBe('alice')

    // Its form is older than the sign-in of the first: it goes on as who is signed in by now.
    await fillSignIn(second, alice)
    await decide(second, 'allow')
    expect(await userAt(second)).toBe('alice')

    // Loaded again, it offers who is signed in by now.
    await third.reload()
    await third.click('a.button')
    await third.getByRole('button', { name: 'alice' }).click()
    expect(await userAt(third)).toBe('alice')
    expect(
      new Set(
        one
          .signedIn()
          .concat(two.signedIn())
          .map(({ sid }) => sid),
      ).size,
    ).toBe(1)
  })

  it('a person who changes in one tab changes no request of another: its consent page names who it is for', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const bob = await server.createUser({ username: 'bob' })
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const two = await app({ hostname: 'app-two.localhost' })
    const { page, context } = await person()
    await page.goto(`${two.origin}/login`)
    await fillSignIn(page, alice)
    expect(await page.textContent('.person strong')).toBe('alice')

    const other = await context.newPage()
    await other.goto(`${one.origin}/login?prompt=select_account`)
    await other.click('button[value=other]')
    await fillSignIn(other, bob)
    expect(await userAt(other)).toBe('bob')

    // The page says alice; bob must not be handed over by her press of the button.
    await decide(page, 'allow')
    expect(await page.textContent('.person strong')).toBe('bob')
    expect(two.signedIn()).toEqual([])
  })
})

describe('the back button', () => {
  it('after signing in leads on, not to a second sign-in', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost' })
    const { page } = await person()
    await page.goto(one.origin)
    await page.click('[data-action=sign-in]')
    await fillSignIn(page, alice)
    await page.waitForSelector('button[name=decision]')
    await page.goBack()
    await expectHeading(page, 'Allow app-one.localhost to use your account?')
    await decide(page, 'allow')
    expect(await userAt(page)).toBe('alice')
  })

  it('after the app’s callback: consent that is sent again is answered already, and a link leads to the app', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', name: 'One' })
    const { page } = await person()
    await page.goto(one.origin)
    await page.click('[data-action=sign-in]')
    await fillSignIn(page, alice)
    await decide(page, 'allow')
    await userAt(page)
    // Out of the back/forward cache, as it was left.
    await page.goBack({ waitUntil: 'commit' })
    await decide(page, 'allow')
    await expectHeading(page, 'This was finished already')
    await page.getByRole('link', { name: 'Start again at One' }).click()
    expect(await userAt(page)).toBe('alice')
    expect(one.signedIn()).toHaveLength(2)
  })

  it('after the app’s callback: the sign-in page says that it was finished, and nobody is signed out', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', name: 'One', metadata: ours })
    const { page } = await person()
    await page.goto(one.origin)
    await page.click('[data-action=sign-in]')
    await fillSignIn(page, alice)
    await userAt(page)
    await page.goBack({ waitUntil: 'commit' })
    await expectHeading(page, 'This was finished already')
    await page.getByRole('link', { name: 'Start again at One' }).click()
    expect(await userAt(page)).toBe('alice')
  })
})

describe('a page that was left open', () => {
  it('for more than half an hour names the app, and starts again there', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', name: 'One', metadata: ours })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    server.sleep(1801)
    one.sleep(1801)
    await fillSignIn(page, alice)
    expect(await page.getAttribute('[data-error]', 'data-error')).toBe('expired')
    await expectHeading(page, 'This page was open for too long')
    const link = page.getByRole('link', { name: 'Start again at One' })
    expect(await link.getAttribute('href')).toBe(`${one.origin}/login`)
    await link.click()
    await fillSignIn(page, alice)
    expect(await userAt(page)).toBe('alice')
  })

  it('for less is still good', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    server.sleep(1700)
    one.sleep(1700)
    await fillSignIn(page, alice)
    expect(await userAt(page)).toBe('alice')
  })

  it('a session that was idle for an hour asks for the password again', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await userAt(page)
    server.sleep(3601)
    one.sleep(3601)
    await page.goto(`${one.origin}/login`)
    await expectHeading(page, 'Sign in')
    await fillSignIn(page, alice)
    expect(await userAt(page)).toBe('alice')
  })
})
