// @ts-check
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { doors, iconOf, page } from './page.js'

const { ISSUER = 'http://localhost:4000', HOST = '127.0.0.1', PORT = '4006', STATUS_KEY = '' } = process.env
const baseUrl = process.env.BASE_URL ?? `http://localhost:${PORT}`

/**
 * An app of the demo, as it was started.
 * @typedef {{ name: string, kind: string, summary: string, url?: string, backend?: string, command?: string }} App
 *
 * What it says of itself: who is signed in, or, for an API, what was called.
 * @typedef {object} Status
 * @property {{ username: string, sid?: string }[]} [sessions]
 * @property {{ at: string, call: string, client: string, answer: string }[]} [calls]
 */

/** @type {App[]} */
const apps = JSON.parse(process.env.APPS ?? '[]')
const site = { issuer: ISSUER, username: process.env.DEMO_USER ?? 'demo' }

/** Asks every app, server to server: a page of one site cannot look into another. */
const look = () => Promise.all(apps.map(async app => ({ app, status: await statusOf(app) })))

/** @param {App} app @returns {Promise<Status | undefined>} undefined when it does not answer */
async function statusOf({ backend }) {
  if (!backend) return {}
  try {
    const headers = { Authorization: `Bearer ${STATUS_KEY}` }
    const answer = await fetch(`${backend}/status`, { headers, signal: AbortSignal.timeout(1000) })
    return answer.ok ? await answer.json() : undefined
  } catch {
    return undefined
  }
}

const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** @type {Record<string, { type: string, body: () => Promise<string | Buffer> }>} */
const routes = {
  '/': { type: 'text/html', body: async () => page({ site, seen: await look() }) },
  /** The live part alone, for the page's script. */
  '/doors': { type: 'text/html', body: async () => doors(await look()) },
  '/style.css': file('style.css', 'text/css'),
  '/live.js': file('live.js', 'text/javascript'),
  '/icon.svg': file('icon.svg', 'image/svg+xml'),
  // The apps' own icons, by way of here: a policy cannot name an address like [::1].
  ...Object.fromEntries(
    apps.map(app => [iconOf(app), { type: 'image/svg+xml', body: () => fetchIcon(app) }]),
  ),
}

/** @param {App} app */
async function fetchIcon({ backend }) {
  const answer = await fetch(`${backend}/icon.svg`, { signal: AbortSignal.timeout(1000) })
  if (!answer.ok) throw new Error(`${backend} has no icon`)
  return answer.text()
}

const server = createServer(async (request, response) => {
  const route = routes[(request.url ?? '/').split('?')[0] ?? '/']
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Content-Security-Policy', contentSecurityPolicy)
  response.setHeader('Referrer-Policy', 'no-referrer')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  if (!route || request.method !== 'GET') {
    response.writeHead(404, { 'Content-Type': 'text/plain' }).end('There is nothing here.\n')
    return
  }
  try {
    const body = await route.body()
    response.writeHead(200, { 'Content-Type': `${route.type}; charset=utf-8` }).end(body)
  } catch (error) {
    console.error(error)
    response.writeHead(500).end()
  }
})
server.listen(Number(PORT), HOST, () => console.log(`Start page: ${baseUrl}`))

/** @param {string} name @param {string} type */
function file(name, type) {
  return { type, body: () => readFile(new URL(`public/${name}`, import.meta.url)) }
}
