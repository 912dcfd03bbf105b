/**
 * A real Chromium with the defaults people have, not those of a test tool: started here, then connected to.
 * What its console said, policy violations included, is kept for the test to look at.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const executable = '/usr/bin/chromium'

const args = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Phones have none that take room.
  '--hide-scrollbars',
  '--remote-debugging-port=0',
]

/** `blocked` is the default of Debian's Chromium, and as Safari and Firefox have it; `allowed` the default of Chrome. */
export type ThirdPartyCookies = 'blocked' | 'allowed'

export type Chromium = {
  /** A browser nobody has used yet. */
  fresh: (options?: BrowserContextOptions) => Promise<Person>
  /** The profile itself, where what the profile says of third-party cookies holds. */
  profile: () => Promise<Person>
  close: () => Promise<void>
}

/** Somebody at a browser of their own. */
export type Person = {
  context: BrowserContext
  page: Page
  /** Errors of the console and of scripts; the status of a page that was asked for is no error. */
  complaints: () => string[]
  close: () => Promise<void>
}

/** Starts one. Close it in the file that started it. */
export const startChromium = async ({
  thirdPartyCookies,
}: {
  thirdPartyCookies?: ThirdPartyCookies
} = {}): Promise<Chromium> => {
  if (!existsSync(executable))
    throw new Error(`${executable} is missing; these tests need it: apt-get install chromium`)
  const directory = mkdtempSync(join(tmpdir(), 'lintel-chromium-'))
  if (thirdPartyCookies !== undefined) {
    mkdirSync(join(directory, 'Default'))
    const mode = thirdPartyCookies === 'allowed' ? 0 : 1
    writeFileSync(
      join(directory, 'Default', 'Preferences'),
      JSON.stringify({ profile: { cookie_controls_mode: mode } }),
    )
  }
  // A group of its own, so that its helpers end with it.
  const child = spawn(executable, [...args, `--user-data-dir=${directory}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  const kill = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL')
  }
  process.once('exit', kill)
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const end = async (ask: () => Promise<unknown>): Promise<void> => {
    const insist = setTimeout(kill, 3000)
    await ask().catch(kill)
    await ended
    clearTimeout(insist)
    process.off('exit', kill)
    await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
  try {
    const browser = await chromium.connectOverCDP(await addressOf(child))
    return {
      fresh: async options => watch(await browser.newContext(options)),
      profile: async () => {
        const [context] = browser.contexts()
        if (!context) throw new Error('Chromium has no profile')
        return watch(context)
      },
      close: () =>
        end(async () => {
          const session = await browser.newBrowserCDPSession()
          await session.send('Browser.close')
        }),
    }
  } catch (error) {
    await end(async () => kill())
    throw error
  }
}

/** The address that it prints when it can be connected to. */
const addressOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = ''
    const failed = (why: string): void => reject(new Error(`Chromium did not start: ${why}\n${said}`))
    const timer = setTimeout(() => failed('it said nothing for 30 seconds'), 30_000)
    child.once('error', error => failed(error.message))
    child.once('exit', code => failed(`it ended with ${code}`))
    child.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-8000)
      const found = /DevTools listening on (ws:\S+)/.exec(said)
      if (!found?.[1]) return
      clearTimeout(timer)
      resolve(found[1])
    })
  })

const watch = async (context: BrowserContext): Promise<Person> => {
  context.setDefaultTimeout(15_000)
  const complained: { text: string; url: string }[] = []
  const refusedPages = new Set<string>()
  context.on('response', response => {
    if (response.status() >= 400 && response.request().isNavigationRequest()) refusedPages.add(response.url())
  })
  context.on('console', message => {
    if (message.type() === 'error') complained.push({ text: message.text(), url: message.location().url })
  })
  context.on('weberror', error => complained.push({ text: String(error.error()), url: '' }))
  return {
    context,
    page: await context.newPage(),
    complaints: () =>
      complained
        .filter(({ text, url }) => !(text.startsWith('Failed to load resource') && refusedPages.has(url)))
        .map(({ text, url }) => `${text} (${url})`),
    close: () => context.close(),
  }
}
