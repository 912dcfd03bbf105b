/** The floor's ground: reading a form, answering, request id, metrics and log line. */
import { writeSync } from 'node:fs'
import { parse } from 'node:querystring'
import type { Context, Next } from 'koa'
import { random, sha256 } from './floor-tokens.ts'

export const fields = (text: string) => parse(text) as Record<string, string>
export const form = ({ req }: Context) =>
  new Promise<Record<string, string>>(resolve => {
    let text = ''
    req.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
    req.on('end', () => resolve(fields(text)))
  })
export function answer(ctx: Context, body: object) {
  ctx.set({
    'Cache-Control': 'no-store',
    'Content-Type': 'application/json',
    'X-Content-Type-Options': 'nosniff',
  })
  ctx.body = JSON.stringify(body)
}

/** Request id, metrics, and a log line; the lines of one turn are written together. */
const counts = new Map<string, { count: number; seconds: number }>()
let lines = ''
export async function observe(ctx: Context, next: Next) {
  const [id, began] = [random(12).toString('hex'), performance.now()]
  ctx.set('X-Request-Id', id)
  await next()
  const { method, path, status } = ctx
  const seconds = (performance.now() - began) / 1000
  const counted = counts.get(`${method} ${path} ${status}`) ?? { count: 0, seconds: 0 }
  counts.set(`${method} ${path} ${status}`, { count: counted.count + 1, seconds: counted.seconds + seconds })
  if (lines === '') setImmediate(writeLines)
  lines += `${JSON.stringify({ level: 30, time: Date.now(), request_id: id, method, path, status, seconds })}\n`
}
function writeLines() {
  writeSync(1, lines)
  lines = ''
}

/** A document that is ready before anybody asks. */
export function ready(document: object) {
  const body = Buffer.from(JSON.stringify(document))
  const etag = `"${sha256(body.toString()).toString('base64url')}"`
  const sharing = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'public, max-age=300' }
  const headers = {
    ...sharing,
    ETag: etag,
    'Content-Type': 'application/json',
    'X-Content-Type-Options': 'nosniff',
  }
  return (ctx: Context) => {
    ctx.set(headers)
    if (ctx.get('if-none-match') === etag) ctx.status = 304
    else ctx.body = body
  }
}

/** As long as a real one. */
export function discovery(issuer: string) {
  const names = ['scopes', 'response_types', 'grant_types', 'claims', 'acr_values', 'prompt_values']
  const values = (name: string) => Array.from({ length: 8 }, (_, number) => `${name}_${number}`)
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    userinfo_endpoint: `${issuer}/userinfo`,
    introspection_endpoint: `${issuer}/introspect`,
    jwks_uri: `${issuer}/jwks`,
    ...Object.fromEntries(names.map(name => [`${name}_supported`, values(name)])),
  }
}
