import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { loadAssets } from '../../src/http/assets.ts'

const publicDir = join(import.meta.dirname, '../../public')

it('finds a file under the name that url gave, below the path of the issuer', () => {
  const assets = loadAssets(publicDir, '/id')
  const url = assets.url('style.css')
  expect(url).toMatch(/^\/id\/assets\/style\.[0-9a-f]{16}\.css$/)
  const found = assets.find(url)
  expect(found?.type).toBe('text/css; charset=utf-8')
  expect(found?.etag).toMatch(/^"[0-9a-f]{16}"$/)
  expect(found?.body).toEqual(readFileSync(join(publicDir, 'style.css')))
})

it('gives a changed file another name', () => {
  const dir = mkdtempSync(join(tmpdir(), 'assets-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, 'style.css'), 'a{}')
  const before = loadAssets(dir, '')
  writeFileSync(join(dir, 'style.css'), 'b{}')
  const after = loadAssets(dir, '')
  expect(after.url('style.css')).not.toBe(before.url('style.css'))
  expect(after.find(before.url('style.css'))).toBeUndefined()
})

it.each([
  '/assets/style.css',
  '/assets/../package.json',
  '/assets/%2e%2e/package.json',
  '/etc/passwd',
  '__proto__',
  '',
])('finds nothing at %j', path => {
  expect(loadAssets(publicDir, '').find(path)).toBeUndefined()
})

it('refuses a name that does not exist, at the first rendering', () => {
  expect(() => loadAssets(publicDir, '').url('nothing.css')).toThrow('nothing.css')
})

it('keeps the style sheet small, and free of what the content security policy blocks', () => {
  const style = readFileSync(join(publicDir, 'style.css'), 'utf8')
  expect(Buffer.byteLength(style)).toBeLessThanOrEqual(20_480)
  expect(style).not.toMatch(/url\(|data:|@import|@font-face/)
})
