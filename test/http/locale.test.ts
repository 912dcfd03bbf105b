import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { direction, loadCatalogues, pickLocale, translator } from '../../src/http/locale.ts'

const root = join(import.meta.dirname, '../..')
const catalogues = loadCatalogues(join(root, 'locales'))
const english = catalogues.get('en') ?? new Map<string, string>()

const small = new Map([
  [
    'en',
    new Map([
      ['door.open', 'Open, {name}'],
      ['door.wait.one', '{count} minute'],
      ['door.wait.other', '{count} minutes'],
      ['door.only', 'English only'],
    ]),
  ],
  [
    'de',
    new Map([
      ['door.open', 'Offen, {name}'],
      ['door.wait.one', '{count} Minute'],
      ['door.wait.other', '{count} Minuten'],
    ]),
  ],
  ['pt-BR', new Map([['door.open', 'Aberto, {name}']])],
])

describe('pickLocale', () => {
  it.each([
    [{}, 'en'],
    [{ acceptLanguage: 'de' }, 'de'],
    [{ acceptLanguage: 'DE-at, en;q=0.5' }, 'de'],
    [{ acceptLanguage: 'en;q=0.3, de;q=0.9' }, 'de'],
    [{ acceptLanguage: 'fr, de;q=0, en;q=0.1' }, 'en'],
    [{ acceptLanguage: 'pt-br' }, 'pt-BR'],
    [{ acceptLanguage: '*' }, 'en'],
    [{ uiLocales: 'fr de en', acceptLanguage: 'en' }, 'de'],
    [{ uiLocales: 'fr', acceptLanguage: 'de' }, 'de'],
    [{ uiLocales: '../../etc/passwd' }, 'en'],
    [{ uiLocales: '__proto__ constructor', acceptLanguage: 'toString' }, 'en'],
    [{ acceptLanguage: 'de;q=nonsense, ;;q, =' }, 'en'],
  ])('%j finds %s', (wanted, locale) => {
    expect(pickLocale(small, wanted)).toBe(locale)
  })

  it.each([',', ';', '-', 'a-', ' ', 'q=', ',;q=0.5'])(
    'takes no time for kilobytes of %j (SEC-112)',
    piece => {
      const long = piece.repeat(100_000 / piece.length)
      const before = performance.now()
      expect(pickLocale(small, { uiLocales: long, acceptLanguage: long })).toBe('en')
      expect(performance.now() - before).toBeLessThan(20)
    },
  )
})

describe('translator', () => {
  it('fills in values and leaves a placeholder without one', () => {
    expect(translator(small, 'de')('door.open', { name: 'Ada' })).toBe('Offen, Ada')
    expect(translator(small, 'de')('door.open')).toBe('Offen, {name}')
  })

  it('does not fill in what a value brings along', () => {
    expect(translator(small, 'en')('door.open', { name: '{name}{{7*7}}$&' })).toBe('Open, {name}{{7*7}}$&')
  })

  it('chooses the plural form by count', () => {
    expect(translator(small, 'de')('door.wait', { count: 1 })).toBe('1 Minute')
    expect(translator(small, 'de')('door.wait', { count: 3 })).toBe('3 Minuten')
  })

  it('falls back to English, plural rules included', () => {
    expect(translator(small, 'de')('door.only')).toBe('English only')
    expect(translator(small, 'pt-BR')('door.wait', { count: 0 })).toBe('0 minutes')
  })

  it('throws where English has no text either', () => {
    expect(() => translator(small, 'de')('door.missing')).toThrow('door.missing')
    expect(() => translator(small, 'de')('__proto__')).toThrow('__proto__')
  })
})

it('knows which way a language runs', () => {
  expect(direction('he')).toBe('rtl')
  expect(direction('ar-EG')).toBe('rtl')
  expect(direction('de')).toBe('ltr')
})

describe('the catalogues', () => {
  const sources = [...filesIn('views', '.eta'), ...filesIn('src', '.ts')].map(path =>
    readFileSync(path, 'utf8'),
  )
  const groups = new Set([...english.keys()].map(key => key.split('.', 1)[0]))
  const inGroup = (key: string) => groups.has(key.split('.', 1)[0])
  /** `it.t('sign-in.title')` names a key; `it.t('sign-in.' + it.error)` names all that start so. */
  const named = sources.flatMap(source =>
    [...source.matchAll(/'([a-z][\w-]*\.[\w.-]*)'/g)].map(match => match[1] ?? ''),
  )
  const translated = sources.flatMap(source =>
    [...source.matchAll(/\b(?:t|strong)\('([^']+)'/g)].map(match => match[1] ?? ''),
  )

  it('have every text that is used', () => {
    const missing = translated.filter(key => !key.endsWith('.') && !hasKey(key))
    expect(missing).toEqual([])
  })

  it('have no text that is not used', () => {
    const keys = named.filter(inGroup)
    const unused = [...english.keys()].filter(
      key =>
        !keys.includes(key) &&
        !keys.includes(key.replace(/\.(zero|one|two|few|many|other)$/, '')) &&
        !keys.some(prefix => prefix.endsWith('.') && key.startsWith(prefix)),
    )
    expect(unused).toEqual([])
  })

  it.each([...catalogues])('%s has the same texts and placeholders as English', (locale, catalogue) => {
    const forms = new Intl.PluralRules(locale).resolvedOptions().pluralCategories
    for (const [key, text] of catalogue) {
      expect(text.trim(), key).not.toBe('')
      const model = english.get(key) ?? english.get(key.replace(/\.\w+$/, '.other'))
      expect(model, key).toBeDefined()
      expect(placeholders(text), key).toEqual(placeholders(model ?? ''))
    }
    for (const key of english.keys()) {
      const plural = /^(.+)\.other$/.exec(key)?.[1]
      if (plural && english.has(`${plural}.one`)) {
        for (const form of forms) expect(catalogue.has(`${plural}.${form}`), `${plural}.${form}`).toBe(true)
      } else if (!key.endsWith('.one')) expect(catalogue.has(key), key).toBe(true)
    }
  })
})

function hasKey(key: string) {
  return english.has(key) || english.has(`${key}.other`)
}

function placeholders(text: string) {
  return [...new Set(text.match(/\{\w+\}/g))].sort()
}

function filesIn(dir: string, extension: string) {
  return readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith(extension))
    .map(path => join(root, dir, path))
}
