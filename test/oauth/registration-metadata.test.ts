/** SEC-114: metadata bent in every way. What is registered keeps the rules; everything else is a refusal that names one. */
import fc from 'fast-check'
import { afterEach, expect, it } from 'vitest'
import { Refusal } from '../../src/http/refusal.ts'
import { metadataNames, parseClientMetadata } from '../../src/oauth/client/client-metadata.ts'
import { sized } from '../support/databases.ts'
import { register } from '../support/registration.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer | undefined
afterEach(() => server?.stop())

const offered = {
  grantTypes: ['authorization_code', 'refresh_token'],
  responseTypes: ['code'],
  authMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  signingAlgorithms: ['RS256', 'ES256'],
  scopes: ['openid', 'profile'],
}

const pieces = [
  'https://web.test/cb',
  'http://127.0.0.1/cb',
  'http://web.test/cb',
  'com.example.app:/cb',
  'notes:/cb',
  'javascript:alert(1)',
  'https://web.test/cb#x',
  'https:web.test',
  'code',
  'none',
  'authorization_code',
  'client_credentials',
  'refresh_token',
  'private_key_jwt',
  'native',
  'web',
  'openid',
  'openid profile',
  'admin',
  'RS256',
  'HS256',
  'oidc',
  '',
  '\u202e',
  '\0',
  '\ud800',
]
const leaf = fc.oneof(
  fc.constantFrom(...pieces),
  fc.webUrl(),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom<unknown>(true, false, null, 0, -1, 1e300),
)
const value = fc.oneof(
  leaf,
  fc.array(leaf, { maxLength: 4 }),
  fc.jsonValue({ maxDepth: 3 }),
  fc.record({
    keys: fc.array(fc.record({ kty: leaf, d: leaf }, { requiredKeys: ['kty'] }), { maxLength: 3 }),
  }),
)
const names = [...metadataNames.operator, 'client_id', 'client_secret', 'sector_identifier_uri', 'enabled']
const members = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 6 })
/** Near what is right, so that not all of it falls at the first member. */
const metadata = fc
  .tuple(fc.constantFrom({}, { redirect_uris: ['https://web.test/cb'] }), members)
  .map(([good, bent]) => ({ ...good, ...bent }))

const errors = ['invalid_client_metadata', 'invalid_redirect_uri', 'invalid_request']

it('what is taken has no more than a stranger may have', () => {
  let taken = 0
  fc.assert(
    fc.property(metadata, asked => {
      try {
        const parsed = parseClientMetadata(asked, 'dynamic', offered)
        taken += 1
        const registered: unknown[] = Object.keys(parsed).filter(
          name => Object.entries(parsed).find(([key]) => key === name)?.[1] !== undefined,
        )
        expect(registered.filter(name => !metadataNames.anybody.includes(String(name)))).toEqual([])
        expect(parsed.grant_types?.every(grant => offered.grantTypes.includes(grant)) ?? true).toBe(true)
        expect(parsed.scope?.split(' ').every(scope => offered.scopes.includes(scope)) ?? true).toBe(true)
        expect(parsed.redirect_uris?.length).toBeGreaterThan(0)
        for (const uri of parsed.redirect_uris ?? [])
          expect(uri).toMatch(
            /^(https:\/\/[^/?#]|http:\/\/(127\.|localhost|\[::1\]|[^/]+\.localhost)|[a-z0-9+-]*\.[a-z0-9.+-]*:)/i,
          )
        expect(JSON.stringify(parsed)).not.toMatch(/javascript:/i)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        expect(errors).toContain(error.error)
        expect(error.description).toMatch(/^[\x20-\x7e]+$/)
      }
    }),
    { numRuns: sized(1000, 100_000) },
  )
  expect(taken).toBeGreaterThan(50)
})

it('the server answers 201 or says which rule, never 500', async () => {
  const running = await startServer({
    settings: {
      LINTEL_REGISTRATION: 'open',
      LINTEL_REGISTRATION_PER_HOUR: '100000',
      LINTEL_TRUSTED_PROXIES: '127.0.0.1',
    },
  })
  server = running
  let address = 0
  await fc.assert(
    fc.asyncProperty(fc.oneof(metadata, value), async asked => {
      address += 1
      const headers = { 'x-forwarded-for': `198.51.${address >> 8}.${address & 255}` }
      const { status, json } = await register(running, asked, { headers })
      expect([201, 400, 429]).toContain(status)
      if (status === 400) expect(errors).toContain(json['error'])
    }),
    { numRuns: sized(150, 10_000) },
  )
  expect(running.logged.join('\n')).not.toContain('request.failed')
}, 600_000)
