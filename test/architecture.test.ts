/** What the structure promises: imports go down, names are unique, one file writes each table. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const src = fileURLToPath(new URL('../src', import.meta.url))

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts'))
  .map(name => ({ name, text: readFileSync(join(src, name), 'utf8') }))

/** The order of architecture section 1: a file may use what stands before it, never what stands after. */
const order: [string, (name: string) => boolean][] = [
  ['config', name => name === 'config.ts' || name.startsWith('config/')],
  ['http', name => name.startsWith('http/')],
  ['store', name => name.startsWith('store/')],
  ['observe', name => name.startsWith('observe/')],
  ['keys', name => name.startsWith('keys/')],
  ['throttle', name => name.startsWith('throttle/')],
  ['identity', name => name.startsWith('identity/')],
  ['oauth/errors', name => name === 'oauth/errors.ts'],
  ['oauth/client', name => name.startsWith('oauth/client/')],
  ['oauth/parameters', name => name.startsWith('oauth/parameters/')],
  ['oauth/grant', name => name.startsWith('oauth/grant/')],
  ['oauth/tokens', name => name.startsWith('oauth/tokens/')],
  ['oauth/authorize', name => name.startsWith('oauth/authorize/')],
  ['oauth/device', name => name.startsWith('oauth/device/')],
  ['oauth/ciba', name => name.startsWith('oauth/ciba/')],
  ['oauth/token', name => name.startsWith('oauth/token/')],
  ['oauth/logout', name => name.startsWith('oauth/logout/')],
  ['oauth', name => /^oauth\/[^/]+$/.test(name)],
  ['account', name => name.startsWith('account/')],
  ['admin', name => name.startsWith('admin/')],
  [
    'routes, jobs, app, main',
    name => ['routes.ts', 'jobs.ts', 'run-jobs.ts', 'app.ts', 'main.ts'].includes(name),
  ],
  ['cli', name => name.startsWith('cli/')],
]

const rankOf = (name: string): number => order.findIndex(([, holds]) => holds(name))

type Import = { from: string; to: string; typeOnly: boolean }

const importsOf = ({ name, text }: { name: string; text: string }): Import[] =>
  [...text.matchAll(/^(?:import|export)\s+(type\s)?[^'"]*?from\s+'(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm)].map(
    match => ({
      from: name,
      to: relative(src, join(src, dirname(name), match[2] ?? match[3] ?? '')),
      typeOnly: match[1] !== undefined,
    }),
  )

const imports = files.flatMap(importsOf)

describe('the structure of src', () => {
  it('has a place for every file', () => {
    expect(files.map(file => file.name).filter(name => rankOf(name) < 0 && name !== 'services.ts')).toEqual(
      [],
    )
  })

  it('imports only go down', () => {
    expect(imports.length).toBeGreaterThan(200)
    const upward = imports.filter(({ from, to, typeOnly }) => {
      // Types that all may name.
      if (typeOnly && (to === 'services.ts' || to === 'config.ts')) return false
      if (from === 'services.ts') return !typeOnly
      return to === 'services.ts' || rankOf(to) > rankOf(from)
    })
    expect(upward.map(({ from, to }) => `${from} → ${to}`)).toEqual([])
  })

  it('files use one another without a cycle', () => {
    const graph = new Map<string, string[]>()
    for (const { from, to, typeOnly } of imports)
      if (!typeOnly) graph.set(from, [...(graph.get(from) ?? []), to])
    const cycles: string[] = []
    const done = new Set<string>()
    const visit = (name: string, path: string[]): void => {
      if (path.includes(name)) cycles.push([...path.slice(path.indexOf(name)), name].join(' → '))
      if (done.has(name) || path.includes(name)) return
      for (const next of graph.get(name) ?? []) visit(next, [...path, name])
      done.add(name)
    }
    for (const name of graph.keys()) visit(name, [])
    expect(cycles).toEqual([])
  })

  it('file names are unique', () => {
    const seen = new Map<string, string[]>()
    for (const { name } of files) seen.set(basename(name), [...(seen.get(basename(name)) ?? []), name])
    expect([...seen.values()].filter(names => names.length > 1)).toEqual([])
  })

  it('one file writes each table', () => {
    const writers = new Map<string, Set<string>>()
    const note = (table: string, name: string): void => {
      writers.set(table, (writers.get(table) ?? new Set()).add(name))
    }
    for (const { name, text } of files) {
      if (name === 'store/migrate.ts' || name === 'store/statement.ts') continue
      for (const match of text.matchAll(/insertion<[\s\S]*?>\(\s*'(\w+)'/g)) note(match[1] ?? '', name)
      for (const match of text.matchAll(/singleUse<[\s\S]*?>\(\s*'(\w+)'/g)) note(match[1] ?? '', name)
      for (const match of text.matchAll(/olderThan\(\s*'(\w+)'/g)) note(match[1] ?? '', name)
      // knex('table') … .insert( / .update( / .delete( within one statement.
      for (const match of text.matchAll(/statement<[\s\S]*?(?=\n(?:const|export|\/\*\*|type|$))/g)) {
        const tables = [...match[0].matchAll(/knex\('(\w+)'\)/g)].map(one => one[1] ?? '')
        if (/\.(insert|update|delete|merge)\(/.test(match[0]) && tables[0]) note(tables[0], name)
      }
    }
    const shared = [...writers]
      .filter(([, names]) => names.size > 1)
      .map(([table, names]) => `${table}: ${[...names].join(', ')}`)
    expect(shared).toEqual([])
  })

  it('no file is over 300 lines without a reason in its head', () => {
    const long = files.filter(
      ({ text }) => text.split('\n').length > 301 && !/^[\s\S]{0,600}over 300 lines/i.test(text),
    )
    expect(long.map(({ name, text }) => `${name}: ${text.split('\n').length}`)).toEqual([])
  })

  it('nothing below main reads the clock, the environment or the console by itself', () => {
    const allowed = (name: string): boolean =>
      ['main.ts', 'config.ts', 'observe/log.ts'].includes(name) ||
      name.startsWith('cli/') ||
      // Texts for the apps of others.
      name.startsWith('admin/recipes/') ||
      name.startsWith('store/') ||
      name.startsWith('config/')
    const odd = files.filter(
      ({ name, text }) =>
        !allowed(name) && /\bDate\.now\(\)|Math\.random\(|process\.env|\bconsole\./.test(text),
    )
    expect(odd.map(file => file.name)).toEqual([])
  })
})
