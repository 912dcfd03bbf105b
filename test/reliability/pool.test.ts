/** More requests than connections to PostgreSQL (REL-10). */
import pg from 'pg'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { sized } from '../support/databases.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { introspect, obtain, refresh, type Tokens } from '../support/tokens.ts'

let server: TestServer
let client: TestClient
let tokens: Tokens[]
const poolSize = 10
const crowd = sized(60, 500, 'requests at once')

beforeEach(async () => {
  server = await startServer({ kind: 'postgres', settings: { LINTEL_DATABASE_POOL_SIZE: String(poolSize) } })
  client = await server.createClient({
    grant_types: ['authorization_code', 'refresh_token'],
    first_party: true,
  })
  const alice = await server.createUser()
  const browser = server.browser()
  tokens = []
  for (let n = 0; n < 20; n++) tokens.push(await obtain(server, client, alice, {}, browser))
})
afterEach(() => server.stop())

const documents = ['/jwks', '/.well-known/openid-configuration', '/livez']

/** As many reads and refreshes at once; each refresh token is sent often, as impatient apps do. */
const storm = (): Promise<{ status: number; retryAfter: unknown }[]> =>
  Promise.all(
    Array.from({ length: crowd }, async (_, n) => {
      const { access_token, refresh_token } = tokens[n % tokens.length] ?? {
        access_token: '',
        refresh_token: '',
      }
      const answer = await (n % 2
        ? introspect(server, client, access_token)
        : refresh(server, client, refresh_token))
      return { status: answer.status, retryAfter: answer.headers['retry-after'] }
    }),
  )

const expectWorks = async (): Promise<void> => {
  const [one] = tokens
  expect((await introspect(server, client, one?.access_token)).json['active']).toBe(true)
}

it('REL-10 a crowd waits for its turn, and nobody waits for a second connection while holding one', async () => {
  const answers = await storm()
  expect(answers.filter(({ status }) => status !== 200 && status !== 503)).toEqual([])
  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(crowd * 0.8)
  await expectWorks()
})

it('REL-10 while every connection is held, who waits two seconds is 503, and what needs no database is answered', async () => {
  const other = new pg.Client({ connectionString: server.database.url })
  await other.connect()
  try {
    await other.query('begin; lock table "authorization" in access exclusive mode')
    let over = false
    const held = storm().finally(() => {
      over = true
    })
    // Over connections of their own: those of the crowd are all in use.
    for (const path of documents) expect((await fetch(server.origin + path)).status).toBe(200)
    // They are all still waiting: nothing of it went through the database.
    expect(over).toBe(false)
    const answers = await held
    expect(answers.filter(({ status }) => status !== 503)).toEqual([])
    for (const { retryAfter } of answers) expect(Number(retryAfter)).toBeGreaterThan(0)
    await other.query('rollback')
    await expectWorks()
    expect((await storm()).some(({ status }) => status === 200)).toBe(true)
  } finally {
    await other.end()
  }
})
