/** A whole server in this process, on a database of its own, with a clock that can be moved. */
import { createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { type Environment, readConfig } from '../../src/config.ts'
import { joinGroup, newGroup } from '../../src/identity/group.ts'
import { storePassword } from '../../src/identity/password.ts'
import { type NewUser, newUser, type User } from '../../src/identity/user.ts'
import { type Overrides, type Running, start } from '../../src/main.ts'
import { responseTypes } from '../../src/oauth/authorize/request.ts'
import { authMethods } from '../../src/oauth/client/auth-methods.ts'
import { newClient } from '../../src/oauth/client/client.ts'
import { parseClientMetadata } from '../../src/oauth/client/client-metadata.ts'
import { newResource, type Resource } from '../../src/oauth/client/resource-server.ts'
import { grants } from '../../src/oauth/token/grants.ts'
import { type AuditRow, listAudit } from '../../src/observe/audit.ts'
import { type Log, makeLog } from '../../src/observe/log.ts'
import type { Services } from '../../src/services.ts'
import { Browser } from './browser.ts'
import {
  type DatabaseKind,
  databaseKind,
  type FreshDatabase,
  freshDatabase,
  testMasterKey,
} from './databases.ts'

export type ServerOptions = {
  /** `http://localhost:<port>` by default. Another one is served on loopback all the same: `Browser` knows the way. */
  issuer?: string
  settings?: Environment
  database?: FreshDatabase
  kind?: DatabaseKind
  fetch?: Overrides['fetch']
  /** Stands between the server and its database: for faults. */
  wrapStore?: Overrides['wrapStore']
}

export type TestServer = {
  issuer: string
  /** Where it really listens, `http://127.0.0.1:<port>`. */
  origin: string
  services: Services
  database: FreshDatabase
  /** Every line that was logged. */
  logged: string[]
  /** What was said to the operator at start, such as the set-up link. */
  announced: string[]
  /** Moves the clock ahead by so many seconds: an offset on real time. */
  sleep: (seconds: number) => void
  browser: () => Browser
  createUser: (
    user?: Partial<NewUser> & { password?: string; groups?: string[] },
  ) => Promise<User & { password: string }>
  /** Registers a client by its metadata; `client_id` may be among it. */
  createClient: (metadata?: Record<string, unknown>) => Promise<TestClient>
  /** Registers an API: `https://api.test` with the scopes `api:read` and `api:write`, unless it says otherwise. */
  createResource: (wanted?: Partial<Resource>) => Promise<Resource>
  audit: () => Promise<AuditRow[]>
  /** How many rows each table has; audit and throttle rows are not state. */
  counts: () => Promise<Record<string, number>>
  stop: () => Promise<void>
}

export type TestClient = {
  id: string
  secret: string | undefined
  redirectUri: string
  metadata: Record<string, unknown>
}

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })

const captured = (lines: string[]): Log =>
  makeLog(
    'debug',
    Object.assign({ write: (line: string) => void lines.push(line) }, { flushSync: () => undefined }),
  )

const stateTables = [
  'browser',
  'session',
  'sign_in',
  'transaction',
  'authorization',
  'code',
  'consent',
  'session_client',
  'client',
  'client_secret',
  'user',
  'password',
  'outbox',
  'revoked_access_token',
  'refresh_family',
  'opaque_token',
  'resource',
  'registration',
  'initial_access_token',
]

/** The password of users that name no other. */
export const testPassword = 'correct horse battery staple'

/** Starts a server. Stop it in the test that started it. */
export const startServer = async (options: ServerOptions = {}): Promise<TestServer> => {
  const database = options.database ?? (await freshDatabase(options.kind ?? databaseKind()))
  const port = await freePort()
  const issuer = options.issuer ?? `http://localhost:${port}`
  const origin = `http://127.0.0.1:${port}`
  let offset = 0
  const logged: string[] = []
  const announced: string[] = []
  const config = readConfig({
    LINTEL_ISSUER: issuer,
    LINTEL_LISTEN: `127.0.0.1:${port}`,
    LINTEL_DATABASE_URL: database.url,
    LINTEL_MASTER_KEY: testMasterKey,
    LINTEL_LOG_LEVEL: 'debug',
    ...options.settings,
  })
  const now = (): Date => new Date(Date.now() + offset * 1000)
  const running: Running = await start(config, {
    now,
    log: captured(logged),
    announce: line => announced.push(line),
    ...(options.fetch ? { fetch: options.fetch } : {}),
    ...(options.wrapStore ? { wrapStore: options.wrapStore } : {}),
  })
  const { services } = running
  const offered = {
    grantTypes: [...grants.keys(), 'refresh_token', 'client_credentials'],
    responseTypes,
    authMethods: authMethods.map(method => method.name),
    signingAlgorithms: services.keys.algorithms(),
  }
  return {
    issuer,
    origin,
    services,
    database,
    logged,
    announced,
    sleep: seconds => {
      offset += seconds
    },
    browser: () => new Browser(issuer, origin),
    createUser: async ({ password = testPassword, groups = [], ...wanted } = {}) => {
      const { user, write } = newUser({ username: 'alice', ...wanted }, now())
      const made = groups.map(name => newGroup(name, now()))
      await services.store.commit([
        write,
        storePassword(user.id, await services.passwords.hash(password), now()),
        ...made.flatMap(one => [one.write, joinGroup(user.id, one.group.id)]),
      ])
      return { ...user, password }
    },
    createClient: async ({ client_id, client_secret, ...wanted } = {}) => {
      const metadata = parseClientMetadata(
        { client_name: 'Web', redirect_uris: ['https://web.test/cb'], ...wanted },
        'operator',
        offered,
      )
      const made = newClient(metadata, {
        now: now(),
        id: client_id === undefined ? undefined : String(client_id),
        secret: client_secret === undefined ? undefined : String(client_secret),
      })
      await services.store.commit(made.writes)
      services.clients.forget()
      return { id: made.id, secret: made.secret, redirectUri: metadata.redirect_uris?.[0] ?? '', metadata }
    },
    createResource: async wanted => {
      const { resource, writes } = newResource(
        {
          identifier: 'https://api.test',
          name: 'API',
          scopes: ['api:read', 'api:write'],
          tokenFormat: 'jwt',
          tokenTyp: 'at+jwt',
          alg: 'ES256',
          lifetime: null,
          ...wanted,
        },
        now(),
      )
      await services.store.commit(writes)
      await services.resources.reload()
      return resource
    },
    audit: () => listAudit(services.store, 1000),
    counts: async () => {
      const counts: Record<string, number> = {}
      for (const table of stateTables) {
        const [row] = await services.store.search<{ n: number | string }>(knex =>
          knex(table).count({ n: '*' }),
        )
        counts[table] = Number(row?.n)
      }
      return counts
    },
    stop: async () => {
      await running.stop()
      await database.remove()
    },
  }
}

/** Waits until something holds, looking every 20 ms; fails after 5 seconds. */
export const eventually = async (holds: () => boolean | Promise<boolean>, what: string): Promise<void> => {
  for (let tries = 0; tries < 250; tries++) {
    if (await holds()) return
    await wait(20)
  }
  throw new Error(`it did not come to pass: ${what}`)
}
