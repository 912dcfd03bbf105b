// @ts-check
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { order } from './catalogue.js'
import { shopPage, troublePage } from './pages.js'
import { Provider } from './provider.js'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, HOST = '127.0.0.1', PORT = '4002' } = process.env
const { TRY_NEXT, STATUS_KEY } = process.env
const baseUrl = process.env.BASE_URL ?? `http://localhost:${PORT}`
if (!ISSUER || !CLIENT_ID || !CLIENT_SECRET) {
  console.error('Shop needs ISSUER, CLIENT_ID and CLIENT_SECRET in the environment: see README.md')
  process.exit(1)
}

/** @typedef {{ customer: import('./provider.js').Customer, endsAt: number }} Session */

/** Who is signed in: by the random value of a cookie, in memory. @type {Map<string, Session>} */
const sessions = new Map()
const sessionLifetime = 8 * 60 * 60 * 1000

const settings = { issuer: ISSUER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, baseUrl }
const site = { provider: new URL(ISSUER).host, baseUrl, tryNext: TRY_NEXT }

/** @type {Provider | undefined} */
let discovered
/** Discovered when first needed, so that the shop opens even while the provider is away. */
const provider = async () => (discovered ??= await Provider.discover(settings))

/**
 * One request and its answer.
 * @typedef {object} Visit
 * @property {URL} url
 * @property {Record<string, string>} cookies
 * @property {Session | undefined} session
 * @property {() => Promise<URLSearchParams>} form
 * @property {string | undefined} authorization
 *
 * @typedef {{ status?: number, type?: string, to?: string, cookies?: string[], body?: string | Buffer }} Answer
 * @typedef {(visit: Visit) => Answer | Promise<Answer>} Handler
 */

/** @type {Record<string, Handler>} */
const routes = {
  'GET /': ({ session, cookies }) => ({
    // What is to be said once waits in a cookie, and goes with the page that says it.
    cookies: cookies.notice === undefined ? [] : [forget('notice')],
    body: shopPage({ site, customer: session?.customer, notice: notices[cookies.notice ?? ''] }),
  }),

  /** Also the client's `initiate_login_uri`. */
  'GET /login': async ({ url }) => {
    const { searchParams: wish } = url
    if ((wish.get('iss') ?? ISSUER) !== ISSUER) return trouble('other-provider')

    const begun = await (await provider()).begin({
      silent: wish.has('silent'),
      loginHint: wish.get('login_hint'),
    })
    // The cookie ties the answer to this browser. Ten minutes, and one sign-in at a time.
    const attempt = Buffer.from(JSON.stringify(begun.attempt)).toString('base64url')
    return { to: begun.url.href, cookies: [remember('attempt', attempt, 600)] }
  },

  'GET /callback': async ({ url, cookies, session }) => {
    const attempt = readAttempt(cookies.attempt)
    if (!attempt || attempt.state !== url.searchParams.get('state')) {
      // Not begun in this browser, or finished before: nothing in this address is believed or shown.
      return session ? { to: '/' } : trouble('unknown-attempt')
    }
    try {
      const customer = await (await provider()).finish(url.searchParams, attempt)
      // A new value at every sign-in: one that somebody planted before must not open this session.
      end(cookies.session)
      const id = randomBytes(32).toString('base64url')
      sessions.set(id, { customer, endsAt: Date.now() + sessionLifetime })
      return { to: '/', cookies: [remember('session', id), forget('attempt')] }
    } catch (error) {
      console.warn(`sign-in failed: ${error instanceof Error ? error.message : error}`)
      // A silent check that found nobody is an answer: say so, and never ask again by ourselves.
      if (attempt.silent) return { to: '/', cookies: [remember('notice', 'nobody', 60), forget('attempt')] }
      return { ...trouble('refused', error), cookies: [forget('attempt')] }
    }
  },

  'POST /order': async ({ session, form }) => {
    if (!session) return { to: '/login' }
    const good = order(session.customer.sub, (await form()).get('good'))
    return { to: '/', cookies: good ? [remember('notice', 'ordered', 60)] : [] }
  },

  'POST /sign-out': async ({ session, cookies }) => {
    end(cookies.session) // here first, whatever happens on the way
    if (!session) return { to: '/' }
    const state = randomBytes(16).toString('base64url')
    const to = (await provider()).signOutUrl(session.customer.idToken, state) ?? '/'
    return { to, cookies: [forget('session'), remember('leaving', state, 600)] }
  },

  'GET /signed-out': ({ url, cookies }) => {
    const isOurs = cookies.leaving !== undefined && cookies.leaving === url.searchParams.get('state')
    return { to: '/', cookies: isOurs ? [forget('leaving'), remember('notice', 'signed-out', 60)] : [] }
  },

  /** From the provider's server: somebody's session ended at another app, or at the provider itself. */
  'POST /backchannel-logout': async ({ form }) => {
    try {
      const token = (await form()).get('logout_token') ?? ''
      const { sid, sub } = await (await provider()).readLogoutToken(token)
      for (const [id, { customer }] of sessions) {
        if ((sid ?? customer.sid) === customer.sid && (sub ?? customer.sub) === customer.sub) end(id)
      }
      return { type: 'text/plain' }
    } catch (error) {
      const description = `logout token refused: ${error instanceof Error ? error.message : error}`
      const body = JSON.stringify({ error: 'invalid_request', error_description: description })
      return { status: 400, type: 'application/json', body }
    }
  },

  /** For the demo's start page: who is signed in here. Off without a key. */
  'GET /status': ({ authorization }) => {
    if (!STATUS_KEY || authorization !== `Bearer ${STATUS_KEY}`) return trouble('not-found')
    const list = [...sessions.values()].map(({ customer: { profile, sub, sid } }) => ({
      username: profile.preferred_username ?? sub,
      sid,
    }))
    return { type: 'application/json', body: JSON.stringify({ sessions: list }) }
  },

  'GET /style.css': file('style.css', 'text/css'),
  'GET /countdown.js': file('countdown.js', 'text/javascript'),
  'GET /goods.svg': file('goods.svg', 'image/svg+xml'),
  'GET /icon.svg': file('icon.svg', 'image/svg+xml'),
}

/** @type {Record<string, string>} */
const notices = {
  nobody: `Checked without asking: ${site.provider} cannot sign you in without showing you a page.`,
  ordered: 'Ordered. It is in your list, and it will never arrive.',
  'signed-out': 'You are signed out: here, at the provider and in every app that listens to it.',
}

const server = createServer(async (request, response) => {
  /** @type {Answer} */
  let answer
  try {
    answer = await answerTo(request)
  } catch (error) {
    console.error(error)
    answer = trouble('broken', error)
  }
  // 303: a form that led here is not sent on to where the answer leads.
  const { to, status = to ? 303 : 200, type = 'text/html', cookies: setCookies = [], body } = answer
  response.writeHead(status, {
    ...(to ? { Location: to } : { 'Content-Type': `${type}; charset=utf-8` }),
    ...(setCookies.length > 0 && { 'Set-Cookie': setCookies }),
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' ${new URL(ISSUER).origin}`,
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(body)
})
server.listen(Number(PORT), HOST, () => console.log(`Shop: ${baseUrl}`))

/** @param {import('node:http').IncomingMessage} request @returns {Promise<Answer>} */
async function answerTo(request) {
  const { method, headers } = request
  const url = new URL(`${baseUrl}${request.url}`)
  const route = routes[`${method} ${url.pathname}`]
  if (!route) return trouble('not-found')
  if (method === 'POST' && headers.origin && headers.origin !== url.origin) return trouble('other-site')

  const cookies = readCookies(headers.cookie)
  const session = sessions.get(cookies.session ?? '')
  const isAlive = session && session.endsAt > Date.now()
  return route({
    url,
    cookies,
    session: isAlive ? session : undefined,
    form: () => readForm(request),
    authorization: headers.authorization,
  })
}

setInterval(() => {
  for (const [id, { endsAt }] of sessions) if (endsAt < Date.now()) end(id)
}, 60_000).unref()

/** @param {string | undefined} id */
function end(id) {
  sessions.delete(id ?? '')
}

/** @param {import('./pages.js').Trouble} kind @param {unknown} [error] @returns {Answer} */
function trouble(kind, error) {
  const statuses = { 'not-found': 404, 'other-site': 403, broken: 502 }
  const status = /** @type {Record<string, number>} */ (statuses)[kind] ?? 400
  return { status, body: troublePage({ site, kind, error }) }
}

/** @param {string} name @param {string} type @returns {Handler} */
function file(name, type) {
  return async () => ({ type, body: await readFile(new URL(`public/${name}`, import.meta.url)) })
}

/*
 * Cookies. Ports do not keep cookies apart, so each app's have names of their own. Lax and not
 * Strict: coming back from the provider, another site, the browser must bring them along.
 */

/** @param {string} name */
function cookieName(name) {
  return baseUrl.startsWith('https:') ? `__Host-shop-${name}` : `shop-${name}`
}

/** @param {string} name @param {string} value @param {number} [seconds] until the browser closes, if not given */
function remember(name, value, seconds) {
  const parts = [`${cookieName(name)}=${value}`, 'Path=/', 'HttpOnly', 'SameSite=Lax']
  if (seconds !== undefined) parts.push(`Max-Age=${seconds}`)
  if (baseUrl.startsWith('https:')) parts.push('Secure')
  return parts.join('; ')
}

/** @param {string} name */
const forget = name => remember(name, '', 0)

/** @param {string} [header] @returns {Record<string, string>} ours, by their short names */
function readCookies(header = '') {
  const pairs = header.split(/; */).map(pair => pair.split('='))
  const prefix = cookieName('')
  return Object.fromEntries(
    pairs.flatMap(([name = '', value = '']) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  )
}

/** @param {string} [value] @returns {import('./provider.js').Attempt | undefined} */
function readAttempt(value) {
  try {
    return value ? JSON.parse(Buffer.from(value, 'base64url').toString()) : undefined
  } catch {
    return undefined
  }
}

/** @param {import('node:http').IncomingMessage} request */
async function readForm(request) {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk
    if (body.length > 65_536) throw new Error('the form is too large')
  }
  return new URLSearchParams(body)
}
