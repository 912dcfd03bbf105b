/** Every page, looked at: by axe in light and dark, narrow, and with SCREENS=1 by people (docs/screens). */
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { screens } from '../support/screens.ts'
import { expectHeading, startWorld } from '../support/world.ts'

const folder = join(import.meta.dirname, '../../docs/screens')
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let chromium: Chromium
beforeAll(async () => {
  chromium = await startChromium()
  mkdirSync(folder, { recursive: true })
})
afterAll(() => chromium.close())

type Violation = { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }

/** What axe objects to, its best practices included. */
const violationsOn = async (page: Page): Promise<string[]> => {
  const found = await page.evaluate<Violation[]>('axe.run(document).then(result => result.violations)')
  return found.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}\n${html}\n${failureSummary ?? ''}`),
  )
}

const picture = async (page: Page, name: string): Promise<void> => {
  if (process.env['SCREENS']) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
}

const wanted = screens.filter(
  ({ isSeldom }) => !isSeldom || process.env['SCREENS'] || process.env['LINTEL_TEST_LONG'],
)

describe.each(wanted)('the page $name', ({ name, heading, locale = 'en-US', open }) => {
  it('has nothing that axe objects to, light or dark, and fits 360 pixels', async () => {
    const world = await startWorld(chromium)
    const { page } = await world.person({
      viewport: { width: 900, height: 720 },
      colorScheme: 'light',
      reducedMotion: 'reduce',
      locale,
    })
    await open(world, page)
    await expectHeading(page, heading)
    await page.waitForLoadState('domcontentloaded')
    await page.evaluate(axe)

    await picture(page, `${name}-light`)
    expect(await violationsOn(page)).toEqual([])

    await page.emulateMedia({ colorScheme: 'dark' })
    await picture(page, `${name}-dark`)
    expect(await violationsOn(page)).toEqual([])

    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
    await page.setViewportSize({ width: 360, height: 640 })
    await picture(page, `${name}-360`)
    expect(await page.evaluate('document.documentElement.scrollWidth'), 'scrolls sideways').toBe(360)
  })
})
