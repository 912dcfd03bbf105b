// @ts-check
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { extname } from 'node:path'
import Router from '@koa/router'
import Koa from 'koa'
import { ResponseBodyError } from 'openid-client'
import { notebook } from './notebook.js'
import { errorPage, notesPage, welcomePage } from './pages.js'
import { Sessions } from './sessions.js'
import { openIdConnect } from './sign-in.js'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, HOST = '127.0.0.1', PORT = '4001' } = process.env
const { TRY_NEXT, STATUS_KEY } = process.env
const baseUrl = process.env.BASE_URL ?? `http://localhost:${PORT}`
if (!ISSUER || !CLIENT_ID || !CLIENT_SECRET) {
  console.error('Notes needs ISSUER, CLIENT_ID and CLIENT_SECRET in the environment: see README.md')
  process.exit(1)
}

const secure = baseUrl.startsWith('https:')
const cookieName = secure ? '__Host-notes' : 'notes'
const site = { issuer: ISSUER, baseUrl, tryNext: TRY_NEXT, cookieName }
const sessions = new Sessions()
const signIn = openIdConnect({ issuer: ISSUER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, baseUrl })

const app = new Koa()
const router = new Router()

/** @typedef {import('koa').Context} Context */

/** @param {Context} ctx */
const sessionOf = ctx => sessions.find(ctx.cookies.get(cookieName))

/**
 * A new session, under a new cookie: an id that was there before signing in must never be the one
 * after it, or whoever planted the first would share the second (session fixation).
 * @param {Context} ctx
 */
function freshSession(ctx) {
  sessions.close(sessionOf(ctx))
  const session = sessions.open()
  // Lax, not Strict: the browser comes back from the provider, another site, and must bring it along.
  ctx.cookies.set(cookieName, session.id, {
    httpOnly: true,
    sameSite: 'lax',
    path: '/',
    secure,
    overwrite: true,
  })
  return session
}

router.get('/', ctx => {
  const session = sessionOf(ctx)
  const notice = session?.notice
  if (session) session.notice = undefined
  const signedIn = session?.signedIn
  ctx.body = signedIn
    ? notesPage({ site, notice, signedIn, notes: notebook(signedIn.sub).list() })
    : welcomePage({ site, notice })
})

/** Also the client's `initiate_login_uri`: the provider may send somebody here to begin. */
router.get('/login', async ctx => {
  const { iss, login_hint: loginHint, silent } = ctx.query
  if (iss !== undefined && iss !== ISSUER) return explain(ctx, { kind: 'other-provider' })

  const { url, attempt } = await signIn.begin({
    silent: silent !== undefined,
    loginHint: typeof loginHint === 'string' ? loginHint : undefined,
  })
  // Somebody may open several tabs, so several attempts are remembered, the last five of them.
  const session = sessionOf(ctx) ?? freshSession(ctx)
  session.attempts = [...session.attempts, attempt].slice(-5)
  ctx.redirect(url.href)
})

router.get('/callback', async ctx => {
  const session = sessionOf(ctx)
  const attempt = session?.attempts.find(({ state }) => state === ctx.query.state)
  if (!session || !attempt) {
    // A bookmark, the back button, or a link somebody else made. Nothing of it is shown or believed.
    return session?.signedIn ? ctx.redirect('/') : explain(ctx, { kind: 'unknown-attempt' })
  }
  session.attempts = session.attempts.filter(other => other !== attempt)

  try {
    const signedIn = await signIn.finish(ctx.querystring, attempt)
    freshSession(ctx).signedIn = signedIn
    ctx.redirect('/')
  } catch (error) {
    console.warn(`sign-in failed: ${messageOf(error)}`)
    if (!attempt.silent) return explain(ctx, { kind: 'refused', error })
    // The silent check found nobody. That is an answer, and asking again by itself would never end.
    session.notice = `Checked without asking: ${host(ISSUER)} cannot sign you in without showing you a page.`
    ctx.redirect('/')
  }
})

router.post('/renew', async ctx => {
  const session = sessionOf(ctx)
  const before = session?.signedIn
  if (session && before?.refreshToken) {
    try {
      session.signedIn = await signIn.renew({ ...before, refreshToken: before.refreshToken })
      session.notice = 'New tokens. Compare the times: the person and the session are the same.'
    } catch (error) {
      if (!(error instanceof ResponseBodyError && error.error === 'invalid_grant')) throw error
      session.signedIn = undefined
      session.notice = 'Your session has ended at the provider, so it ends here as well.'
    }
  }
  redirectAfterPost(ctx, '/')
})

router.post('/sign-out', async ctx => {
  const signedIn = sessionOf(ctx)?.signedIn
  const session = freshSession(ctx) // here first, whatever happens on the way
  session.signOutState = randomUUID()
  const url = signedIn && (await signIn.signOutUrl(signedIn.idToken, session.signOutState))
  redirectAfterPost(ctx, url?.href ?? '/')
})

router.get('/signed-out', ctx => {
  const session = sessionOf(ctx)
  if (session?.signOutState && session.signOutState === ctx.query.state) {
    session.signOutState = undefined
    session.notice = 'You are signed out: here, at the provider and in every app that listens to it.'
  }
  ctx.redirect('/')
})

/** From the provider's server, without a browser: a session has ended somewhere else. */
router.post('/backchannel-logout', async ctx => {
  ctx.set('Cache-Control', 'no-store')
  try {
    const form = await readForm(ctx)
    sessions.closeNamed(await signIn.readLogoutToken(form.get('logout_token') ?? ''))
    ctx.status = 200
  } catch (error) {
    ctx.status = 400
    ctx.body = { error: 'invalid_request', error_description: `logout token: ${messageOf(error)}` }
  }
})

router.post('/notes', async ctx => {
  const { signedIn } = sessionOf(ctx) ?? {}
  if (signedIn) notebook(signedIn.sub).add((await readForm(ctx)).get('text') ?? '')
  redirectAfterPost(ctx, '/')
})

router.post('/notes/remove', async ctx => {
  const { signedIn } = sessionOf(ctx) ?? {}
  if (signedIn) notebook(signedIn.sub).remove((await readForm(ctx)).get('id') ?? '')
  redirectAfterPost(ctx, '/')
})

/** For the demo's start page: who is signed in here. Off without a key. */
router.get('/status', ctx => {
  if (STATUS_KEY && ctx.get('Authorization') === `Bearer ${STATUS_KEY}`)
    ctx.body = { sessions: sessions.list() }
})

for (const file of ['style.css', 'countdown.js', 'icon.svg']) {
  router.get(`/${file}`, ctx => {
    ctx.type = extname(file)
    ctx.body = createReadStream(new URL(`public/${file}`, import.meta.url))
  })
}

/** Runs around every request: the page's protections, and a kind page for what went wrong. */
app.use(async (ctx, next) => {
  ctx.set({
    'Cache-Control': 'no-store',
    'Content-Security-Policy':
      `default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; ` +
      // Signing out posts here and is redirected to the provider, and a form must be allowed both.
      `frame-ancestors 'none'; form-action 'self' ${new URL(ISSUER).origin}`,
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  })
  ctx.cookies.secure = secure // TLS may end at a proxy; what counts is what the browser sees
  try {
    const origin = ctx.get('Origin')
    const isOwnForm = origin === '' || origin === new URL(baseUrl).origin
    if (ctx.method === 'POST' && ctx.path !== '/backchannel-logout' && !isOwnForm) ctx.throw(403)
    await next()
  } catch (error) {
    if (/** @type {{ expose?: boolean }} */ (error).expose) throw error
    console.error(error)
    explain(ctx, { kind: 'broken', error })
  }
})
app.use(router.routes())
app.listen(Number(PORT), HOST, () => console.log(`Notes: ${baseUrl}`))

/**
 * @param {Context} ctx
 * @param {{ kind: import('./pages.js').Trouble, error?: unknown }} trouble
 */
function explain(ctx, { kind, error }) {
  ctx.status = kind === 'broken' ? 502 : 400
  ctx.body = errorPage({ site, kind, error })
}

/**
 * 303 turns the POST into a GET, so that reloading the page does not send the form again.
 * @param {Context} ctx
 * @param {string} url
 */
function redirectAfterPost(ctx, url) {
  ctx.redirect(url)
  ctx.status = 303
}

/** @param {Context} ctx */
async function readForm(ctx) {
  let body = ''
  for await (const chunk of ctx.req.setEncoding('utf8')) {
    body += chunk
    if (body.length > 64 * 1024) ctx.throw(413)
  }
  return new URLSearchParams(body)
}

/** @param {unknown} error */
const messageOf = error => (error instanceof Error ? error.message : String(error))

/** @param {string} url */
const host = url => new URL(url).host
