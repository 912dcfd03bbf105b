import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { judgeVerifier } from '../../src/oauth/parameters/pkce.ts'

const challengeOf = (verifier: string): string => createHash('sha256').update(verifier).digest('base64url')

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~'
const verifiers = fc.string({ unit: fc.constantFrom(...letters), minLength: 43, maxLength: 128 })
const anything = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), verifiers)

describe('judgeVerifier', () => {
  it('the example of RFC 7636 appendix B fits', () => {
    expect(
      judgeVerifier(
        'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
        'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
      ),
    ).toBe('fits')
  })

  it.each([
    [null, undefined, 'fits'],
    [null, 'x'.repeat(43), 'pkce_downgrade'],
    [null, '', 'pkce_downgrade'],
    ['x'.repeat(43), undefined, 'pkce_missing'],
    ['x'.repeat(43), '', 'pkce_mismatch'],
    // The method is never plain.
    ['x'.repeat(43), 'x'.repeat(43), 'pkce_mismatch'],
    [challengeOf('a'), 'a', 'pkce_mismatch'],
    [challengeOf('a'.repeat(42)), 'a'.repeat(42), 'pkce_mismatch'],
    [challengeOf('a'.repeat(129)), 'a'.repeat(129), 'pkce_mismatch'],
    [challengeOf('a'.repeat(43)), 'a'.repeat(43), 'fits'],
    [challengeOf('a'.repeat(128)), 'a'.repeat(128), 'fits'],
    [challengeOf(`${'a'.repeat(43)}+`), `${'a'.repeat(43)}+`, 'pkce_mismatch'],
    [challengeOf(`${'a'.repeat(43)}\n`), `${'a'.repeat(43)}\n`, 'pkce_mismatch'],
  ] as const)('challenge %s, verifier %s: %s', (challenge, verifier, expected) => {
    expect(judgeVerifier(challenge, verifier)).toBe(expected)
  })

  it('every verifier of RFC 7636 section 4.1 fits its own challenge', () => {
    fc.assert(
      fc.property(verifiers, verifier => {
        expect(judgeVerifier(challengeOf(verifier), verifier)).toBe('fits')
      }),
    )
  })

  it('no other text fits, whatever it is', () => {
    fc.assert(
      fc.property(verifiers, anything, (verifier, other) => {
        fc.pre(other !== verifier)
        expect(judgeVerifier(challengeOf(verifier), other)).toBe('pkce_mismatch')
      }),
    )
  })

  it('a verifier changed in one place does not fit', () => {
    fc.assert(
      fc.property(verifiers, fc.nat(), fc.constantFrom(...letters), (verifier, at, letter) => {
        const place = at % verifier.length
        fc.pre(verifier[place] !== letter)
        const other = verifier.slice(0, place) + letter + verifier.slice(place + 1)
        expect(judgeVerifier(challengeOf(verifier), other)).toBe('pkce_mismatch')
      }),
    )
  })

  it('no challenge, however it is written, lets a verifier pass that is not its own', () => {
    fc.assert(
      fc.property(anything, anything, (challenge, verifier) => {
        const fits = judgeVerifier(challenge, verifier) === 'fits'
        expect(fits).toBe(/^[A-Za-z0-9._~-]{43,128}$/.test(verifier) && challengeOf(verifier) === challenge)
      }),
    )
  })
})
