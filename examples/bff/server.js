// @ts-check
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { extname } from 'node:path'
import Router from '@koa/router'
import Koa from 'koa'
import { page } from './page.js'
import { openIdConnect } from './provider.js'
import { Sessions } from './sessions.js'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, API_URL, HOST = '127.0.0.1', PORT = '4004' } = process.env
const { STATUS_KEY, TRY_NEXT, BASE_URL: baseUrl = `http://localhost:${PORT}` } = process.env
if (!ISSUER || !CLIENT_ID || !CLIENT_SECRET || !API_URL) {
  console.error('Desk needs ISSUER, CLIENT_ID, CLIENT_SECRET and API_URL in the environment: see README.md')
  process.exit(1)
}

const site = { issuer: ISSUER, apiUrl: API_URL, tryNext: TRY_NEXT }
const sessions = new Sessions()
const client = { issuer: ISSUER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET }
const provider = openIdConnect({ ...client, baseUrl, apiUrl: API_URL })
const router = new Router()

/** @typedef {import('koa').Context} Context */

const secure = baseUrl.startsWith('https:')
/** Ports do not keep cookies apart, so each app has names of its own. @param {string} name */
const cookie = name => `${secure ? '__Host-' : ''}desk-${name}`

/**
 * HttpOnly: no script sees it. Lax: no other site can post with it, and it is there when the browser comes
 * back from the provider, which is another site.
 * @param {Context} ctx @param {string} name @param {string | null} value @param {number} [maxAge]
 */
function setCookie(ctx, name, value, maxAge) {
  const kept = maxAge === undefined ? {} : { maxAge }
  ctx.cookies.set(cookie(name), value, { httpOnly: true, sameSite: 'lax', path: '/', secure, ...kept })
}

/** @param {Context} ctx */
const sessionOf = ctx => sessions.find(ctx.cookies.get(cookie('session')))

/** @param {Context} ctx @param {import('./page.js').Told} [told] */
function showPage(ctx, told = {}) {
  ctx.body = page({ site, signedIn: sessionOf(ctx)?.signedIn, ...told })
}

router.get('/', ctx => showPage(ctx))

/** Also the client's `initiate_login_uri`. */
router.get('/login', async ctx => {
  if ((ctx.query.iss ?? ISSUER) !== ISSUER) ctx.throw(400, 'That is not our provider.')
  const { url, attempt } = await provider.begin()
  setCookie(ctx, 'attempt', Buffer.from(JSON.stringify(attempt)).toString('base64url'), 600_000)
  ctx.redirect(url.href)
})

router.get('/callback', async ctx => {
  const attempt = readAttempt(ctx.cookies.get(cookie('attempt')))
  setCookie(ctx, 'attempt', null)
  // Not begun in this browser, or finished before: nothing in the address is believed or shown.
  if (!attempt || attempt.state !== ctx.query.state) {
    if (sessionOf(ctx)) return ctx.redirect('/')
    ctx.status = 400
    return showPage(ctx, { notice: 'This sign-in did not begin here, or took too long. Just begin again.' })
  }
  try {
    const signedIn = await provider.finish(ctx.querystring, attempt)
    sessions.close(ctx.cookies.get(cookie('session')))
    setCookie(ctx, 'session', sessions.open(signedIn))
    ctx.redirect('/')
  } catch (error) {
    console.warn(`sign-in failed: ${error instanceof Error ? error.message : error}`)
    ctx.status = 400
    showPage(ctx, { error })
  }
})

router.post('/sign-out', async ctx => {
  const signedIn = sessionOf(ctx)?.signedIn
  sessions.close(ctx.cookies.get(cookie('session'))) // here first, whatever happens on the way
  setCookie(ctx, 'session', null)
  const state = randomUUID()
  setCookie(ctx, 'leaving', state, 600_000)
  const url = signedIn && (await provider.signOutUrl(signedIn, state))
  ctx.redirect(url?.href ?? '/')
  ctx.status = 303
})

router.get('/signed-out', ctx => {
  const isOurs = ctx.query.state !== undefined && ctx.query.state === ctx.cookies.get(cookie('leaving'))
  setCookie(ctx, 'leaving', null)
  if (!isOurs) return ctx.redirect('/')
  showPage(ctx, { notice: 'You are signed out: here, at the provider and in every app that listens to it.' })
})

/** From the provider's server, without a browser: a session has ended somewhere else. */
router.post('/backchannel-logout', async ctx => {
  try {
    const form = new URLSearchParams(await readBody(ctx))
    sessions.closeNamed(await provider.readLogoutToken(form.get('logout_token') ?? ''))
    ctx.status = 200
  } catch (error) {
    ctx.status = 400
    ctx.body = { error: 'invalid_request', error_description: `logout token: ${Object(error).message}` }
  }
})

/** What the page may ask for. Only this: it is no way to whatever else the API has. */
const allowedCall = /^(GET|POST) \/tasks$|^PUT \/tasks\/[\w-]{1,40}$|^GET \/(me|count)$/

/** The page's own API: the call goes on to the real one, with the token that the page never sees. */
router.all('/api/:rest{/:id}', async ctx => {
  // A form or an image of another site cannot set a header, and a script there would have to ask first.
  if (ctx.get('X-Desk') !== '1') {
    ctx.status = 403
    ctx.body = { error: 'csrf', error_description: 'the header X-Desk is missing' }
    return
  }
  const session = sessionOf(ctx)
  const path = ctx.path.slice('/api'.length)
  if (!allowedCall.test(`${ctx.method} ${path}`)) return
  const token = session && (await accessTokenOf(session))
  if (!token) {
    sessions.close(ctx.cookies.get(cookie('session')))
    ctx.status = 401
    ctx.body = { error: 'signed_out' }
    return
  }
  const hasBody = ctx.method !== 'GET'
  const answer = await fetch(API_URL + path, {
    method: ctx.method,
    headers: { Authorization: `Bearer ${token}`, ...(hasBody && { 'Content-Type': 'application/json' }) },
    ...(hasBody && { body: await readBody(ctx) }),
    redirect: 'error',
    signal: AbortSignal.timeout(10_000),
  })
  ctx.status = answer.status
  ctx.type = 'json'
  ctx.body = await answer.text()
})

/**
 * A token that is good for a while yet. Several calls at once renew it once.
 * @param {import('./sessions.js').Session} session
 * @returns {Promise<string | undefined>} undefined when the session at the provider is over
 */
async function accessTokenOf(session) {
  if (session.signedIn.accessTokenEndsAt > Date.now() + 30_000) return session.signedIn.accessToken
  session.renewing ??= provider
    .renew(session.signedIn)
    .then(renewed => {
      if (renewed) session.signedIn = renewed
      else session.endsAt = 0
    })
    .finally(() => delete session.renewing)
  await session.renewing
  return session.endsAt > 0 ? session.signedIn.accessToken : undefined
}

/** For the demo's start page: who is signed in here. Off without a key. */
router.get('/status', ctx => {
  if (STATUS_KEY && ctx.get('Authorization') === `Bearer ${STATUS_KEY}`)
    ctx.body = { sessions: sessions.list() }
})

for (const file of ['style.css', 'desk.js', 'icon.svg']) {
  router.get(`/${file}`, ctx => {
    ctx.type = extname(file)
    ctx.body = createReadStream(new URL(`public/${file}`, import.meta.url))
  })
}

const app = new Koa()
app.use(async (ctx, next) => {
  ctx.set({
    'Cache-Control': 'no-store',
    'Content-Security-Policy':
      `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; ` +
      `base-uri 'none'; frame-ancestors 'none'; form-action 'self' ${new URL(ISSUER).origin}`,
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  })
  ctx.cookies.secure = secure
  try {
    const origin = ctx.get('Origin')
    const isOwn = origin === '' || origin === new URL(baseUrl).origin
    if (ctx.method !== 'GET' && ctx.path !== '/backchannel-logout' && !isOwn) ctx.throw(403)
    await next()
  } catch (error) {
    if (Object(error).expose) throw error
    console.error(error)
    ctx.status = 502
    if (ctx.path.startsWith('/api/')) ctx.body = { error: 'unreachable' }
    else showPage(ctx, { notice: 'The provider does not answer as it should. Please try again in a moment.' })
  }
})
app.use(router.routes())
app.listen(Number(PORT), HOST, () => console.log(`Desk: ${baseUrl}`))

/** @param {string} [value] @returns {import('./provider.js').Attempt | undefined} */
function readAttempt(value) {
  try {
    return value ? JSON.parse(Buffer.from(value, 'base64url').toString()) : undefined
  } catch {
    return undefined
  }
}

/** @param {Context} ctx */
async function readBody(ctx) {
  let body = ''
  for await (const chunk of ctx.req.setEncoding('utf8')) {
    body += chunk
    if (body.length > 64 * 1024) ctx.throw(413)
  }
  return body
}
