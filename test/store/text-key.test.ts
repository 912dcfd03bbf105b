import { describe, expect, it } from 'vitest'
import {
  equalInConstantTime,
  handSecret,
  hashSecret,
  readSecret,
  secretPrefixes,
} from '../../src/store/secret.ts'
import { keyAt, seconds } from '../../src/store/single-use.ts'
import { isTextKey, newTextKey, randomText } from '../../src/store/text-key.ts'

const instant = new Date(Date.UTC(2026, 0, 1))

describe('text keys', () => {
  it('are in the order of time, also far ahead', () => {
    const times = [0, 1, 31, 32, 1024, Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 1) + 1, Date.UTC(3000, 0, 1)]
    const keys = times.map(time => newTextKey(new Date(time)))
    expect([...keys].sort()).toEqual(keys)
    for (const key of keys) expect(key).toMatch(/^[0-9a-hjkmnp-tv-z]{20}$/)
  })

  it('are not made twice', () => {
    expect(new Set(Array.from({ length: 50_000 }, () => newTextKey(instant))).size).toBe(50_000)
  })

  it('are compared by age with the first key of an instant', () => {
    expect(keyAt(instant) <= newTextKey(instant)).toBe(true)
    expect(newTextKey(new Date(instant.getTime() - 1)) < keyAt(instant)).toBe(true)
    expect(seconds(new Date(1999))).toBe(1)
  })

  it.each(['', 'short', 'A'.repeat(20), `${'0'.repeat(19)}-`, '0'.repeat(21), `${'0'.repeat(19)}\n`])(
    '%j is none',
    text => {
      expect(isTextKey(text)).toBe(false)
    },
  )

  it('random text uses the whole alphabet', () => {
    expect(new Set(randomText(5000)).size).toBe(32)
  })
})

describe('secrets that we hand out', () => {
  const id = newTextKey(instant)

  it('are a prefix, an id and a secret of 260 bits, in letters and digits only', () => {
    const { text, hash } = handSecret('code', id)
    expect(text).toMatch(/^lnc[0-9a-z]{72}$/)
    expect(hash).not.toContain(text.slice(-52))
    expect(readSecret('code', text)).toEqual({ id, secret: text.slice(-52), hash })
    expect(hashSecret(text.slice(-52))).toBe(hash)
  })

  it('no kind is taken for another, and nothing else is taken for one', () => {
    const { text } = handSecret('code', id)
    expect(readSecret('accessToken', text)).toBeUndefined()
    for (const wrong of [
      '',
      'lnc',
      text.slice(1),
      `${text}0`,
      ` ${text.slice(1)}`,
      text.toUpperCase(),
      `${text.slice(0, -1)}-`,
      `${text.slice(0, -1)}\n`,
    ])
      expect(readSecret('code', wrong)).toBeUndefined()
    expect(new Set(Object.values(secretPrefixes)).size).toBe(Object.keys(secretPrefixes).length)
  })

  it('are compared whole', () => {
    expect(equalInConstantTime('abc', 'abc')).toBe(true)
    for (const other of ['abd', 'ab', 'abcd', '', 'äbc'])
      expect(equalInConstantTime('abc', other)).toBe(false)
  })
})
