// @ts-check
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'

const { ISSUER, CLIENT_ID, API_URL, HOST = '127.0.0.1', PORT = '4003', STATUS_KEY, TRY_NEXT } = process.env
const baseUrl = process.env.BASE_URL ?? `http://localhost:${PORT}`
if (!ISSUER || !CLIENT_ID || !API_URL) {
  console.error('Board needs ISSUER, CLIENT_ID and API_URL in the environment: see README.md')
  process.exit(1)
}

/** What the page is told. Nothing of it is secret: a public client has no secret to keep. */
const settings = { issuer: ISSUER, clientId: CLIENT_ID, apiUrl: API_URL, presence: STATUS_KEY ? 'yes' : '' }

/**
 * The page may load its own files, talk to the provider and the API, and do nothing else: no inline
 * script, no eval, no text that becomes markup (Trusted Types), no frames.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  `connect-src 'self' ${new URL(ISSUER).origin} ${new URL(API_URL).origin}`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

/** The library as its authors build it for browsers. */
const library = new URL('../browser/oidc-client-ts.min.js', import.meta.resolve('oidc-client-ts'))

/** One page for every address that leads to it. @type {Record<string, { file: URL, type: string }>} */
const files = {
  '/': own('index.html', 'text/html'),
  '/callback': own('index.html', 'text/html'),
  '/signed-out': own('index.html', 'text/html'),
  '/board.js': own('board.js', 'text/javascript'),
  '/sign-in.js': own('sign-in.js', 'text/javascript'),
  '/scenes.js': own('scenes.js', 'text/javascript'),
  '/view.js': own('view.js', 'text/javascript'),
  '/style.css': own('style.css', 'text/css'),
  '/icon.svg': own('icon.svg', 'image/svg+xml'),
  '/oidc-client-ts.js': { file: library, type: 'text/javascript' },
}

const server = createServer(async (request, response) => {
  const [pathname = '/'] = (request.url ?? '/').split('?')
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.setHeader('Referrer-Policy', 'no-referrer') // the callback's address has a code in it
  response.setHeader('Content-Security-Policy', contentSecurityPolicy)
  try {
    const known = request.method === 'GET' && files[pathname]
    if (known) {
      const text = await readFile(known.file, 'utf8')
      response.writeHead(200, { 'Content-Type': `${known.type}; charset=utf-8` })
      return response.end(known.type === 'text/html' ? fill(text) : text)
    }
    if (STATUS_KEY && pathname === '/presence') return await takePresence(request, response)
    if (STATUS_KEY && pathname === '/status' && request.headers.authorization === `Bearer ${STATUS_KEY}`) {
      response.writeHead(200, { 'Content-Type': 'application/json' })
      return response.end(JSON.stringify({ sessions: present() }))
    }
    response.writeHead(404, { 'Content-Type': 'text/plain' }).end('There is nothing here.\n')
  } catch (error) {
    console.error(error)
    if (!response.headersSent) response.writeHead(500)
    response.end()
  }
})
server.listen(Number(PORT), HOST, () => console.log(`Board: ${baseUrl}`))

/** @param {string} name @param {string} type */
function own(name, type) {
  return { file: new URL(`public/${name}`, import.meta.url), type }
}

/** Puts the settings into the page. @param {string} page */
function fill(page) {
  const values = /** @type {Record<string, string>} */ ({ ...settings, tryNext: TRY_NEXT ?? '' })
  return page.replaceAll(/\{\{(\w+)\}\}/g, (_, name) =>
    String(values[name]).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`),
  )
}

/*
 * For the demo's start page only, and off without STATUS_KEY: this server knows of no session, for the
 * tokens are in the tabs. So the tabs say when they hold one.
 */

/** @type {Map<string, { username: string, sid: string, until: number }>} */
const tabs = new Map()

const present = () => [...tabs.values()].filter(({ until }) => until > Date.now() / 1000)

/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
async function takePresence(request, response) {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body = (body + chunk).slice(0, 1000)
  if (request.headers.origin === new URL(baseUrl).origin) {
    const { tab, username, sid, until } = JSON.parse(body)
    if (until && tabs.size < 100)
      tabs.set(String(tab), { username: String(username), sid: String(sid), until: Number(until) })
    else tabs.delete(String(tab))
  }
  response.writeHead(204).end()
}
