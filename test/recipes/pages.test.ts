/** What the pages for operators name is there. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { settingEntries } from '../../src/config/settings.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')

const knownVariables = new Set(
  settingEntries.flatMap(({ env, setting }) => (setting.secret ? [env, `${env}_FILE`] : [env])),
)

describe('the pages and recipes', () => {
  it('name no setting that does not exist, and neither do the other pages', () => {
    const pages = ['docs', 'docs/recipes', '.'].flatMap(directory =>
      readdirSync(join(root, directory), { withFileTypes: true })
        .filter(entry => entry.isFile() && !/\.(json|png|ts)$/.test(entry.name))
        .map(entry => join(directory, entry.name)),
    )
    const others = new Set(['LINTEL_CONFIG', 'LINTEL_STATE', 'LINTEL_HOST'])
    const odd = pages.flatMap(page =>
      [...textOf(page).matchAll(/\bLINTEL_[A-Z_]+[A-Z]\b/g)]
        .map(([name]) => name)
        .filter(
          name =>
            !knownVariables.has(name) &&
            !others.has(name) &&
            !name.startsWith('LINTEL_TEST_') &&
            !page.endsWith('CHANGELOG.md'),
        )
        .map(name => `${page}: ${name}`),
    )
    expect(odd).toEqual([])
  })
})

describe('docs/troubleshooting.md', () => {
  it('quotes what the server really says', () => {
    const source = [
      ...readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
        .filter(name => name.endsWith('.ts'))
        .map(name => textOf(join('src', name))),
      textOf('locales/en.json'),
    ].join('\n')
    const [, ...sections] = textOf('docs/troubleshooting.md').split(/^## /m)
    const ours = sections.filter(section => !/^(It runs, and apps|Sign-in and logout|Slow)/.test(section))
    const quoted = ours
      .flatMap(section => section.match(/^\| ["`].*?(?= \| )/gm) ?? [])
      .flatMap(cell => [...cell.matchAll(/"([^"]+)"|`([^`]+)`/g)].map(match => match[1] ?? match[2] ?? ''))
      // Between the places where a name, a path or a number stands.
      .flatMap(text =>
        text.split(
          /…|\.\/data\/master\.key|RS256| Did you mean|127\.0\.0\.1:4000|\(issuer in the file\)|LINTEL_\w+/,
        ),
      )
      .map(text => text.replace(/^[\s:.]+|[\s:.(]+$/g, ''))
      .filter(text => text.length > 12)
    expect(quoted.length).toBeGreaterThan(30)
    expect(quoted.filter(text => !source.includes(text))).toEqual([])
  })
})
