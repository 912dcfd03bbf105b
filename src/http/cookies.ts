/** The one cookie we have, and reading it strictly. */
import type { Context } from 'koa'

export type CookieJar = {
  /** The value; undefined when it is missing, was sent twice or is longer than ours ever are. */
  read: (ctx: Context) => string | undefined
  /** @param maxAge seconds; without it the cookie ends with the browser */
  set: (ctx: Context, value: string, maxAge?: number) => void
}

const longestValue = 200

/**
 * `__Host-lintel` with `Secure` on https; `lintel-<port>` on a plain-http loopback issuer, because ports do not
 * separate cookies and two providers on one machine would sign each other out (architecture section 4).
 */
export const cookieJar = (issuer: string): CookieJar => {
  const url = new URL(issuer)
  const secure = url.protocol === 'https:'
  const name = secure ? '__Host-lintel' : `lintel-${url.port || '80'}`
  const attributes = `; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
  const start = `${name}=`
  return {
    read: ctx => {
      const header = ctx.req.headers.cookie
      if (header === undefined) return undefined
      const values = header
        .split(';')
        .map(pair => pair.trim())
        .filter(pair => pair.startsWith(start))
      const [only] = values
      if (values.length !== 1 || only === undefined || only.length > start.length + longestValue)
        return undefined
      return only.slice(start.length)
    },
    set: (ctx, value, maxAge) => {
      const life = maxAge === undefined ? '' : `; Max-Age=${maxAge}`
      ctx.res.setHeader('Set-Cookie', `${start}${value}${attributes}${life}`)
    },
  }
}
