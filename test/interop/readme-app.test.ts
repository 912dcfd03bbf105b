import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { passPages } from '../support/flow.ts'
import { eventually, freePort, startServer } from '../support/server.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readme = readFileSync(join(root, 'README.md'), 'utf8')

/** The program as the README has it, below our own node_modules. */
const writeApp = (): string => {
  const [, app = ''] = /```js\n(\/\/ app\.mjs[\s\S]*?)```/.exec(readme) ?? []
  const directory = join(root, 'test', '.cache', 'readme-app')
  mkdirSync(directory, { recursive: true })
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const path = join(directory, 'app.mjs')
  writeFileSync(path, app)
  return path
}

const run = async (path: string, env: Record<string, string>): Promise<ChildProcess> => {
  const child = spawn(process.execPath, [path], { env: { PATH: process.env['PATH'], ...env } })
  onTestFinished(() => void child.kill())
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (said += String(chunk)))
  await eventually(() => said.includes('Open http') || child.exitCode !== null, `the app starts: ${said}`)
  expect(said).toContain('Open http')
  return child
}

it('the app of the README greets whoever signs in, and refuses what it did not ask for', async () => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  const alice = await server.createUser({ name: 'Alice A.' })
  const port = await freePort()
  const home = `http://localhost:${port}`
  const [, metadata = ''] = /client create --json-metadata '(\{[\s\S]*?\})'/.exec(readme) ?? []
  const wanted = JSON.parse(metadata.replaceAll('http://localhost:3000', home)) as Record<string, unknown>
  const client = await server.createClient(wanted)
  await run(writeApp(), {
    ISSUER: server.issuer,
    CLIENT_ID: client.id,
    CLIENT_SECRET: client.secret ?? '',
    PORT: String(port),
  })

  const forged = await fetch(`${home}/callback?code=x&state=y`)
  expect(forged.status).toBe(400)

  const start = await fetch(home, { redirect: 'manual' })
  expect(start.status).toBe(303)
  const [cookie = ''] = start.headers.get('set-cookie')?.split(';') ?? []
  const browser = server.browser()
  const end = await passPages(browser, await browser.open(start.headers.get('location') ?? ''), alice)
  const greeted = await fetch(end.location ?? '', { headers: { cookie } })
  expect(await greeted.text()).toBe(`Hello, Alice A.. You are ${alice.sub} to this app, for ever.\n`)
  expect((await fetch(end.location ?? '')).status).toBe(400)
})
