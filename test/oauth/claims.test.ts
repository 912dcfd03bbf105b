import { expect, it } from 'vitest'
import { scopeClaims } from '../../src/oauth/grant/claims.ts'

it('no scope gives a claim that an ID token makes of its own (OIDC Core section 2)', () => {
  const own = 'iss sub aud exp iat nbf jti auth_time nonce acr amr azp at_hash c_hash s_hash sid'.split(' ')
  const given = Object.values(scopeClaims).flat()
  expect(given.length).toBeGreaterThan(10)
  expect(given.filter(name => own.includes(name))).toEqual([])
})
