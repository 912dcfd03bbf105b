/** The plan of every statement that runs in the flows and jobs: none reads a table that grows from end to end (REL-29). */
import Sqlite from 'better-sqlite3'
import knexFactory from 'knex'
import pg from 'pg'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { numberPlaceholders } from '../../src/store/sql-text.ts'
import { compiler, type Statement } from '../../src/store/statement.ts'
import { until } from '../store/support.ts'
import { databaseKind, type FreshDatabase, freshDatabase } from '../support/databases.ts'
import { authorizeUrl, getCode, getWithToken, passPages, redeem } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { clientCredentials, introspect, obtain, refresh, revoke } from '../support/tokens.ts'

/** Their size is the operator's doing, and most of them are in memory. */
const settled = [
  'client',
  'client_secret',
  'resource',
  'signing_key',
  'server_key',
  'change',
  'lease',
  'group',
  'one_time_link',
]

/** These look from one end of a key as far as they need, or do not belong to what people do all day. */
const allowed = [
  // At start and at /setup.
  'user.first-admin',
  // The newest few.
  'outbox.list',
  'audit_seal.last',
  'audit_seal.look',
]

let database: FreshDatabase
let server: TestServer
const seen = new Map<string, Statement<never, unknown>>()
beforeEach(async () => {
  database = await freshDatabase(databaseKind())
  seen.clear()
  const note = (statement: { name: string }): void =>
    void seen.set(statement.name, statement as Statement<never, unknown>)
  server = await startServer({
    database,
    wrapStore: store => ({
      ...store,
      one: (statement, values) => {
        note(statement)
        return store.one(statement, values)
      },
      all: (statement, values) => {
        note(statement)
        return store.all(statement, values)
      },
      commit: writes => {
        for (const { statement } of writes) note(statement)
        return store.commit(writes)
      },
    }),
  })
})
afterEach(() => server.stop())

/** Everything that people and apps do all day. */
const liveThrough = async (): Promise<void> => {
  const grantTypes = ['authorization_code', 'refresh_token', 'client_credentials']
  const alice = await server.createUser({ email: 'alice@example.com' })
  const api = await server.createResource({ tokenFormat: 'opaque' })
  const web = await server.createClient({
    client_id: 'web',
    grant_types: grantTypes,
    scope: 'openid profile email offline_access api:read',
    post_logout_redirect_uris: ['https://web.test/bye'],
    backchannel_logout_uri: 'https://web.test/logout',
    resource_server_for: [api.identifier],
  })
  const spa = await server.createClient({
    client_id: 'spa',
    grant_types: grantTypes.slice(0, 2),
    redirect_uris: ['https://spa.test/cb'],
    token_endpoint_auth_method: 'none',
  })
  const browser = server.browser()
  await passPages(
    browser,
    await browser.open(authorizeUrl(web, { code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' })),
    {
      ...alice,
      password: 'wrong',
    },
  ).catch(() => undefined)
  const tokens = await obtain(server, web, alice, { scope: 'openid offline_access' }, browser)
  const opaque = await obtain(server, web, alice, { scope: 'openid api:read' }, browser)
  const code = await getCode(browser, spa, alice)
  for (let times = 0; times < 2; times++) await redeem(server, spa, code)
  await getWithToken(server, '/userinfo', tokens.access_token)
  const next = await refresh(server, web, tokens.refresh_token)
  for (const token of [tokens.access_token, opaque.access_token, next.json['refresh_token'], 'nothing'])
    await introspect(server, web, token)
  await clientCredentials(server, web, { scope: 'api:read' })
  await clientCredentials(server, { ...web, secret: 'wrong' })
  for (const token of [tokens.access_token, opaque.access_token, next.json['refresh_token']])
    await revoke(server, web, token)
  for (const page of ['/account', '/account/sessions', '/account/apps', '/account/password', '/readyz'])
    await browser.open(page)
  await browser.send(
    authorizeUrl(web, { prompt: 'none', code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' }),
  )
  await browser.send(`/logout?${new URLSearchParams({ id_token_hint: tokens.id_token })}`)
  const jobsRan = ['session_client.left-to-clean', 'browser.left-to-clean', 'session.aged-out', 'outbox.due']
  await until(async () => jobsRan.every(name => seen.has(name)))
}

type Plan = { 'Node Type': string; 'Relation Name'?: string; 'Index Cond'?: string; Plans?: Plan[] }

const grows = (table: string): boolean => !settled.includes(table)

/** What plans read from end to end. */
const readWhole = async (): Promise<string[]> => {
  const statements = [...seen.values()].filter(({ name }) => !allowed.includes(name))
  if (database.parsed.kind === 'sqlite') {
    const compiled = compiler(knexFactory({ client: 'better-sqlite3', useNullAsDefault: true }))
    const handle = new Sqlite(database.parsed.path, { readonly: true })
    const found = statements.flatMap(statement => {
      const { pieces } = compiled(statement)
      return handle
        .prepare<null[], { detail: string }>(`explain query plan ${pieces.join('?')}`)
        .all(...new Array<null>(pieces.length - 1).fill(null))
        .flatMap(({ detail }) => {
          const table = /^SCAN (\w+)/.exec(detail)?.[1]
          return table && table !== 'CONSTANT' && grows(table) ? [`${statement.name}: ${detail}`] : []
        })
    })
    handle.close()
    return found
  }
  const client = new pg.Client({ connectionString: database.parsed.url })
  await client.connect()
  try {
    return await wholeReadsOf(statements, client)
  } finally {
    await client.end()
  }
}

const wholeReadsOf = async (
  statements: readonly Statement<never, unknown>[],
  client: pg.Client,
): Promise<string[]> => {
  const compiled = compiler(knexFactory({ client: 'pg' }))
  // The tables are nearly empty: what is read as a whole all the same has no index to be read by.
  for (const kind of ['seqscan', 'hashjoin', 'mergejoin']) await client.query(`set enable_${kind} = off`)
  // Where there are two ways, rows tell which is better.
  for (const [table, values] of [
    ['browser', "'id', 'b' || n"],
    ['session', "'id', 's' || n, 'browser_id', 'b' || n, 'user_id', 'u' || n, 'ended_at', null"],
    ['session_client', "'session_id', 's' || n"],
  ]) {
    await client.query(`insert into ${table} select (jsonb_populate_record(one, jsonb_build_object(${values}))).*
      from (select one from ${table} as one limit 1) as first(one), generate_series(1, 5000) as n`)
    await client.query(`analyze ${table}`)
  }
  const found: string[] = []
  for (const statement of statements) {
    const { rows } = await client.query(
      `explain (generic_plan, format json) ${numberPlaceholders(compiled(statement).pieces)}`,
    )
    const look = (plan: Plan): void => {
      const { 'Node Type': type, 'Relation Name': table = '', 'Index Cond': condition } = plan
      if (grows(table) && (type === 'Seq Scan' || (/^Index/.test(type) && condition === undefined)))
        found.push(`${statement.name}: ${type} on ${table}`)
      for (const part of plan.Plans ?? []) look(part)
    }
    look(rows[0]['QUERY PLAN'][0].Plan)
  }
  return found
}

it('REL-29 no statement of the flows and jobs reads a growing table from end to end', async () => {
  await liveThrough()
  expect(seen.size).toBeGreaterThan(80)
  expect(await readWhole()).toEqual([])
})
