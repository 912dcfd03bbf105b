/** A server under measurement: how each is started, as a process of its own on one core, and what the bench knows of it. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Connection } from './connection.ts'
import type { Person } from './sign-in.ts'

export type TargetName = 'floor' | 'lintel' | 'peer'
export type Alg = 'ES256' | 'RS256'
export type BenchClient = { id: string; secret: string }
export type Endpoints = {
  authorize: string
  token: string
  userinfo: string
  introspect: string
  jwks: string
}
export type Target = {
  name: TargetName
  port: number
  pid: number
  issuer: string
  endpoints: Endpoints
  clients: Record<Alg, BenchClient>
  /** Asked for with client credentials, where the server makes JWTs only for an API it knows. */
  api: { resource?: string; scope?: string }
  /** Somebody who signs in with a password; floor and peer sign in whoever comes. */
  person: Person | undefined
  startMilliseconds: number
  stop(): Promise<void>
}

export const redirectUri = 'http://127.0.0.1:9/callback'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '..')
const hasTaskset = spawnSync('taskset', ['--version']).status === 0

const cores = availableParallelism()

/** Servers on the first core, the load generator on the last, so that neither waits for the other. */
export function pinSelf() {
  if (hasTaskset && cores > 1) spawnSync('taskset', ['-a', '-cp', String(cores - 1), String(process.pid)])
}

export function missing(name: TargetName): string | undefined {
  if (name === 'lintel' && !existsSync(join(root, 'dist/src/cli/lintel.js'))) return 'it is not built'
  if (name === 'peer' && !existsSync(join(here, 'peer/node_modules/oidc-provider'))) return installPeer()
  return undefined
}

/** The peer wants a newer Node than Lintel does, so its package is kept apart and npm is told not to mind. */
function installPeer() {
  process.stderr.write('bench: installing bench/peer\n')
  const { status, stderr } = spawnSync('npm', ['ci', '--engine-strict=false', '--no-audit', '--no-fund'], {
    cwd: join(here, 'peer'),
    encoding: 'utf8',
  })
  return status === 0 ? undefined : `bench/peer could not be installed: ${stderr.slice(-300)}`
}

export async function start(name: TargetName, { pinned = true } = {}): Promise<Target> {
  const directory = mkdtempSync(join(tmpdir(), `lintel-bench-${name}-`))
  const port = await freePort()
  const site = await sites[name](port, directory)
  const child = run(site.command, {
    pinned,
    environment: site.environment,
    log: join(directory, 'output.log'),
  })
  const began = performance.now()
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const stop = async () => {
    process.off('exit', kill)
    await end(child)
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await answers(port, site.ready, child, directory)
    const startMilliseconds = performance.now() - began
    const discovery = await fetchJson(port, '/.well-known/openid-configuration')
    const endpoint = (key: string) => new URL(String(discovery[key])).pathname
    const endpoints = {
      authorize: endpoint('authorization_endpoint'),
      token: endpoint('token_endpoint'),
      userinfo: endpoint('userinfo_endpoint'),
      introspect: endpoint('introspection_endpoint'),
      jwks: endpoint('jwks_uri'),
    }
    const issuer = `http://localhost:${port}`
    return {
      name,
      port,
      pid: child.pid ?? 0,
      issuer,
      endpoints,
      clients: site.clients,
      api: site.api,
      person: site.person,
      startMilliseconds,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

type Site = Pick<Target, 'clients' | 'api' | 'person'> & {
  command: string[]
  environment: Record<string, string>
  ready: string
}

const benchClients = {
  ES256: { id: 'bench-ES256', secret: 's'.repeat(43) },
  RS256: { id: 'bench-RS256', secret: 's'.repeat(43) },
}
const typescript = ['--import', import.meta.resolve('tsx')]

const sites: Record<TargetName, (port: number, directory: string) => Promise<Site>> = {
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
  lintel: async (port, directory) => {
    const environment = {
      LINTEL_ISSUER: `http://localhost:${port}`,
      LINTEL_DATA: join(directory, 'data'),
      LINTEL_LISTEN: `127.0.0.1:${port}`,
    }
    const bin = join(root, 'bin/lintel.js')
    mkdirSync(environment.LINTEL_DATA)
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
    lintel(
      [
        'user',
        'create',
        '--username',
        person.username,
        '--email',
        'bench@bench.example',
        '--name',
        'Bench User',
        '--password-stdin',
      ],
      person.password,
    )
    const clients = { ES256: client('ES256'), RS256: client('RS256') }
    return {
      command: [bin, 'serve'],
      environment,
      ready: '/readyz',
      clients,
      api: { resource: identifier, scope: 'api:read' },
      person,
    }
  },
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

function run(
  command: string[],
  { pinned, environment, log }: { pinned: boolean; environment: Record<string, string>; log: string },
) {
  const output = openSync(log, 'a')
  const on = pinned ? '0' : `0-${cores - 1}`
  const [program = '', ...args] = [...(hasTaskset ? ['taskset', '-c', on] : []), process.execPath, ...command]
  return spawn(program, args, {
    cwd: root,
    env: { ...process.env, NODE_ENV: 'production', ...environment },
    stdio: ['ignore', output, output],
  })
}

async function answers(port: number, path: string, child: ChildProcess, directory: string) {
  for (
    const until = Date.now() + 30_000;
    Date.now() < until;
    await new Promise(resolve => setTimeout(resolve, 5))
  ) {
    if (child.exitCode !== null) break
    const connection = new Connection(port)
    const status = await connection.get(path).then(
      answer => answer.status,
      () => 0,
    )
    connection.close()
    if (status === 200 || status === 204) return
  }
  throw new Error(`did not start: ${readFileSync(join(directory, 'output.log'), 'utf8').slice(-1000)}`)
}

async function fetchJson(port: number, path: string): Promise<Record<string, unknown>> {
  const connection = new Connection(port)
  const { body } = await connection.get(path)
  connection.close()
  return JSON.parse(body)
}

function freePort() {
  return new Promise<number>((resolve, reject) => {
    const server = createServer()
      .once('error', reject)
      .listen(0, '127.0.0.1', () => {
        const address = server.address()
        server.close(() =>
          address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
        )
      })
  })
}

function end(child: ChildProcess) {
  return new Promise<void>(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    const force = setTimeout(() => child.kill('SIGKILL'), 5_000)
    child.once('exit', () => {
      clearTimeout(force)
      resolve()
    })
    child.kill('SIGTERM')
  })
}
