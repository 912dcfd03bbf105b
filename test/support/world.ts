/** A server, apps and sites of other origins, and people at real browsers: all of it gone when the test ends. */
import type { BrowserContextOptions, Page } from 'playwright-core'
import { expect, onTestFinished } from 'vitest'
import type { Chromium, Person } from './chromium.ts'
import { type RelyingParty, type RelyingPartyOptions, startRelyingParty } from './relying-party.ts'
import { type ServerOptions, startServer, type TestServer } from './server.ts'
import { type Site, type SiteHandlers, startSite } from './site.ts'

export type World = {
  server: TestServer
  app: (options: RelyingPartyOptions) => Promise<RelyingParty>
  site: (hostname: string, handlers: SiteHandlers) => Promise<Site>
  /** Somebody at a fresh browser. Whatever the console complains of fails the test, `mayComplain` aside. */
  person: (options?: BrowserContextOptions & { mayComplain?: RegExp }) => Promise<Person>
}

/** Starts it for the test that runs. */
export const startWorld = async (chromium: Chromium, options: ServerOptions = {}): Promise<World> => {
  const server = await startServer(options)
  onTestFinished(() => server.stop())
  return {
    server,
    app: async wanted => {
      const app = await startRelyingParty(server, wanted)
      onTestFinished(async () => {
        await app.close()
        expect(app.failures, `${app.origin} could not go on`).toEqual([])
      })
      return app
    },
    site: async (hostname, handlers) => {
      const site = await startSite(hostname, handlers)
      onTestFinished(() => site.close())
      return site
    },
    person: async ({ mayComplain, ...wanted } = {}) => {
      const person = await chromium.fresh(wanted)
      onTestFinished(async () => {
        await person.close()
        expectQuiet(person, mayComplain)
      })
      return person
    },
  }
}

/** No error in any console: no violation of a policy, no script that failed. */
export const expectQuiet = (person: Person, mayComplain?: RegExp): void =>
  expect(
    person.complaints().filter(text => !mayComplain?.test(text)),
    'errors in the console',
  ).toEqual([])

/** Fills the sign-in form and sends it. */
export const fillSignIn = async (
  page: Page,
  { username, password }: { username: string; password: string },
): Promise<void> => {
  await page.fill('input[name=username]', username)
  await page.fill('input[name=password]', password)
  await page.click('form:has(input[name=password]) button')
}

/** Answers the consent page. */
export const decide = (page: Page, decision: 'allow' | 'deny' | 'yes' | 'no'): Promise<void> =>
  page.click(`button[name=decision][value=${decision}]`)

/** Waits for the page with this heading. */
export const expectHeading = async (page: Page, text: string): Promise<void> => {
  const heading = page.locator('h1')
  await expect.poll(() => heading.textContent(), { timeout: 15_000, message: page.url() }).toBe(text)
}

/** Who the app says is signed in; waits until it says so. */
export const userAt = async (page: Page): Promise<string> =>
  (await page.getAttribute('[data-user]', 'data-user')) ?? ''

/** The session that the app was told of. */
export const sidAt = async (page: Page): Promise<string> =>
  (await page.getAttribute('[data-sid]', 'data-sid')) ?? ''
