import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { decide, expectHeading, fillSignIn, sidAt, startWorld, userAt } from '../support/world.ts'

let chromium: Chromium
beforeAll(async () => {
  chromium = await startChromium()
})
afterAll(() => chromium.close())

const ours = { first_party: true }

describe('signing in', () => {
  it('asks for the password, then whether the app may know, and the app knows', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser({ name: 'Alice A.' })
    const one = await app({ hostname: 'app-one.localhost', name: 'One' })
    const { page, context } = await person()

    await page.goto(one.origin)
    await page.click('[data-action=sign-in]')
    expect(new URL(page.url()).origin).toBe(server.issuer)
    await expectHeading(page, 'Sign in')
    await fillSignIn(page, alice)
    await expectHeading(page, 'Allow One to use your account?')
    expect(await page.textContent('.lead')).toContain(new URL(one.origin).host)
    await decide(page, 'allow')
    expect(await userAt(page)).toBe('alice')
    expect(page.url()).toBe(`${one.origin}/`)

    const cookies = await context.cookies(server.issuer)
    expect(cookies).toHaveLength(1)
    expect(cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Lax', path: '/', domain: 'localhost' })
  })

  it('a wrong password keeps the name, says so, and the right one goes on', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, { ...alice, password: 'not this one' })
    expect(await page.textContent('[data-error=invalid_credentials]')).toContain('don’t match')
    expect(await page.inputValue('input[name=username]')).toBe('alice')
    expect(await page.inputValue('input[name=password]')).toBe('')
    await page.fill('input[name=password]', alice.password)
    await page.keyboard.press('Enter')
    expect(await userAt(page)).toBe('alice')
  })

  it('who does not allow it comes back to the app as access_denied, and is asked again next time', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost' })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await decide(page, 'deny')
    expect(await page.getAttribute('[data-error]', 'data-error')).toBe('access_denied')
    expect(new URL(page.url()).searchParams.get('iss')).toBe(server.issuer)
    expect(one.signedIn()).toEqual([])

    await page.goto(`${one.origin}/login`)
    await decide(page, 'allow')
    expect(await userAt(page)).toBe('alice')
  })

  it('SEC-030 the cookie of before the sign-in is worth nothing after it', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const { page, context } = await person()
    await page.goto(`${one.origin}/login`)
    const before = await context.cookies(server.issuer)
    await fillSignIn(page, alice)
    await userAt(page)
    const after = await context.cookies(server.issuer)
    expect(after[0]?.value).not.toBe(before[0]?.value)

    const mallory = await person()
    await mallory.context.addCookies(before)
    await mallory.page.goto(`${one.origin}/login`)
    await expectHeading(mallory.page, 'Sign in')
  })
})

describe('single sign-on', () => {
  it('a second app on another site opens without a page, with the same session', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const two = await app({ hostname: 'app-two.localhost', metadata: ours })
    const { page, context } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    const sid = await sidAt(page)

    const pages: string[] = []
    page.on('response', response => {
      if (response.status() === 200 && response.url().startsWith(server.issuer)) pages.push(response.url())
    })
    await page.goto(`${two.origin}/login`)
    expect(await userAt(page)).toBe('alice')
    expect(await sidAt(page)).toBe(sid)
    expect(pages).toEqual([])

    const names = async (url: string) => (await context.cookies(url)).map(({ name }) => name)
    expect(await names(one.origin)).toEqual(['app-one-localhost'])
    expect(await names(two.origin)).toEqual(['app-two-localhost'])
    expect(await names(server.issuer)).toEqual([`lintel-${new URL(server.issuer).port}`])
  })

  it('prompt=none answers login_required before and a code after, and never shows a page', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const { page } = await person()
    await page.goto(`${one.origin}/login?prompt=none`)
    expect(await page.getAttribute('[data-error]', 'data-error')).toBe('login_required')
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await userAt(page)
    await page.goto(`${one.origin}/login?prompt=none`)
    expect(await userAt(page)).toBe('alice')
  })

  it('prompt=login asks for the password again, names who it is, and keeps the session', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    const sid = await sidAt(page)
    await page.goto(`${one.origin}/login?prompt=login`)
    await expectHeading(page, 'Confirm it’s you')
    expect(await page.inputValue('input[name=username]')).toBe('alice')
    await page.fill('input[name=password]', alice.password)
    await page.keyboard.press('Enter')
    expect(await sidAt(page)).toBe(sid)
  })
})

describe('two people at one browser', () => {
  it('the chooser offers both, and the chosen one goes on without a password', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const bob = await server.createUser({ username: 'bob' })
    const one = await app({ hostname: 'app-one.localhost', metadata: ours })
    const two = await app({ hostname: 'app-two.localhost', metadata: ours })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    const aliceSid = await sidAt(page)

    await page.goto(`${two.origin}/login?prompt=select_account`)
    await expectHeading(page, 'Choose an account')
    expect(await page.locator('button[name=account]').allTextContents()).toEqual([
      'alice',
      'Use another account',
    ])
    await page.click('button[name=account][value=other]')
    await fillSignIn(page, bob)
    expect(await userAt(page)).toBe('bob')
    expect(await sidAt(page)).not.toBe(aliceSid)

    await page.goto(`${two.origin}/login?prompt=select_account`)
    expect(await page.locator('button[name=account]').allTextContents()).toEqual([
      'alice',
      'bob',
      'Use another account',
    ])
    await page.getByRole('button', { name: 'alice' }).click()
    expect(await userAt(page)).toBe('alice')
    expect(await sidAt(page)).toBe(aliceSid)
  })

  it('the consent page leads to another account, and that one signs in', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const bob = await server.createUser({ username: 'bob' })
    const one = await app({ hostname: 'app-one.localhost' })
    const { page } = await person()
    await page.goto(`${one.origin}/login`)
    await fillSignIn(page, alice)
    await page.getByRole('link', { name: 'Use another account' }).click()
    await page.click('button[name=account][value=other]')
    await expectHeading(page, 'Sign in')
    await fillSignIn(page, bob)
    expect(await page.textContent('.person strong')).toBe('bob')
    await decide(page, 'allow')
    expect(await userAt(page)).toBe('bob')
  })
})
