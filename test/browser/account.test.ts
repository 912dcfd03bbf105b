/** The account without JavaScript: what somebody ends here has ended at other browsers and in other apps. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { expectHeading, fillSignIn, sidAt, startWorld, userAt } from '../support/world.ts'

let chromium: Chromium
beforeAll(async () => {
  chromium = await startChromium()
})
afterAll(() => chromium.close())

const houseApp = { hostname: 'app-one.localhost', metadata: { first_party: true, client_name: 'Wiki' } }

describe('the account, without JavaScript', () => {
  it('signs out another browser, and its app at the next reload', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const wiki = await app(houseApp)
    const elsewhere = await person()
    await elsewhere.page.goto(`${wiki.origin}/login`)
    await fillSignIn(elsewhere.page, alice)
    expect(await userAt(elsewhere.page)).toBe('alice')
    const sid = await sidAt(elsewhere.page)

    const { page } = await person({ javaScriptEnabled: false })
    await page.goto(`${server.issuer}/account/sessions`)
    await fillSignIn(page, alice)
    await expectHeading(page, 'Where you’re signed in')
    await page.click(`button[name=revoke][value="${sid}"]`)
    await page.waitForSelector('.notice.good')
    expect(await page.locator('button[name=revoke]').count()).toBe(1)

    await elsewhere.page.reload()
    expect(await elsewhere.page.locator('[data-user]').count()).toBe(0)
    await elsewhere.page.goto(`${server.issuer}/account`)
    await expectHeading(elsewhere.page, 'Sign in')
  })

  it('takes an app’s access back, and the app shows it at the next reload', async () => {
    const { server, app, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const wiki = await app(houseApp)
    const { page } = await person({ javaScriptEnabled: false })
    await page.goto(`${wiki.origin}/login`)
    await fillSignIn(page, alice)
    expect(await userAt(page)).toBe('alice')
    await page.goto(`${server.issuer}/account/apps`)
    await page.click('button[name=revoke]')
    await page.waitForSelector('.notice.good')
    await page.goto(wiki.origin)
    expect(await page.locator('[data-user]').count()).toBe(0)
  })

  it('changes the password, from the front page on', async () => {
    const { server, person } = await startWorld(chromium)
    const alice = await server.createUser()
    const { page } = await person({ javaScriptEnabled: false })
    await page.goto(`${server.issuer}/`)
    await page.click('a[href="/account"]')
    await fillSignIn(page, alice)
    await page.click('nav a[href="/account/password"]')
    await page.fill('input[name=current_password]', 'not it')
    await page.fill('input[name=new_password]', 'purple ficus under a lintel')
    await page.click('form button')
    await page.waitForSelector('[data-error=invalid_credentials]')
    await page.fill('input[name=current_password]', alice.password)
    await page.fill('input[name=new_password]', 'purple ficus under a lintel')
    await page.click('form button')
    await page.waitForSelector('.notice.good')
    await page.click('a[href="/logout"]')
    await page.click('button[value=yes]')
    await page.goto(`${server.issuer}/account`)
    await fillSignIn(page, { ...alice, password: 'purple ficus under a lintel' })
    await expectHeading(page, 'alice')
  })
})
