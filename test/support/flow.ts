/** The code flow as a client goes through it, step by step, for tests that look at one step closely. */
import { createHash, randomBytes } from 'node:crypto'
import { type Answer, type Browser, formOn } from './browser.ts'
import type { TestClient, TestServer } from './server.ts'

export type AuthorizeOptions = Record<string, string | undefined>

export const pkcePair = (): { verifier: string; challenge: string } => {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

/** The address of an authorization request; `undefined` leaves a parameter out. */
export const authorizeUrl = (client: TestClient, parameters: AuthorizeOptions = {}): string => {
  const all: AuthorizeOptions = {
    client_id: client.id,
    redirect_uri: client.redirectUri,
    response_type: 'code',
    scope: 'openid',
    state: 'state-1',
    ...parameters,
  }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(all)) if (value !== undefined) query.append(name, value)
  return `/authorize?${query}`
}

/** Whatever page comes, it is gone through: sign-in, consent. Ends at the redirect to the app, or a page it cannot pass. */
export const passPages = async (
  browser: Browser,
  first: Answer,
  person: { username: string; password: string },
): Promise<Answer> => {
  let page = first
  for (let steps = 0; steps < 5 && page.status === 200; steps++) {
    if (page.body.includes('name="password"'))
      page = await browser.submit(page, { username: person.username, password: person.password })
    else if (page.body.includes('name="decision"')) page = await browser.submit(page, { decision: 'allow' })
    else return page
  }
  return page
}

/** The parameters of the answer that a redirect, or a form_post page, brings to the app. */
export const answerOf = (answer: Answer): URLSearchParams => {
  if (answer.location === undefined) return formOn(answer).fields
  const url = new URL(answer.location)
  return url.hash ? new URLSearchParams(url.hash.slice(1)) : url.searchParams
}

/** Goes through a whole authorization and gives the code with its verifier. */
export const getCode = async (
  browser: Browser,
  client: TestClient,
  person: { username: string; password: string },
  parameters: AuthorizeOptions = {},
): Promise<{ code: string; verifier: string; answer: Answer }> => {
  const { verifier, challenge } = pkcePair()
  const url = authorizeUrl(client, {
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...parameters,
  })
  const answer = await passPages(browser, await browser.open(url), person)
  const code = answerOf(answer).get('code')
  if (code === null)
    throw new Error(`no code came: ${answer.status} ${answer.location ?? answer.body.slice(0, 2000)}`)
  return { code, verifier, answer }
}

export type JsonAnswer = { status: number; headers: Answer['headers']; json: Record<string, unknown> }

export const basic = (client: TestClient): Record<string, string> =>
  client.secret === undefined
    ? {}
    : { authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}` }

/** Posts a form to an endpoint and reads the JSON that comes back. */
export const post = async (
  server: Pick<TestServer, 'browser'>,
  path: string,
  fields: Record<string, string> | URLSearchParams,
  headers: Record<string, string> = {},
): Promise<JsonAnswer> => {
  const body = new URLSearchParams(fields).toString()
  const answer = await server
    .browser()
    .send(path, { method: 'POST', body, headers: { accept: 'application/json', ...headers } })
  return {
    status: answer.status,
    headers: answer.headers,
    json: JSON.parse(answer.body || 'null') as Record<string, unknown>,
  }
}

/** Redeems a code at /token. */
export const redeem = (
  server: Pick<TestServer, 'browser'>,
  client: TestClient,
  { code, verifier }: { code: string; verifier?: string | undefined },
  more: Record<string, string> = {},
): Promise<JsonAnswer> =>
  post(
    server,
    '/token',
    {
      grant_type: 'authorization_code',
      code,
      redirect_uri: client.redirectUri,
      ...(verifier === undefined ? {} : { code_verifier: verifier }),
      ...(client.secret === undefined ? { client_id: client.id } : {}),
      ...more,
    },
    basic(client),
  )

/** Gets a JSON document with a bearer token. */
export const getWithToken = async (
  server: Pick<TestServer, 'browser'>,
  path: string,
  token: string,
): Promise<JsonAnswer> => {
  const answer = await server
    .browser()
    .send(path, { headers: { accept: 'application/json', authorization: `Bearer ${token}` } })
  return {
    status: answer.status,
    headers: answer.headers,
    json: JSON.parse(answer.body || 'null') as Record<string, unknown>,
  }
}

/** The claims of a JWT, unchecked. */
export const claimsIn = (token: unknown): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >
