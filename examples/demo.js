// @ts-check
import { randomBytes, randomInt } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { apps } from './apps.js'
import { problemWith } from './port.js'
import { Processes } from './processes.js'
import { summary } from './summary.js'

const usage = `Starts Lintel and every sample app on this machine, to try single sign-on.

  npm run demo -- [options]

  --port-base N   the provider's port, 4000; the apps have those above
  --hosts ip      apps at 127.0.0.1 and [::1] instead of *.localhost, for browsers that do not know these
  --json          print one line of JSON when everything answers, and nothing else
  --help          print this`

const options = readOptions()
const lintel = fileURLToPath(new URL('../bin/lintel.js', import.meta.url))
const issuer = `http://localhost:${options.portBase}`
const running = new Processes(message => stop(1, message))

/** @type {Promise<void> | undefined} */
let stopping

/** Every app, and where it is in this run. */
const entries = apps.map(app => ({
  app,
  port: options.portBase + (app.place?.offset ?? 0),
  site: siteOf(app),
}))
const servers = entries.filter(({ app }) => app.place)
const sites = Object.fromEntries(entries.map(({ app, site }) => [app.name, site]))

await refuseTakenPorts()

const data = mkdtempSync(join(tmpdir(), 'lintel-demo-'))
process.on('exit', () => rmSync(data, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(0))
stopWithNpm()

/** What this shell has set for another Lintel must not reach the demo, or it would write there. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('LINTEL_')),
)
const lintelEnvironment = { ...environment, LINTEL_ISSUER: issuer, LINTEL_DATA: data }

const user = { username: 'demo', password: readablePassword() }
try {
  await registerUser()
  await registerResources()
  const credentials = await Promise.all(entries.map(register))
  const commands = entries.map(({ app }, index) =>
    app.place ? undefined : commandOf(app, credentials[index]),
  )
  startEverything(credentials, commands)
  await everythingAnswers()
  const found = entries.map((entry, index) => ({ ...entry, command: commands[index] }))
  console.log(options.json ? summaryAsJson() : summary({ issuer, user, entries: found }))
} catch (error) {
  await stop(1, error instanceof Error ? error.message : String(error))
}

/** @returns {{ portBase: number, useIp: boolean, json: boolean }} */
function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        'port-base': { type: 'string', default: '4000' },
        hosts: { type: 'string', default: 'localhost' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      console.log(usage)
      process.exit(0)
    }
    const portBase = Number(values['port-base'])
    if (!Number.isInteger(portBase) || portBase < 1 || portBase > 65_000)
      throw new Error('--port-base is no port')
    if (!['ip', 'localhost'].includes(values.hosts)) throw new Error('--hosts is ip or localhost')
    return { portBase, useIp: values.hosts === 'ip', json: values.json }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`)
    process.exit(2)
  }
}

/** @param {import('./apps.js').App} app @returns {import('./apps.js').Site} */
function siteOf({ place }) {
  if (!place) return { url: '', origins: [], backend: '' }
  const port = options.portBase + place.offset
  const [byName, byIp] = [`http://${place.host}:${port}`, `http://${place.ip}:${port}`]
  return options.useIp
    ? { url: byIp, origins: [byIp, byName], backend: byIp }
    : { url: byName, origins: [byName, byIp], backend: `http://localhost:${port}` }
}

/** The address an app listens at. @param {import('./apps.js').App} app */
function listenHost({ place }) {
  return options.useIp && place?.ip === '[::1]' ? '::1' : '127.0.0.1'
}

async function refuseTakenPorts() {
  const wanted = [
    { name: 'the provider', port: options.portBase, hosts: ['127.0.0.1', '::1'] }, // a browser may try either
    ...servers.map(({ app, port }) => ({ name: app.name, port, hosts: [listenHost(app)] })),
  ]
  for (const { name, port, hosts } of wanted) {
    for (const host of hosts) {
      const problem = await problemWith(port, host)
      if (!problem) continue
      console.error(`Port ${port}, for ${name}, is ${problem}.`)
      console.error(`Free it, or move the whole demo: npm run demo -- --port-base ${options.portBase + 1000}`)
      process.exit(1)
    }
  }
}

async function registerUser() {
  progress('making the demo user')
  await callLintel(
    ['user', 'create', '--username', user.username, '--password-stdin'].concat([
      '--email',
      'demo@example.com',
      '--email-verified',
      '--name',
      'Demo Person',
    ]),
    user.password,
  )
}

/** First: a client may ask only for scopes that some API has. */
async function registerResources() {
  for (const { app, site } of entries) {
    if (!app.resource) continue
    progress(`registering the API of ${app.name}`)
    const { identifier, name, scopes } = app.resource(site)
    await callLintel(['resource', 'create', '--identifier', identifier, '--name', name, '--scopes', scopes])
  }
}

/**
 * @param {{ app: import('./apps.js').App, site: import('./apps.js').Site }} entry
 * @returns {Promise<Record<string, string>>}
 */
async function register({ app, site }) {
  if (!app.client) return {}
  progress(`registering ${app.name}`)
  const metadata = JSON.stringify(app.client(site))
  const { client_id = '', client_secret } = await callLintel([
    'client',
    'create',
    '--json-metadata',
    metadata,
  ])
  // A public client has no secret.
  return { CLIENT_ID: client_id, ...(client_secret && { CLIENT_SECRET: client_secret }) }
}

/** @param {string[]} command @param {string} [input] @returns {Promise<Record<string, string | undefined>>} */
async function callLintel(command, input) {
  return JSON.parse(await running.run([lintel, ...command, '--json'], { env: lintelEnvironment, input }))
}

/** What every app is told, whoever its provider is. @param {import('./apps.js').App} app */
function settingsOf(app) {
  return { ISSUER: issuer, ...app.environment?.(sites) }
}

/**
 * How to run a program for the terminal. Its settings are in a file, or the secret would stand in the
 * history of a shell.
 * @param {import('./apps.js').App} app
 * @param {Record<string, string>} [credentials]
 */
function commandOf(app, credentials) {
  const name = app.name.toLowerCase()
  const settings = { ...settingsOf(app), ...credentials, TOKEN_FILE: join(data, `${name}-token.json`) }
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`)
  const file = join(data, `${name}.env`)
  writeFileSync(file, lines.join(''), { mode: 0o600 })
  return `node --env-file=${file} ${relative(process.cwd(), pathOf(app))}`
}

/**
 * @param {Record<string, string>[]} credentials in the order of `entries`
 * @param {(string | undefined)[]} commands
 */
function startEverything(credentials, commands) {
  progress('starting the provider and the apps')
  running.start('The provider', [lintel, 'serve'], lintelEnvironment)
  const doors = servers.filter(({ app }) => app.kind !== 'api' && app.kind !== 'start')
  const statusKey = randomBytes(32).toString('base64url')
  const shown = entries.map(({ app: { name, kind, summary }, site }, index) => {
    return { name, kind, summary, url: site.url, backend: site.backend, command: commands[index] }
  })
  entries.forEach(({ app, port, site }, index) => {
    if (!app.place) return
    const next = doors[(doors.findIndex(door => door.app === app) + 1) % doors.length]
    running.start(app.name, [pathOf(app)], {
      ...environment,
      ...settingsOf(app),
      ...credentials[index],
      PORT: String(port),
      HOST: listenHost(app),
      BASE_URL: site.url,
      TRY_NEXT: next?.site.url,
      STATUS_KEY: statusKey,
      ...(app.kind === 'start' && { APPS: JSON.stringify(shown), DEMO_USER: user.username }),
    })
  })
}

/** @param {import('./apps.js').App} app */
function pathOf(app) {
  return fileURLToPath(new URL(app.script, import.meta.url))
}

async function everythingAnswers() {
  await Promise.all([
    answers('the provider', `${issuer}/.well-known/openid-configuration`),
    ...servers.map(({ app, site }) => answers(app.name, site.backend)),
  ])
}

/** @param {string} name @param {string} url */
async function answers(name, url) {
  const deadline = Date.now() + 60_000
  let problem = 'no answer'
  while (Date.now() < deadline) {
    try {
      const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(5000) })
      await response.body?.cancel()
      if (response.status < 500) return
      problem = `status ${response.status}`
    } catch (error) {
      problem = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)
      // Browsers and fetch refuse some ports, 6000 for one, whoever listens there.
      if (problem === 'bad port') break
    }
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  throw new Error(`${name} cannot be reached at ${url}: ${problem}`)
}

function summaryAsJson() {
  const listed = servers.filter(({ app }) => app.kind !== 'start')
  return JSON.stringify({
    issuer,
    apps: listed.map(({ app, site }) => ({ name: app.name, url: site.url, kind: app.kind })),
    user,
  })
}

/** Nine syllables and a number: as hard to guess as 61 coin tosses, and easy to type. */
function readablePassword() {
  const letter = (/** @type {string} */ from) => from[randomInt(from.length)]
  const syllable = () => `${letter('bdfgklmnprstvz')}${letter('aeiou')}`
  const word = () => `${syllable()}${syllable()}${syllable()}`
  return `${word()}-${word()}-${word()}-${randomInt(10, 100)}`
}

/** @param {string} step */
function progress(step) {
  console.error(`demo: ${step}`)
}

/**
 * npm runs this in a shell, and who ends npm may end only that shell. Then nobody is left to stop us.
 */
function stopWithNpm() {
  if (!process.env.npm_lifecycle_event) return
  const parent = process.ppid
  setInterval(() => process.ppid !== parent && stop(0), 500).unref()
}

/** @param {number} code @param {string} [message] */
function stop(code, message) {
  stopping ??= (async () => {
    if (message) console.error(message)
    await running.stop()
    process.exit(code)
  })()
  return stopping
}
