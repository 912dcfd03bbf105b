/** A real Firefox, Debian's, driven over WebDriver BiDi: what Chromium and it do differently is looked at in both. */
import { existsSync } from 'node:fs'
import puppeteer, { type Browser, type Page } from 'puppeteer-core'

const executablePath = '/usr/bin/firefox-esr'

/** Starts one. Close it in the file that started it. */
export const startFirefox = (): Promise<Browser> => {
  if (!existsSync(executablePath))
    throw new Error(`${executablePath} is missing; these tests need it: apt-get install firefox-esr`)
  return puppeteer.launch({ browser: 'firefox', executablePath, headless: true, timeout: 60_000 })
}

/** Fills the sign-in form and sends it. */
export const fillSignInWith = async (
  page: Page,
  { username, password }: { username: string; password: string },
): Promise<void> => {
  await page.locator('input[name=username]').fill(username)
  await page.locator('input[name=password]').fill(password)
  await page.locator('form:has(input[name=password]) button').click()
}

/** Waits for the page with this heading. */
export const waitForHeading = async (page: Page, text: string): Promise<void> => {
  await page.waitForFunction(`document.querySelector('h1')?.textContent === ${JSON.stringify(text)}`)
}
