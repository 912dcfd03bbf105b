/** `npm run demo` as somebody runs it who has just cloned the repository, up to Ctrl-C. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { decide, expectHeading, expectQuiet, fillSignIn, userAt } from '../support/world.ts'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'docs/screens')
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

type Summary = {
  issuer: string
  apps: { name: string; url: string; kind: string }[]
  user: { username: string; password: string }
}

let chromium: Chromium
beforeAll(async () => {
  chromium = await startChromium()
})
afterAll(() => chromium.close())

const isFree = (port: number, host: string): Promise<boolean> =>
  new Promise(resolve => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'))
    probe.listen(port, host, () => probe.close(() => resolve(true)))
  })

const areFree = async (base: number): Promise<boolean> => {
  for (let port = base; port < base + 6; port++)
    for (const host of ['127.0.0.1', '::1']) if (!(await isFree(port, host))) return false
  return true
}

/** The first of a few ports in a row that nobody uses. */
const freeBase = async (): Promise<number> => {
  for (let base = 21_000 + (process.pid % 900) * 10; base < 60_000; base += 10)
    if (await areFree(base)) return base
  throw new Error('no ports are free')
}

type Demo = { child: ChildProcess; said: () => string; printed: () => string; ended: Promise<number | null> }

/** In a process group of its own, as a shell starts it: Ctrl-C is a SIGINT to all of it. */
const startDemo = (base: number, temporary: string): Demo => {
  const child = spawn('npm', ['run', '-s', 'demo', '--', '--json', '--port-base', String(base)], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary },
  })
  const texts = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    texts.out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    texts.err += chunk.toString()
  })
  const ended = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)))
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    process.kill(-child.pid, 'SIGKILL')
    await ended
  })
  return { child, said: () => texts.err, printed: () => texts.out, ended }
}

const violationsOn = async (page: Page): Promise<string[]> => {
  await page.evaluate(axe)
  return page.evaluate<string[]>(
    'axe.run(document).then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + " " + html)))',
  )
}

/** Looks at a page of an app as at our own. */
const look = async (page: Page, name: string): Promise<void> => {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    if (process.env['SCREENS'])
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`), fullPage: true })
    expect(await violationsOn(page), `${name}, ${colorScheme}`).toEqual([])
  }
}

it('one password opens both apps, one sign-out closes both, Ctrl-C ends it all', {
  timeout: 120_000,
}, async () => {
  mkdirSync(folder, { recursive: true })
  const temporary = mkdtempSync(join(tmpdir(), 'lintel-test-demo-'))
  onTestFinished(() => rmSync(temporary, { recursive: true, force: true }))
  const base = await freeBase()
  const demo = startDemo(base, temporary)
  await expect.poll(demo.printed, { timeout: 90_000, message: demo.said() }).toContain('\n')
  const { issuer, apps, user } = JSON.parse(demo.printed().split('\n')[0] ?? '') as Summary
  expect(issuer).toBe(`http://localhost:${base}`)
  expect(apps.map(({ name, kind }) => [name, kind])).toEqual([
    ['Notes', 'web'],
    ['Shop', 'web'],
  ])
  const [notes = '', shop = ''] = apps.map(({ url }) => url)

  const person = await chromium.fresh({ viewport: { width: 1000, height: 800 }, reducedMotion: 'reduce' })
  const { page, context } = person
  await page.goto(notes)
  await look(page, 'demo-notes')
  await page.click('[data-action=sign-in]')
  await fillSignIn(page, user)
  // Notes is of the house: it asks nothing more.
  expect(await userAt(page)).toBe('demo')
  expect(new URL(page.url()).origin).toBe(notes)
  const sid = await page.textContent('.sid')
  await look(page, 'demo-notes-signed-in')

  const other = await context.newPage()
  await other.goto(shop)
  await look(other, 'demo-shop')
  await other.click('[data-action=sign-in]')
  await expectHeading(other, 'Allow Shop to use your account?')
  await decide(other, 'allow')
  expect(await userAt(other)).toBe('demo')
  expect(await other.textContent('.sid')).toBe(sid)
  await look(other, 'demo-shop-signed-in')

  const jars = await Promise.all([issuer, notes, shop].map(url => context.cookies(url)))
  const values = jars.flatMap(jar => jar.map(({ domain, value }) => `${domain} ${value}`))
  expect(jars.every(jar => jar.length > 0)).toBe(true)
  expect(new Set(values).size, 'no cookie is seen at two places').toBe(values.length)
  expect(jars.map(jar => [...new Set(jar.map(({ domain }) => domain))])).toEqual(
    [issuer, notes, shop].map(url => [new URL(url).hostname]),
  )

  await other.click('[data-action=sign-out]')
  await other.waitForSelector('[data-action=sign-in]')
  expect(new URL(other.url()).origin).toBe(shop)
  await page.reload()
  await page.waitForSelector('[data-action=sign-in]')
  expect(await page.locator('[data-user]').count()).toBe(0)

  await person.close()
  expectQuiet(person)

  process.kill(-(demo.child.pid ?? 0), 'SIGINT')
  await demo.ended
  expect(await areFree(base), 'a port is still taken').toBe(true)
  expect(readdirSync(temporary).filter(name => name.startsWith('lintel-demo-'))).toEqual([])
})

it('a taken port ends it with 1, and says which', { timeout: 60_000 }, async () => {
  const base = await freeBase()
  const taken = createServer().listen(base + 2, '127.0.0.1')
  onTestFinished(() => void taken.close())
  const demo = startDemo(base, tmpdir())
  expect(await demo.ended).toBe(1)
  expect(demo.said()).toContain(`Port ${base + 2}, for Shop, is taken`)
  expect(demo.printed()).toBe('')
})
