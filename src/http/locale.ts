import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

/** All texts by locale: `en` → `sign-in.title` → `Sign in`. */
export type Catalogues = ReadonlyMap<string, Catalogue>
export type Catalogue = ReadonlyMap<string, string>
export type Translate = (key: string, values?: Record<string, string | number>) => string

const fallback = 'en'

/** A file is one level of groups: `{ "sign-in": { "title": "Sign in" } }`. A text with a number in it has one entry a plural form: `wait.one`, `wait.other`. */
const file = z.record(z.string(), z.record(z.string(), z.string()))

export function loadCatalogues(dir: string): Catalogues {
  const files = readdirSync(dir).filter(name => name.endsWith('.json'))
  const catalogues = new Map(
    files.map(name => [name.slice(0, -'.json'.length), readCatalogue(join(dir, name))]),
  )
  if (!catalogues.has(fallback)) throw new Error(`no ${fallback}.json in ${dir}`)
  return catalogues
}

function readCatalogue(path: string): Catalogue {
  const groups = file.parse(JSON.parse(readFileSync(path, 'utf8')))
  return new Map(
    Object.entries(groups).flatMap(([group, texts]) =>
      Object.entries(texts).map(([name, text]): [string, string] => [`${group}.${name}`, text]),
    ),
  )
}

/** The first locale of ours that the app (`ui_locales`) or else the browser (`Accept-Language`) would like. What they send is only ever compared with names we have. */
export function pickLocale(
  catalogues: Catalogues,
  wanted: { uiLocales?: string | undefined; acceptLanguage?: string | undefined },
): string {
  const tags = [...uiLocales(wanted.uiLocales ?? ''), ...acceptedLanguages(wanted.acceptLanguage ?? '')]
  const ours = new Map([...catalogues.keys()].map(locale => [locale.toLowerCase(), locale]))
  for (const tag of tags) {
    const found = lookUp(ours, tag)
    if (found) return found
  }
  return fallback
}

/** Nobody speaks more than this; what is longer is not read to its end. */
const longest = 500

/** OpenID Connect Core §3.1.2.1: separated by spaces, in order of preference. */
function uiLocales(value: string): string[] {
  return value.slice(0, longest).split(' ').filter(Boolean)
}

/** RFC 9110 §12.5.4: `de-AT, de;q=0.8, en;q=0.5`. */
function acceptedLanguages(value: string): string[] {
  return value
    .slice(0, longest)
    .split(',')
    .map(range => {
      const [tag = '', ...parameters] = range.split(';').map(part => part.trim())
      const quality = parameters.find(part => part.startsWith('q='))
      return { tag, weight: quality ? Number(quality.slice('q='.length)) : 1 }
    })
    .filter(({ tag, weight }) => tag && weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(({ tag }) => tag)
}

/** RFC 4647 §3.4: `de-AT` is served by `de` when there is no `de-AT`. */
function lookUp(ours: ReadonlyMap<string, string>, tag: string): string | undefined {
  let range = tag.toLowerCase()
  while (range) {
    const found = ours.get(range)
    if (found) return found
    range = range.slice(0, Math.max(0, range.lastIndexOf('-')))
  }
  return undefined
}

/** A text that a locale lacks comes in English; one that English lacks is our mistake. `count` chooses among plural forms. */
export function translator(catalogues: Catalogues, locale: string): Translate {
  const own = plurals(catalogues, locale)
  const english = plurals(catalogues, fallback)
  return (key, values = {}) => {
    const text = own(key, values.count) ?? english(key, values.count)
    if (text === undefined) throw new Error(`no text for ${key}`)
    return text.replace(/\{(\w+)\}/g, (placeholder, name: string) => String(values[name] ?? placeholder))
  }
}

function plurals(catalogues: Catalogues, locale: string) {
  const catalogue = catalogues.get(locale)
  const rules = new Intl.PluralRules(locale)
  return (key: string, count: string | number | undefined): string | undefined => {
    if (typeof count !== 'number') return catalogue?.get(key)
    return (
      catalogue?.get(`${key}.${rules.select(count)}`) ?? catalogue?.get(`${key}.other`) ?? catalogue?.get(key)
    )
  }
}

const rightToLeft = new Set(['ar', 'fa', 'he', 'ps', 'sd', 'ug', 'ur', 'yi'])

export function direction(locale: string): 'ltr' | 'rtl' {
  return rightToLeft.has(locale.split('-', 1)[0] ?? '') ? 'rtl' : 'ltr'
}
