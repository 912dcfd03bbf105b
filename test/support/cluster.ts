/** Instances of one issuer as processes of their own, on one database, behind a balancer where there are several. */
import { makePlace, type Place, type Served } from '../cli/lintel-process.ts'
import { type Balancer, startBalancer } from './balancer.ts'
import { type DatabaseKind, type FreshDatabase, freshDatabase, testMasterKey } from './databases.ts'
import { type Health, healthOf } from './probe.ts'
import { freePort, startServer, type TestClient } from './server.ts'
import { type Endpoint, endpointAt } from './tokens.ts'

export type Instance = {
  port: number
  /** Asks this one, past the balancer. */
  endpoint: Endpoint
  /** Starts it, with the command of another version where `bin` says so. Resolves when it answers. */
  start: (bin?: string) => Promise<void>
  /** Ends it at once, as a crash does. */
  kill: () => Promise<void>
  /** Ends it as an operator does. @returns its exit code */
  stop: () => Promise<number | null>
  said: () => string
  /** How it is; it must have been started with `probed` among its settings. */
  health: () => Promise<Health>
}

export type Cluster = {
  issuer: string
  database: FreshDatabase
  /** Asks the balancer. */
  endpoint: Endpoint
  balancer: Balancer
  instances: Instance[]
  client: TestClient
  people: { username: string; password: string }[]
  /** Waits until the balancer asks an instance for things, or does not any more. */
  untilReady: (instance: Instance, isReady?: boolean) => Promise<void>
  stop: () => Promise<void>
}

const instanceAt = async (place: Place, issuer: string, env: Record<string, string>): Promise<Instance> => {
  const port = await freePort()
  let served: Served | undefined
  let said = ''
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    const running = served
    served = undefined
    if (!running) return null
    running.process.kill(signal)
    const code = await running.ended
    said = running.said()
    return code
  }
  return {
    port,
    endpoint: endpointAt(issuer, `http://127.0.0.1:${port}`),
    start: async bin => {
      served = await place.serve(port, { ...env, LINTEL_LISTEN: `127.0.0.1:${port}` }, bin)
    },
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    said: () => served?.said() ?? said,
    health: () => {
      if (!served) throw new Error('it does not run')
      return healthOf(served)
    },
  }
}

/**
 * Starts them, with an app and some people.
 *
 * @param size how many instances; SQLite has one
 * @param given a database of another server than that of the run; it may be empty
 */
export const startCluster = async (
  kind: DatabaseKind,
  size: number,
  settings: Record<string, string> = {},
  given?: FreshDatabase,
): Promise<Cluster> => {
  const database = given ?? (await freshDatabase(kind))
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const seeding = await startServer({ issuer, database: { ...database, remove: async () => undefined } })
  const client = await seeding.createClient({ grant_types: ['authorization_code', 'refresh_token'] })
  const people = []
  for (const username of ['alice', 'bob', 'carol', 'dave'])
    people.push(await seeding.createUser({ username }))
  await seeding.stop()

  const place = makePlace()
  const env = {
    LINTEL_ISSUER: issuer,
    LINTEL_DATABASE_URL: database.url,
    LINTEL_MASTER_KEY: testMasterKey,
    LINTEL_SHUTDOWN_DRAIN_DELAY: '1s',
    ...settings,
  }
  const instances: Instance[] = []
  for (let n = 0; n < size; n++) instances.push(await instanceAt(place, issuer, env))
  const balancer = await startBalancer(
    port,
    instances.map(instance => instance.port),
  )
  const untilReady: Cluster['untilReady'] = async (instance, isReady = true) => {
    const until = performance.now() + 30_000
    while (balancer.isReady(instance.port) !== isReady) {
      if (performance.now() > until) throw new Error(`the instance did not get ready: ${instance.said()}`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }
  const stop = async (): Promise<void> => {
    await Promise.all(instances.map(instance => instance.stop()))
    await balancer.stop()
    place.remove()
    await database.remove()
  }
  try {
    await Promise.all(instances.map(instance => instance.start()))
    await Promise.all(instances.map(instance => untilReady(instance)))
  } catch (error) {
    await stop()
    throw error
  }
  const endpoint = endpointAt(issuer, `http://127.0.0.1:${port}`)
  return { issuer, database, endpoint, balancer, instances, client, people, untilReady, stop }
}
