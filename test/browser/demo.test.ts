/** `npm run demo` as somebody runs it who has just cloned the repository, up to Ctrl-C. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page, Response } from 'playwright-core'
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
  for (let port = base; port < base + 7; port++)
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

/** Looks at a page of an app as at our own: axe in dark and light, and no wider than a phone. */
const look = async (page: Page, name: string): Promise<void> => {
  const picture = async (shade: string) => {
    if (process.env['SCREENS'])
      await page.screenshot({ path: join(folder, `${name}-${shade}.png`), fullPage: true })
  }
  await page.bringToFront()
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    await picture(colorScheme)
    expect(await violationsOn(page), `${name}, ${colorScheme}`).toEqual([])
  }
  await page.setViewportSize({ width: 360, height: 640 })
  await picture('360')
  expect(await page.evaluate('document.documentElement.scrollWidth'), `${name} scrolls sideways`).toBe(360)
  await page.setViewportSize({ width: 1000, height: 800 })
}

/** What a site keeps in the browser where its own scripts can read it. */
const storageOf = (page: Page): Promise<unknown> =>
  page.evaluate('({ local: { ...localStorage }, session: { ...sessionStorage }, cookie: document.cookie })')

/** Whatever an origin sends to the browser. */
const bodiesFrom = (context: BrowserContext, origin: string): (() => Promise<string>) => {
  const responses: Response[] = []
  context.on('response', response => {
    if (new URL(response.url()).origin === origin) responses.push(response)
  })
  return async () => {
    const texts = await Promise.all(
      responses.map(async response => {
        const headers = JSON.stringify(await response.allHeaders())
        return headers + (await response.text().catch(() => '')) // a redirect has no body to be had
      }),
    )
    return texts.join('\n')
  }
}

/** The command for a person, as the demo prints it; the browser in between is this one. */
const runPerson = async (temporary: string, page: Page, onPage: (page: Page) => Promise<void>) => {
  const [data = ''] = readdirSync(temporary).filter(name => name.startsWith('lintel-demo-'))
  const child = spawn(
    process.execPath,
    [`--env-file=${join(temporary, data, 'person.env')}`, 'examples/cli/person.js'],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  const texts = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    texts.out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    texts.err += chunk.toString()
  })
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  const address = /http:\S+\n/
  await expect.poll(() => address.test(texts.err) || child.exitCode !== null, { timeout: 15_000 }).toBe(true)
  const url = address.exec(texts.err)?.[0].trim()
  if (url !== undefined) {
    await page.goto(url)
    await onPage(page)
  }
  return { code: await ended, ...texts }
}

/** Who is signed in where, as the start page says. */
const openDoors = (page: Page): Promise<string[]> =>
  page.locator('.doors .open a b').evaluateAll(names => names.map(name => String(name.textContent)))

it('one password opens every app and the terminal, one sign-out closes them, Ctrl-C ends it all', {
  timeout: 180_000,
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
    ['Board', 'spa'],
    ['Desk', 'bff'],
    ['Tasks', 'api'],
  ])
  const [notes = '', shop = '', board = '', desk = '', tasks = ''] = apps.map(({ url }) => url)

  const person = await chromium.fresh({ viewport: { width: 1000, height: 800 }, reducedMotion: 'reduce' })
  const { page, context } = person
  const sentByDesk = bodiesFrom(context, desk)
  await page.goto(notes)
  await look(page, 'demo-notes')
  await page.click('[data-action=sign-in]')
  await fillSignIn(page, user)
  // Notes is of the house: it asks nothing more.
  expect(await userAt(page)).toBe('demo')
  expect(new URL(page.url()).origin).toBe(notes)
  const sid = await page.textContent('.sid')
  await look(page, 'demo-notes-signed-in')

  const open = async (url: string, name: string): Promise<Page> => {
    const opened = await context.newPage()
    await opened.goto(url)
    await opened.waitForSelector('[data-action=sign-in]')
    await look(opened, name)
    await opened.click('[data-action=sign-in]')
    return opened
  }
  const atShop = await open(shop, 'demo-shop')
  await expectHeading(atShop, 'Allow Shop to use your account?')
  await decide(atShop, 'allow')
  expect(await userAt(atShop)).toBe('demo')
  expect(await atShop.textContent('.sid')).toBe(sid)
  await look(atShop, 'demo-shop-signed-in')

  // The single-page app: no token is kept where a script could find it later, and a reload asks the provider.
  const atBoard = await open(board, 'demo-board')
  await expectHeading(atBoard, 'Allow Board to use your account?')
  await decide(atBoard, 'allow')
  expect(await userAt(atBoard)).toBe('demo')
  await atBoard.getByRole('button', { name: 'Renew the tokens' }).click()
  await atBoard.getByText('changed once').waitFor()
  await expectHeading(atBoard, 'Demo Person’s board')
  const kept = { local: {}, session: { 'board-was-signed-in': 'yes' }, cookie: '' }
  expect(await storageOf(atBoard)).toEqual(kept)
  await atBoard.reload()
  expect(await userAt(atBoard)).toBe('demo')
  expect(await atBoard.textContent('.sid')).toBe(sid)
  expect(await storageOf(atBoard)).toEqual(kept)
  await atBoard.fill('#text', 'Written at Board')
  await atBoard.getByRole('button', { name: 'Add', exact: true }).click()
  await atBoard.locator('.card', { hasText: 'Written at Board' }).waitFor()
  await atBoard.getByRole('button', { name: 'Ask for too much' }).click()
  await atBoard.locator('[data-status="403"]', { hasText: 'scope="tasks:count"' }).waitFor()
  await look(atBoard, 'demo-board-signed-in')

  // The app with a backend of its own: whatever the page gets, a token is not in it.
  const atDesk = await open(desk, 'demo-desk')
  expect(await userAt(atDesk)).toBe('demo')
  await atDesk.locator('.tasks li', { hasText: 'Written at Board' }).waitFor()
  await atDesk.getByRole('button', { name: 'Call without the header' }).click()
  await atDesk.locator('.answer', { hasText: '403' }).waitFor()
  await atDesk.getByRole('button', { name: 'Ask the API who I am' }).click()
  await atDesk.locator('.answer', { hasText: '"aud"' }).waitFor()
  expect(await storageOf(atDesk)).toEqual({ local: {}, session: {}, cookie: '' })
  expect(await atDesk.textContent('.sid')).toBe(sid)
  await look(atDesk, 'demo-desk-signed-in')
  const sent = await sentByDesk()
  expect(sent).toContain('Written at Board')
  expect(sent).not.toMatch(/eyJ[\w-]+\.|\bln[ars][0-9a-z]{40}|access_token|refresh_token/)

  const atApi = await context.newPage()
  await atApi.goto(tasks)
  await look(atApi, 'demo-tasks')

  const first = await runPerson(temporary, await context.newPage(), async terminal => {
    await expectHeading(terminal, 'Allow Terminal to use your account?')
    await decide(terminal, 'allow')
    await expectHeading(terminal, 'You are signed in')
    await look(terminal, 'demo-terminal')
  })
  expect(first, first.err).toMatchObject({ code: 0, out: expect.stringContaining('[ ] Written at Board\n') })
  const again = await runPerson(temporary, page, () => expect.fail('the browser is not needed'))
  expect(again, again.err).toMatchObject({ code: 0, out: first.out })

  const start = await context.newPage()
  await start.goto(`http://start.localhost:${base + 6}`)
  expect(await openDoors(start)).toEqual(['Notes', 'Shop', 'Board', 'Desk'])
  await look(start, 'demo-start')

  const jars = await Promise.all([issuer, notes, shop, desk].map(url => context.cookies(url)))
  const values = jars.flatMap(jar => jar.map(({ domain, value }) => `${domain} ${value}`))
  expect(jars.every(jar => jar.length > 0)).toBe(true)
  expect(new Set(values).size, 'no cookie is seen at two places').toBe(values.length)
  expect(jars.map(jar => [...new Set(jar.map(({ domain }) => domain))])).toEqual(
    [issuer, notes, shop, desk].map(url => [new URL(url).hostname]),
  )
  expect(await context.cookies([board, tasks])).toEqual([])

  // What anybody could post ends nothing.
  for (const port of [base + 1, base + 2, base + 4]) {
    const forged = new URLSearchParams({ logout_token: 'eyJhbGciOiJub25lIn0.e30.' })
    const answer = await fetch(`http://localhost:${port}/backchannel-logout`, {
      method: 'POST',
      body: forged,
    })
    expect(answer.status).toBe(400)
  }
  await atShop.click('[data-action=sign-out]')
  await atShop.waitForSelector('[data-action=sign-in]')
  expect(new URL(atShop.url()).origin).toBe(shop)
  // Without a reload the start page sees who was told; Board learns it when it looks.
  await start.bringToFront()
  await expect.poll(() => openDoors(start), { timeout: 15_000 }).toEqual(['Board'])
  for (const reloaded of [page, atBoard, atDesk]) {
    await reloaded.reload()
    await reloaded.waitForSelector('[data-action=sign-in]')
    expect(await reloaded.locator('[data-user]').count()).toBe(0)
  }
  expect(await storageOf(atBoard)).toEqual({ local: {}, session: {}, cookie: '' })
  const out = await runPerson(temporary, page, async terminal => {
    await expectHeading(terminal, 'Sign in')
    await fillSignIn(terminal, user)
    await expectHeading(terminal, 'You are signed in')
  })
  expect(out, out.err).toMatchObject({
    code: 0,
    err: expect.stringContaining('session at the provider has ended'),
  })

  // And out again by the single-page app.
  await start.bringToFront()
  for (const opened of [atBoard, atDesk]) {
    await opened.click('[data-action=sign-in]')
    expect(await userAt(opened)).toBe('demo')
  }
  await expect.poll(() => openDoors(start), { timeout: 15_000 }).toEqual(['Board', 'Desk'])
  await atBoard.click('[data-action=sign-out]')
  await atBoard.getByText('You are signed out').waitFor()
  await expect.poll(() => openDoors(start), { timeout: 15_000 }).toEqual([])
  await atDesk.reload()
  await atDesk.waitForSelector('[data-action=sign-in]')

  await person.close()
  // The two refusals that were asked for.
  expectQuiet(person, /status of 403 .*\/(count|api\/tasks)\)$/)

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
