/** The one cookie we have, and reading it strictly. */
import type { Context } from 'koa'

export type CookieJar = {
  /** The value; undefined when it is missing, was sent twice or is longer than ours ever are. */
  read: (ctx: Context) => string | undefined
  /** @param maxAge seconds; without it the cookie ends with the browser */
  set: (ctx: Context, value: string, maxAge?: number) => void
}

const longestValue = 200

/** The values of a cookie, as often as it was sent. */
export const cookiesNamed = (ctx: Context, name: string): string[] =>
  (ctx.req.headers.cookie ?? '')
    .split(';')
    .map(pair => pair.trim())
    .filter(pair => pair.startsWith(`${name}=`))
    .map(pair => pair.slice(name.length + 1))

/**
 * `__Host-lintel` with `Secure` on https; `lintel-<port>` on a plain-http loopback issuer, because ports do not
 * separate cookies and two providers on one machine would sign each other out (architecture section 4).
 */
export const cookieJar = (issuer: string): CookieJar => {
  const url = new URL(issuer)
  const secure = url.protocol === 'https:'
  const name = secure ? '__Host-lintel' : `lintel-${url.port || '80'}`
  const attributes = `; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
  return {
    read: ctx => {
      const values = cookiesNamed(ctx, name)
      const [only] = values
      return values.length === 1 && only !== undefined && only.length <= longestValue ? only : undefined
    },
    set: (ctx, value, maxAge) => {
      const life = maxAge === undefined ? '' : `; Max-Age=${maxAge}`
      ctx.res.setHeader('Set-Cookie', `${name}=${value}${attributes}${life}`)
    },
  }
}
