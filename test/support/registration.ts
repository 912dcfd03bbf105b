/** Registering at /register and managing what was registered, as a client does it. */
import { createInitialAccessToken } from '../../src/admin/registration-operations.ts'
import type { JsonAnswer } from './flow.ts'
import type { TestClient, TestServer } from './server.ts'

export type Wanted = {
  method?: string
  /** A value is sent as JSON; a text as it is. */
  body?: unknown
  token?: string | undefined
  headers?: Record<string, string>
}

/** Sends JSON and reads the JSON that comes back. */
export const sendJson = async (
  server: TestServer,
  path: string,
  { method = 'POST', body, token, headers = {} }: Wanted = {},
): Promise<JsonAnswer> => {
  const answer = await server.browser().send(path, {
    method,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    headers: {
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
  })
  return {
    status: answer.status,
    headers: answer.headers,
    json: JSON.parse(answer.body || 'null') as Record<string, unknown>,
  }
}

export const webMetadata = { client_name: 'Web', redirect_uris: ['https://web.test/cb'] }

export const register = (
  server: TestServer,
  metadata: unknown = webMetadata,
  wanted: Wanted = {},
): Promise<JsonAnswer> => sendJson(server, '/register', { body: metadata, ...wanted })

/** An initial access token, as `lintel client initial-access-token` makes it. */
export const invite = async (server: TestServer, ttl = 3600): Promise<string> =>
  (await createInitialAccessToken(server.services, ttl, { kind: 'cli' })).token

/** A registered client, with what it manages itself with. */
export type Registered = TestClient & { token: string; path: string }

export const asRegistered = (server: TestServer, { status, json }: JsonAnswer): Registered => {
  if (status !== 201) throw new Error(`it was not registered: ${status} ${JSON.stringify(json)}`)
  return {
    id: String(json['client_id']),
    secret: json['client_secret'] === undefined ? undefined : String(json['client_secret']),
    redirectUri: (json['redirect_uris'] as string[])[0] ?? '',
    metadata: json,
    token: String(json['registration_access_token']),
    path: String(json['registration_client_uri']).slice(server.issuer.length),
  }
}

/** Registers a client where registration is open. */
export const registered = async (
  server: TestServer,
  metadata: Record<string, unknown> = {},
): Promise<Registered> => asRegistered(server, await register(server, { ...webMetadata, ...metadata }))

export const manage = (
  server: TestServer,
  { path, token }: Pick<Registered, 'path' | 'token'>,
  wanted: Wanted = {},
): Promise<JsonAnswer> => sendJson(server, path, { method: 'GET', token, ...wanted })
