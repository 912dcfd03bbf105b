/** Forms of ours come back from our own pages only (architecture section 4, Forms). */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Context } from 'koa'

/** Whose form it is: a browser's id, and the secret in its cookie. */
export type FormOwner = { id: string; secret: string }

/** The token of a form: the browser's id in front, so that a stale one of this browser is known from a foreign one. */
export const formToken = ({ id, secret }: FormOwner, path: string): string =>
  `${id}.${createHmac('sha256', secret).update(path).digest('base64url')}`

/** `stale`: handed out to this browser before its secret changed. */
export type TokenVerdict = 'fits' | 'stale' | 'foreign'

/** Looks at the token that came with a form. */
export const judgeFormToken = (token: string | undefined, owner: FormOwner, path: string): TokenVerdict => {
  if (token === undefined) return 'foreign'
  const given = Buffer.from(token)
  const right = Buffer.from(formToken(owner, path))
  if (given.length === right.length && timingSafeEqual(given, right)) return 'fits'
  return token.startsWith(`${owner.id}.`) ? 'stale' : 'foreign'
}

/**
 * Whether a form may have come from our own pages, by what the browser says of it: an `Origin` equal to the
 * issuer's goes on, another does not; `null` or none needs `Sec-Fetch-Site` absent, `same-origin` or `none`.
 */
export const isOwnOrigin = (ctx: Context, issuerOrigin: string): boolean => {
  const origin = ctx.req.headers.origin
  if (origin !== undefined && origin !== 'null') return origin === issuerOrigin
  const site = ctx.req.headers['sec-fetch-site']
  return site === undefined || site === 'same-origin' || site === 'none'
}
