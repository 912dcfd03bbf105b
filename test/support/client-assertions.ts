/** Clients that authenticate with private_key_jwt, and assertions as anybody might write them. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { JsonAnswer } from './flow.ts'
import type { TestClient, TestServer } from './server.ts'
import { type Endpoint, send } from './tokens.ts'

export type AssertionAlgorithm = 'ES256' | 'RS256' | 'PS256' | 'EdDSA'

export type ClientKey = { alg: AssertionAlgorithm; kid: string; privateKey: CryptoKey; publicJwk: JWK }

export const newClientKey = async (alg: AssertionAlgorithm = 'ES256', kid = 'k1'): Promise<ClientKey> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

/** A client of its own kind, with its key by value unless the metadata says otherwise. */
export const makeAssertingClient = async (
  server: TestServer,
  key: ClientKey,
  more: Record<string, unknown> = {},
): Promise<TestClient> =>
  server.createClient({
    client_id: 'jwt',
    token_endpoint_auth_method: 'private_key_jwt',
    grant_types: ['client_credentials'],
    redirect_uris: undefined,
    ...('jwks_uri' in more ? {} : { jwks: { keys: [key.publicJwk] } }),
    ...more,
  })

let counter = 0

/** The claims of a good assertion; `undefined` leaves one out. */
export const assertionClaims = (
  server: TestServer,
  client: TestClient,
  more: Record<string, unknown> = {},
): Record<string, unknown> => {
  const now = Math.floor(server.services.now().getTime() / 1000)
  counter += 1
  return {
    iss: client.id,
    sub: client.id,
    aud: server.issuer,
    iat: now,
    exp: now + 60,
    jti: `jti-${counter}`,
    ...more,
  }
}

/** Signs claims as jose does it. */
export const signAssertion = (
  key: ClientKey,
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey)

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

export const assertionFields = (assertion: string): Record<string, string> => ({
  client_assertion_type: assertionType,
  client_assertion: assertion,
})

/** A client_credentials request that authenticates by this assertion. */
export const requestWith = (
  at: Endpoint,
  assertion: string,
  more: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<JsonAnswer> =>
  send(at, '/token', { grant_type: 'client_credentials', ...assertionFields(assertion), ...more }, headers)

/** base64url of JSON, or of a text as it stands. */
export const part = (value: object | string): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

export type KeyServer = {
  uri: string
  /** How many requests came. */
  requests: () => number
  /** What is answered from now on. */
  answer: (body: unknown, how?: { status?: number; headers?: Record<string, string>; delay?: number }) => void
  close: () => Promise<void>
}

/** The `jwks_uri` of a client, on loopback. */
export const startKeyServer = async (...keys: ClientKey[]): Promise<KeyServer> => {
  let requests = 0
  let body: unknown = { keys: keys.map(key => key.publicJwk) }
  let how: { status?: number; headers?: Record<string, string>; delay?: number } = {}
  const server: Server = createServer((_, response) => {
    requests += 1
    const { status = 200, headers = {}, delay = 0 } = how
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    setTimeout(() => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(text)
    }, delay)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    uri: `http://127.0.0.1:${port}/jwks`,
    requests: () => requests,
    answer: (next, options = {}) => {
      body = next
      how = options
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
