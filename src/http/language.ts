/** The language that somebody chose at the foot of a page. It is no secret, so it has a cookie of its own that outlives sign-outs. */
import type { Context } from 'koa'
import { cookiesNamed } from './cookies.ts'

const parameter = 'lang'

/** Seconds: a year. */
const remembered = 31_536_000

export type LanguageChoice = {
  /** What was chosen now or earlier, if it is a language of ours. */
  chosen: (ctx: Context) => string | undefined
  /** A link for each language, to the same page, with the parameters that it was opened with and needs. */
  links: (ctx: Context, current: string, parameters: readonly [string, string][]) => LanguageLink[]
}

export type LanguageLink = { locale: string; name: string; href: string; isCurrent: boolean }

/** @param locales the languages there are */
export const languageChoice = (issuer: string, locales: readonly string[]): LanguageChoice => {
  const { protocol, port } = new URL(issuer)
  const secure = protocol === 'https:'
  const cookie = secure ? '__Host-lintel-language' : `lintel-language-${port || '80'}`
  const known = (locale: string | null | undefined): string | undefined => locales.find(one => one === locale)
  const names = new Map(locales.map(one => [one, nameOf(one)]))

  const remember = (ctx: Context, locale: string): void => {
    const earlier = [ctx.res.getHeader('Set-Cookie') ?? []].flat().map(String)
    const line = `${cookie}=${locale}; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}; Max-Age=${remembered}`
    ctx.res.setHeader('Set-Cookie', [...earlier, line])
  }

  return {
    chosen: ctx => {
      const now = known(new URLSearchParams(ctx.querystring).get(parameter))
      // Only our own links are remembered: another site may show a page of ours, not change what somebody chose.
      if (now !== undefined && ctx.req.headers['sec-fetch-site'] === 'same-origin') remember(ctx, now)
      return now ?? known(cookiesNamed(ctx, cookie)[0])
    },
    links: (ctx, current, parameters) =>
      locales.map(locale => ({
        locale,
        name: names.get(locale) ?? locale,
        href: `${ctx.path}?${new URLSearchParams([...parameters, [parameter, locale]])}`,
        isCurrent: locale === current,
      })),
  }
}

/** A language's name as its speakers have it. */
const nameOf = (locale: string): string => {
  const name = new Intl.DisplayNames(locale, { type: 'language' }).of(locale) ?? locale
  return name.charAt(0).toLocaleUpperCase(locale) + name.slice(1)
}
