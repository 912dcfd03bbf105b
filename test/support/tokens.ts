/** What a client does at the token endpoint and its neighbours, in one call each. */
import { Browser } from './browser.ts'
import { type AuthorizeOptions, basic, getCode, type JsonAnswer, redeem } from './flow.ts'
import type { TestClient, TestServer } from './server.ts'

/** Whatever answers at an issuer: a server of a test, or a process of its own. */
export type Endpoint = Pick<TestServer, 'browser'>

/** A server that runs elsewhere. */
export const endpointAt = (issuer: string, origin: string): Endpoint => ({
  browser: () => new Browser(issuer, origin),
})

type Fields = Record<string, string> | [string, string][]

/** Posts a form and reads the JSON that comes back. Fields may repeat. */
export const send = async (
  at: Endpoint,
  path: string,
  fields: Fields,
  headers: Record<string, string> = {},
): Promise<JsonAnswer> => {
  const answer = await at.browser().send(path, {
    method: 'POST',
    body: new URLSearchParams(fields).toString(),
    headers: { accept: 'application/json', ...headers },
  })
  return {
    status: answer.status,
    headers: answer.headers,
    json: JSON.parse(answer.body || 'null') as Record<string, unknown>,
  }
}

/** The fields of a request by a client that cannot authenticate; Basic does it for the others. */
const named = (client: TestClient): [string, string][] =>
  client.secret === undefined ? [['client_id', client.id]] : []

const pairs = (fields: Fields): [string, string][] =>
  Array.isArray(fields) ? fields : Object.entries(fields)

/** A request at /token as the client sends it. */
export const tokenRequest = (
  at: Endpoint,
  client: TestClient,
  grantType: string,
  fields: Fields = {},
): Promise<JsonAnswer> =>
  send(at, '/token', [['grant_type', grantType], ...named(client), ...pairs(fields)], basic(client))

export const refresh = (
  at: Endpoint,
  client: TestClient,
  token: unknown,
  more: Fields = {},
): Promise<JsonAnswer> =>
  tokenRequest(at, client, 'refresh_token', [['refresh_token', String(token)], ...pairs(more)])

export const clientCredentials = (at: Endpoint, client: TestClient, more: Fields = {}): Promise<JsonAnswer> =>
  tokenRequest(at, client, 'client_credentials', more)

export const introspect = (
  at: Endpoint,
  client: TestClient,
  token: unknown,
  more: Fields = {},
): Promise<JsonAnswer> =>
  send(at, '/introspect', [['token', String(token)], ...named(client), ...pairs(more)], basic(client))

export const revoke = (
  at: Endpoint,
  client: TestClient,
  token: unknown,
  more: Fields = {},
): Promise<JsonAnswer> =>
  send(at, '/revoke', [['token', String(token)], ...named(client), ...pairs(more)], basic(client))

export type Tokens = {
  access_token: string
  refresh_token: string
  id_token: string
  scope: string
  expires_in: number
}

/** The tokens of an answer that must be a good one. */
export const tokensIn = ({ status, json }: JsonAnswer): Tokens => {
  if (status !== 200) throw new Error(`no tokens came: ${status} ${JSON.stringify(json)}`)
  return json as Tokens
}

/** Goes through the whole code flow. */
export const obtain = async (
  server: Endpoint,
  client: TestClient,
  person: { username: string; password: string },
  parameters: AuthorizeOptions = {},
  browser = server.browser(),
): Promise<Tokens> => {
  const { code, verifier } = await getCode(browser, client, person, parameters)
  return tokensIn(await redeem(server, client, { code, verifier }))
}
