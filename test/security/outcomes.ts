/** The outcomes that the security cases name by short forms, as assertions: EP, RD, T, T401, B401, Z, A. */
import { expect } from 'vitest'
import type { AuditEventName, AuditRow } from '../../src/observe/audit.ts'
import type { Answer } from '../support/browser.ts'
import { answerOf, type JsonAnswer } from '../support/flow.ts'
import type { TestClient, TestServer } from '../support/server.ts'

type Headed = Pick<Answer, 'headers'>

export const requestIdOf = (answer: Headed): string => String(answer.headers['x-request-id'])

/** EP: status 400, a page with the code, no way to anywhere, no cookie. */
export const expectErrorPage = (answer: Answer, error: string, what = answer.url): void => {
  expect(answer.status, what).toBe(400)
  expect(answer.headers['content-type'], what).toMatch(/^text\/html/)
  expect(answer.body, what).toContain(`data-error="${error}"`)
  expect(answer.body, what).toContain(`data-request-id="${requestIdOf(answer)}"`)
  expect(answer.location, what).toBeUndefined()
  expect(answer.headers['set-cookie'], what).toBeUndefined()
  // Nothing sends itself, nothing refreshes to another place.
  expect(answer.body, what).not.toMatch(
    /<script(?! nonce="[\w-]{24}" src="[\w/]*\/assets\/page\.\w+\.js" defer>)|http-equiv/i,
  )
  expect(answer.headers['refresh'], what).toBeUndefined()
}

const only = (parameters: URLSearchParams, name: string, what: string): string | undefined => {
  const values = parameters.getAll(name)
  expect(values.length, `${what}: ${name}`).toBeLessThanOrEqual(1)
  return values[0]
}

/** RD: back at the redirect URI of the request with `error`, `state` as sent, and `iss`. */
export const expectErrorRedirect = (
  answer: Answer,
  error: string,
  {
    server,
    redirectUri,
    state = 'state-1',
  }: {
    server: TestServer
    redirectUri: string
    /** `null`: none, because it was sent twice. */
    state?: string | null
  },
  what = answer.url,
): void => {
  expect([302, 303], what).toContain(answer.status)
  const location = String(answer.location)
  expect(location.slice(0, redirectUri.length), what).toBe(redirectUri)
  expect(location.charAt(redirectUri.length), what).toMatch(/[?&#]/)
  const parameters = answerOf(answer)
  expect(only(parameters, 'error', what), `${what} ${location}`).toBe(error)
  expect(only(parameters, 'state', what) ?? null, what).toBe(state)
  expect(only(parameters, 'iss', what), what).toBe(server.issuer)
  expect(parameters.has('code'), what).toBe(false)
  expect(answer.body, what).toBe('')
  // RFC 6749 section 4.1.2.1 names the characters of a description.
  expect(parameters.get('error_description') ?? '', what).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/)
}

/** T: status 400, JSON that says the error, never stored. */
export const expectTokenError = (answer: JsonAnswer, error: string, what = ''): void => {
  expect({ status: answer.status, error: answer.json['error'] }, what).toEqual({ status: 400, error })
  expect(answer.headers['content-type'], what).toMatch(/^application\/json/)
  expect(answer.headers['cache-control'], what).toBe('no-store')
  expect(answer.headers['set-cookie'], what).toBeUndefined()
  expect(Object.keys(answer.json).sort(), what).toEqual(['error', 'error_description'])
  expect(answer.json['error_description'], what).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/)
}

/** T401: `invalid_client`, with a challenge when an `Authorization` header was sent. */
export const expectClientRefused = (answer: JsonAnswer, triedHeader: boolean, what = ''): void => {
  expect({ status: answer.status, error: answer.json['error'] }, what).toEqual({
    status: 401,
    error: 'invalid_client',
  })
  expect(answer.headers['cache-control'], what).toBe('no-store')
  if (triedHeader) expect(answer.headers['www-authenticate'], what).toMatch(/^Basic realm=/)
  else expect(answer.headers['www-authenticate'], what).toBeUndefined()
}

/** B401: the bearer token is refused, and no claim is told. */
export const expectTokenRefused = (answer: JsonAnswer, what = ''): void => {
  expect({ status: answer.status, error: answer.json['error'] }, what).toEqual({
    status: 401,
    error: 'invalid_token',
  })
  expect(answer.headers['www-authenticate'], what).toMatch(/^Bearer error="invalid_token"/)
  expect(Object.keys(answer.json).sort(), what).toEqual(['error', 'error_description'])
}

/** When something was last used is no state that a refusal must leave alone. */
const marks = new Set(['last_used_at', 'seen_at'])

/** Every row of every state table. */
export const stateOf = async (server: TestServer): Promise<Record<string, string[]>> => {
  const tables = new Set([...Object.keys(await server.counts()), 'refresh_family', 'opaque_token'])
  const state: Record<string, string[]> = {}
  for (const table of tables) {
    const rows = await server.services.store.search<Record<string, unknown>>(knex => knex(table).select('*'))
    state[table] = rows
      .map(row => JSON.stringify(Object.entries(row).filter(([name]) => !marks.has(name))))
      .sort()
  }
  return state
}

/** Z: no row of any state table is added or changed by what runs. */
export const unchanged = async <T>(server: TestServer, run: () => Promise<T>, what = ''): Promise<T> => {
  const before = await stateOf(server)
  const result = await run()
  expect(await stateOf(server), what).toEqual(before)
  return result
}

/** A: exactly one event of this name by this request, with who, where and why. */
export const expectAudited = async (
  server: TestServer,
  answer: Headed,
  event: AuditEventName,
  { client, reason, what = '' }: { client?: TestClient | string; reason?: string | null; what?: string } = {},
): Promise<AuditRow> => {
  const rows = (await server.audit()).filter(
    row => row.event === event && row.request_id === requestIdOf(answer),
  )
  expect(rows, `${event} ${what}`).toHaveLength(1)
  const [row] = rows
  if (!row) throw new Error('unreachable')
  expect(Math.abs(row.time - server.services.now().getTime() / 1000), what).toBeLessThan(60)
  expect(row.ip, what).toBe('127.0.0.1')
  if (client !== undefined) expect(row.client_id, what).toBe(typeof client === 'string' ? client : client.id)
  expect(row.reason, what).toEqual(reason === undefined ? expect.any(String) : reason)
  return row
}

/** What the audit and the log must not hold. */
export const expectNowhere = async (server: TestServer, secrets: readonly string[]): Promise<void> => {
  const told = JSON.stringify(await server.audit()) + server.logged.join('\n')
  for (const secret of secrets)
    expect(told.includes(secret), 'a secret is in the audit or the log').toBe(false)
}
