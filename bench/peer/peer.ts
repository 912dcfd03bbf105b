/**
 * node-oidc-provider set up to do what Lintel does: code flow with PKCE, rotated refresh tokens bound to the session, JWT access
 * tokens for an API, opaque ones otherwise (the only kind its userinfo and introspection take). `tsx bench/peer/peer.ts <port> <directory>`.
 */
import { generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { openAdapter } from './sqlite-adapter.ts'

// oidc-provider 9.13 is written for Node 22, which has URL.parse; on Node 20 that is all it misses (https://nodejs.org/api/url.html#urlparseinput-base).
URL.parse ??= (input: string | URL, base?: string | URL) => (URL.canParse(String(input), base && String(base)) ? new URL(input, base) : null)
const { default: Provider } = await import('oidc-provider')

const [port = '4102', directory = '.'] = process.argv.slice(2)
const issuer = `http://localhost:${port}`

const client = (alg: 'ES256' | 'RS256') => ({
  client_id: `bench-${alg}`,
  client_secret: 's'.repeat(43),
  redirect_uris: ['http://127.0.0.1:9/callback'],
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  response_types: ['code'],
  scope: 'openid profile email api:read',
  id_token_signed_response_alg: alg,
})
const key = (alg: string, pair: { privateKey: { export(options: { format: 'jwk' }): JsonWebKey } }) => ({
  ...pair.privateKey.export({ format: 'jwk' }),
  alg,
  use: 'sig',
  kid: `the-only-${alg}-key`,
})

const provider = new Provider(issuer, {
  adapter: openAdapter(`${directory}/peer.db`),
  clients: [client('ES256'), client('RS256')],
  jwks: { keys: [key('ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' })), key('RS256', generateKeyPairSync('rsa', { modulusLength: 2048 }))] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: ['openid', 'profile', 'email', 'api:read'],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  findAccount: async (_ctx: object, accountId: string) => ({
    accountId,
    claims: async () => ({ sub: accountId, name: 'Bench User', email: `${accountId}@bench.example`, email_verified: true }),
  }),
  issueRefreshToken: async () => true,
  rotateRefreshToken: true,
  interactions: { url: async (_ctx: object, interaction: { uid: string }) => `/interaction/${interaction.uid}` },
  // First-party apps: a grant without a consent page.
  loadExistingGrant: async ({ oidc }: import('oidc-provider').Context) => {
    const existing = oidc.session.grantIdFor(oidc.client.clientId)
    if (existing) return oidc.provider.Grant.find(existing)
    const grant = new oidc.provider.Grant({ accountId: oidc.session.accountId, clientId: oidc.client.clientId })
    grant.addOIDCScope('openid profile email')
    await grant.save()
    return grant
  },
  ttl: { AccessToken: 900, AuthorizationCode: 60, ClientCredentials: 900, Grant: 2_592_000, IdToken: 3600, Interaction: 1800, RefreshToken: 1_209_600, Session: 43_200 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: async () => ({ scope: 'api:read', accessTokenFormat: 'jwt', accessTokenTTL: 900, jwt: { sign: { alg: 'ES256' } } }),
    },
  },
})

const answer = provider.callback()
createServer((request, response) => {
  // Stands for a sign-in page, which is not measured here.
  if (request.url?.startsWith('/interaction/'))
    return provider.interactionFinished(request, response, { login: { accountId: randomBytes(10).toString('hex') } })
  return answer(request, response)
}).listen(Number(port), '127.0.0.1')
