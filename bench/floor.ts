/**
 * The floor: a server of Lintel's design that validates nothing. It costs what koa, SQLite on disk and the signatures
 * cost; what Lintel costs on top is Lintel's own. `tsx bench/floor.ts <port> <directory>`, see README.md.
 */
import Router from '@koa/router'
import Koa, { type Context } from 'koa'
import { answer, discovery, fields, form, observe, ready } from './floor-http.ts'
import { type Owner, openStore, type Write } from './floor-store.ts'
import {
  accessToken,
  idToken,
  makeId,
  makeSecret,
  now,
  presented,
  publicKeys,
  random,
  refreshToken,
  same,
  sha256,
} from './floor-tokens.ts'

type Client = { id: string; alg: 'ES256' | 'RS256'; secretHash: Buffer }

const [port = '4100', directory = '.'] = process.argv.slice(2)
const iss = `http://localhost:${port}`
const store = openStore(`${directory}/floor.db`)
const clients = new Map<string, Client>()
for (const alg of ['ES256', 'RS256'] as const) {
  clients.set(`bench-${alg}`, { id: `bench-${alg}`, alg, secretHash: sha256('s'.repeat(43)) })
}

async function authorize(ctx: Context) {
  const { client_id = '', redirect_uri = '', scope, state, nonce, code_challenge } = fields(ctx.querystring)
  const cookie = /floor=([a-z0-9]{84})/.exec(ctx.get('cookie'))?.[1] ?? ''
  const session = store.findSignedIn(client_id, cookie.slice(0, 20))
  ctx.set({
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  })
  ctx.status = 303
  ctx.body = ''
  if (!session || !same(cookie.slice(20), session.secret_hash)) return signInAnybody(ctx)
  const [id, code, secret] = [makeId(), makeId(), makeSecret()]
  await store.commit(
    store.addAuthorization(id, session.user, client_id, session.session, scope, session.auth_time),
    store.addCode(code, id, sha256(secret), code_challenge, nonce, redirect_uri, now() + 60),
  )
  ctx.set(
    'Location',
    `${redirect_uri}?code=lac${code}${secret}&state=${state}&iss=${encodeURIComponent(iss)}`,
  )
}

/** Stands for sign-in and consent, which the floor does not measure. */
async function signInAnybody(ctx: Context) {
  const [user, browser, secret] = [makeId(), makeId(), makeSecret()]
  await store.commit(
    store.addUser(user, makeId(), `${user}@bench.example`, 'Bench User'),
    store.addBrowser(browser, sha256(secret)),
    store.addSession(makeId(), browser, user, now()),
    ...[...clients.keys()].map(client => store.addConsent(user, client, 'openid profile email')),
  )
  ctx.set({
    'Set-Cookie': `floor=${browser}${secret}; Path=/; HttpOnly; SameSite=Lax`,
    Location: iss + ctx.url,
  })
}

async function token(ctx: Context) {
  const { grant_type, code = '', code_verifier = '', refresh_token = '' } = await form(ctx)
  const client = authenticate(ctx)
  if (grant_type === 'client_credentials') {
    const claims = { iss, aud: iss, sub: client.id, client_id: client.id, scope: 'api:read' }
    const access_token = accessToken(claims, makeId())
    return answer(ctx, { access_token, token_type: 'Bearer', expires_in: 900, scope: 'api:read' })
  }
  if (grant_type === 'refresh_token') {
    const [id, generation] = [refresh_token.slice(3, 23), Number.parseInt(refresh_token.slice(23), 10)]
    const found = store.findFamily(id)
    if (!found || refreshToken(id, generation, found.seed) !== refresh_token) return ctx.throw(400)
    const successor = refreshToken(id, generation + 1, found.seed)
    return issue(ctx, client, found, successor, store.rotate(generation + 1, now(), id, generation))
  }
  const found = store.findCode(code.slice(3, 23))
  if (!found || !same(code.slice(23), found.secret_hash)) return ctx.throw(400)
  if (sha256(code_verifier).toString('base64url') !== found.challenge) return ctx.throw(400)
  const [id, seed] = [makeId(), Buffer.from(random(32))]
  const taken = store.takeCode(now(), code.slice(3, 23))
  const family = store.addFamily(id, found.authorization, seed, now(), now() + 2_592_000)
  return issue(ctx, client, found, refreshToken(id, 1, seed), taken, family)
}

async function issue(
  ctx: Context,
  client: Client,
  to: Owner & { nonce?: string },
  refresh_token: string,
  ...writes: Write[]
) {
  const { sub, scope, nonce, session: sid, auth_time } = to
  const access_token = accessToken({ iss, aud: iss, sub, client_id: client.id, scope }, to.authorization)
  const [iat, at_hash] = [now(), sha256(access_token).toString('base64url', 0, 16)]
  const claims = { iss, aud: client.id, sub, nonce, sid, auth_time, iat, exp: iat + 3600, at_hash }
  const [id_token, held] = await Promise.all([idToken(client.alg, claims), store.commit(...writes)])
  if (!held) ctx.throw(400)
  answer(ctx, { access_token, token_type: 'Bearer', expires_in: 900, scope, refresh_token, id_token })
}

function userinfo(ctx: Context) {
  const { jti } = presented(ctx.get('authorization').slice(7))
  const found = store.findPresented(jti, jti.slice(0, 20))
  if (!found || found.revoked) return ctx.throw(401)
  answer(ctx, { sub: found.sub, name: found.name, email: found.email, email_verified: true })
}

async function introspect(ctx: Context) {
  const { token: value = '' } = await form(ctx)
  authenticate(ctx)
  const claims = presented(value)
  const found = store.findPresented(claims.jti, claims.jti.slice(0, 20))
  const active = found && !found.revoked && claims.exp > now()
  answer(ctx, active ? { active: true, token_type: 'Bearer', ...claims } : { active: false })
}

function authenticate(ctx: Context) {
  const [id = '', secret = ''] = Buffer.from(ctx.get('authorization').slice(6), 'base64')
    .toString()
    .split(':')
  const client = clients.get(id)
  return client && same(secret, client.secretHash) ? client : ctx.throw(401)
}

const router = new Router({ sensitive: true, strict: true })
router
  .get('/authorize', authorize)
  .post('/token', token)
  .get('/userinfo', userinfo)
  .post('/introspect', introspect)
router.get('/.well-known/openid-configuration', ready(discovery(iss)))
router.get('/jwks', ready({ keys: publicKeys })).get('/livez', ready({}))
new Koa().use(observe).use(router.routes()).listen(Number(port), '127.0.0.1')
