/** The headers of each kind of route (security-defaults.md, Headers and CSP). */
import { randomBytes } from 'node:crypto'
import type { Context } from 'koa'

export type RouteKind = 'endpoint' | 'page' | 'api' | 'document' | 'asset'

export type PageRules = {
  /** The form can end at an app, so `form-action` is left out: Chromium applies it to the whole redirect chain. */
  formMayLeave?: boolean
  /** `/account`, `/admin`, `/setup`: no other window may hold on to it. Never on a page of a sign-in: it severs popups. */
  isolated?: boolean
}

const everywhere: [string, string][] = [
  ['X-Content-Type-Options', 'nosniff'],
  // With no-referrer browsers send "Origin: null" for our own forms.
  ['Referrer-Policy', 'same-origin'],
  ['X-Frame-Options', 'DENY'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Permissions-Policy', 'camera=(), geolocation=(), microphone=(), payment=(), usb=()'],
]

const bareCsp = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const pageCsp = (rules: PageRules): string =>
  [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    ...(rules.formMayLeave ? [] : ["form-action 'self'"]),
    "frame-ancestors 'none'",
  ].join('; ')

/**
 * The function that sets a route's headers.
 *
 * @param strictTransport whether the issuer is https and not loopback
 */
export const headersOf = (
  kind: RouteKind,
  rules: PageRules,
  strictTransport: boolean,
): ((ctx: Context) => void) => {
  const headers = [...everywhere]
  if (strictTransport) headers.push(['Strict-Transport-Security', 'max-age=63072000'])
  if (rules.isolated) headers.push(['Cross-Origin-Opener-Policy', 'same-origin'])
  headers.push(['Content-Security-Policy', kind === 'page' ? pageCsp(rules) : bareCsp])
  if (kind !== 'document' && kind !== 'asset') headers.push(['Cache-Control', 'no-store'])
  if (kind === 'endpoint') headers.push(['Pragma', 'no-cache'])
  return ctx => {
    for (const [name, value] of headers) ctx.res.setHeader(name, value)
  }
}

/** Allows the scripts of this page, those that carry the nonce. */
export const allowScripts = (ctx: Context): string => {
  const nonce = randomBytes(18).toString('base64url')
  const csp = String(ctx.res.getHeader('Content-Security-Policy'))
  ctx.res.setHeader(
    'Content-Security-Policy',
    csp.replace("default-src 'none'", `default-src 'none'; script-src 'nonce-${nonce}'`),
  )
  return nonce
}
