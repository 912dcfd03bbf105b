/** **Table** of the servers under measurement: what must be there before each starts, and how it is started. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPostgres } from '../test/support/postgres-server.ts'
import { root, unpinned } from './server-process.ts'
import type { Alg, BenchClient, Target, TargetName } from './target.ts'

export type Site = Pick<Target, 'clients' | 'api' | 'person'> & {
  command: string[]
  environment: Record<string, string>
  ready: string
  /** Ends what it started besides the server. */
  stop?: () => Promise<void>
}

export const redirectUri = 'http://127.0.0.1:9/callback'

/** Where a Lintel on SQLite keeps its rows. */
export const databaseFile = (directory: string) => join(directory, 'data', 'lintel.db')

/** For Node, so that it runs what is not compiled. */
export const typescript = ['--import', import.meta.resolve('tsx')]

const here = fileURLToPath(new URL('.', import.meta.url))
const benchClients = {
  ES256: { id: 'bench-ES256', secret: 's'.repeat(43) },
  RS256: { id: 'bench-RS256', secret: 's'.repeat(43) },
}

export const sites: Record<TargetName, (port: number, directory: string) => Promise<Site>> = {
  floor: async (port, directory) => ({
    command: [...typescript, join(here, 'floor.ts'), String(port), directory],
    environment: {},
    ready: '/livez',
    clients: benchClients,
    api: {},
    person: undefined,
  }),
  peer: async (port, directory) => ({
    command: [...typescript, join(here, 'peer/peer.ts'), String(port), directory],
    environment: {},
    ready: '/jwks',
    clients: benchClients,
    api: { resource: 'https://api.bench.example', scope: 'api:read' },
    person: undefined,
  }),
  lintel: async (port, directory) => lintelSite(port, directory),
  'lintel-postgres': async (port, directory) => {
    const { url, stop } = await unpinned(() => startPostgres({ durable: true }))
    try {
      return { ...lintelSite(port, directory, { LINTEL_DATABASE_URL: url }), stop }
    } catch (error) {
      await stop()
      throw error
    }
  },
}

function lintelSite(port: number, directory: string, settings: Record<string, string> = {}): Site {
  const data = join(directory, 'data')
  const environment = {
    LINTEL_ISSUER: `http://localhost:${port}`,
    LINTEL_DATA: data,
    LINTEL_LISTEN: `127.0.0.1:${port}`,
    ...settings,
  }
  const bin = join(root, 'bin/lintel.js')
  mkdirSync(data)
  const lintel = (command: string[], input = ''): Record<string, unknown> =>
    JSON.parse(
      execFileSync(process.execPath, [bin, ...command, '--json'], {
        env: { ...process.env, ...environment },
        input,
        encoding: 'utf8',
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    )
  const identifier = 'https://api.bench.example'
  lintel(['resource', 'create', '--identifier', identifier, '--name', 'Bench API', '--scopes', 'api:read'])
  const client = (alg: Alg): BenchClient => {
    const created = lintel(['client', 'create', '--json-metadata', JSON.stringify(metadata(alg))])
    return { id: String(created['client_id']), secret: String(created['client_secret']) }
  }
  const person = { username: 'bench', password: 'three lanterns under the lintel' }
  const about = ['--username', person.username, '--email', 'bench@bench.example', '--name', 'Bench User']
  lintel(['user', 'create', ...about, '--password-stdin'], person.password)
  return {
    command: [bin, 'serve'],
    environment,
    ready: '/readyz',
    clients: { ES256: client('ES256'), RS256: client('RS256') },
    api: { resource: identifier, scope: 'api:read' },
    person,
  }
}

function metadata(alg: Alg) {
  return {
    client_name: `Bench ${alg}`,
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
    scope: 'openid profile email api:read',
    id_token_signed_response_alg: alg,
    first_party: true,
  }
}
