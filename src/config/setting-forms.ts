/** The forms that settings come in: text from the environment or a value of the file → what the code works with. */
import { isIP } from 'node:net'
import { z } from 'zod'

const fail = (context: z.RefinementCtx, message: string): never => {
  context.addIssue({ code: 'custom', message })
  return z.NEVER
}

export const issuerUrl = z.string().transform((text, context) => {
  if (!URL.canParse(text)) return fail(context, 'is not a URL')
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return fail(context, 'must be an http or https URL')
  if (url.search || text.includes('?') || text.includes('#'))
    return fail(context, 'must have no query and no fragment')
  if (url.username || url.password) return fail(context, 'must have no user name in it')
  if (text.endsWith('/')) return fail(context, 'must not end with a slash')
  if (url.origin + (url.pathname === '/' ? '' : url.pathname) !== text)
    return fail(
      context,
      `must be written in its normal form, ${url.origin}${url.pathname === '/' ? '' : url.pathname}`,
    )
  return text
})

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `90`, `15m`, `12h`, `30d` → seconds. */
export const duration = z.union([z.string(), z.number()]).transform((value, context) => {
  const match = /^(\d{1,9})([smhd])?$/.exec(String(value))
  if (!match) return fail(context, 'must be a duration such as 90s, 15m, 12h or 30d')
  return Number(match[1]) * (units[match[2] ?? 's'] ?? 1)
})

/** The same, where longer makes no sense. */
export const durationUpTo = (longest: string) =>
  duration.refine(
    seconds => seconds > 0 && seconds <= duration.parse(longest),
    `must be above 0 and at most ${longest}`,
  )

export const wholeNumber = (min: number, max: number) =>
  z.union([z.string(), z.number()]).transform((value, context) => {
    const number = Number(value)
    if (!Number.isInteger(number) || String(value).trim() === '' || number < min || number > max)
      return fail(context, `must be a whole number from ${min} to ${max}`)
    return number
  })

export const list = z
  .union([z.string(), z.array(z.string())])
  .transform(value =>
    (Array.isArray(value) ? value : value.split(',')).map(item => item.trim()).filter(item => item !== ''),
  )

export const cidrList = list.transform((items, context) => {
  for (const item of items) {
    const [address = '', bits] = item.split('/')
    const family = isIP(address)
    const width = bits === undefined ? 32 : Number(bits)
    if (family === 0 || !Number.isInteger(width) || width < 0 || width > (family === 4 ? 32 : 128))
      return fail(context, `"${item}" is not an address or a range such as 10.0.0.0/8`)
    if (bits !== undefined && width === 0)
      return fail(context, `"${item}" trusts every address; name your proxies`)
  }
  return items
})

export const masterKeys = z.string().transform((text, context) => {
  const keys = text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '')
  if (keys.length === 0) return fail(context, 'is empty')
  const decoded = keys.map(key =>
    /^[A-Za-z0-9+/_-]+=*$/.test(key) ? Buffer.from(key, 'base64url') : Buffer.alloc(0),
  )
  if (decoded.some(key => key.length !== 32))
    return fail(context, 'must be 32 bytes in base64 or base64url; make one with: openssl rand -base64 32')
  if (decoded.some(key => new Set(key).size < 8))
    return fail(context, 'looks like a placeholder; make one with: openssl rand -base64 32')
  return decoded
})

export const listenAddress = z.string().transform((text, context) => {
  if (text.startsWith('unix:')) {
    if (text.length < 6) return fail(context, 'needs a path after unix:')
    return { path: text.slice(5) }
  }
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (!match?.[1] || port > 65_535) return fail(context, 'must be host:port, [::1]:4000 or unix:/path')
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
})

export type ListenAddress = { path: string } | { host: string; port: number }

export const databaseUrl = z.string().transform((text, context) => {
  if (text.startsWith('sqlite:') && text.length > 7) return { kind: 'sqlite' as const, path: text.slice(7) }
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return { kind: 'postgres' as const, url: text }
  return fail(context, 'must be sqlite:./path or postgres://user:password@host/database')
})

export type DatabaseUrl = z.output<typeof databaseUrl>

export const choice = <const T extends string>(...values: T[]) =>
  z.enum(values, { error: `must be one of: ${values.join(', ')}` })

export const signingAlgorithmList = list.transform((values, context) => {
  const known = ['RS256', 'ES256', 'PS256', 'EdDSA']
  const odd = values.find(value => !known.includes(value))
  if (odd !== undefined) return fail(context, `"${odd}" is not one of ${known.join(', ')}`)
  if (!values.includes('RS256') || !values.includes('ES256'))
    return fail(context, 'must hold RS256 and ES256')
  return values
})

/** `issuer=https://issuer.example/jwks` or `issuer=./jwks.json`. */
export const trustedIssuerList = list.transform((values, context) => {
  const issuers = new Set<string>()
  for (const value of values) {
    const { issuer, keysAt } = parseTrustedIssuer(value)
    if (issuer === '' || keysAt === '')
      return fail(context, `"${value}" is not ISSUER=JWKS, an issuer and where its keys are`)
    if (issuers.has(issuer)) return fail(context, `names ${issuer} twice`)
    issuers.add(issuer)
  }
  return values
})

/** The two sides of `ISSUER=JWKS`. */
export const parseTrustedIssuer = (text: string): { issuer: string; keysAt: string } => {
  const sign = text.indexOf('=')
  return { issuer: text.slice(0, Math.max(0, sign)).trim(), keysAt: text.slice(sign + 1).trim() }
}
