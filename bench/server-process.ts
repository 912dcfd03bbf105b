/** A server's process: on which core it runs, when it answers, how it ends. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Connection } from './connection.ts'

export const root = fileURLToPath(new URL('..', import.meta.url))

const hasTaskset = spawnSync('taskset', ['--version']).status === 0
const cores = availableParallelism()

/** Servers on the first core, the load generator on the last, so that neither waits for the other. */
export function pinSelf() {
  if (hasTaskset && cores > 1) setOwnCores(String(cores - 1))
}

/** Runs what starts processes that are to have the whole machine: a child stays where its parent was pinned. */
export async function unpinned<T>(run: () => Promise<T>): Promise<T> {
  if (hasTaskset) setOwnCores(`0-${cores - 1}`)
  try {
    return await run()
  } finally {
    pinSelf()
  }
}

function setOwnCores(list: string) {
  spawnSync('taskset', ['-a', '-cp', list, String(process.pid)])
}

export type ServerProcess = { pid: number; startMilliseconds: number; stop(): Promise<void> }

/**
 * Starts a server and waits until it answers.
 *
 * @param ready the path that it answers with 200 or 204 when it is ready
 * @throws with the end of its output, when it does not get there
 */
export async function serve(
  command: readonly string[],
  how: { port: number; ready: string; environment: Record<string, string>; log: string; pinned: boolean },
): Promise<ServerProcess> {
  const child = run(command, how)
  const began = performance.now()
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const stop = async () => {
    process.off('exit', kill)
    await end(child)
  }
  try {
    await answers(child, how)
    return { pid: child.pid ?? 0, startMilliseconds: performance.now() - began, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function run(
  command: readonly string[],
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

async function answers(
  child: ChildProcess,
  { port, ready, log }: { port: number; ready: string; log: string },
) {
  for (
    const until = Date.now() + 30_000;
    Date.now() < until;
    await new Promise(resolve => setTimeout(resolve, 5))
  ) {
    if (child.exitCode !== null) break
    const connection = new Connection(port)
    const status = await connection.get(ready).then(
      answer => answer.status,
      () => 0,
    )
    connection.close()
    if (status === 200 || status === 204) return
  }
  throw new Error(`did not start: ${readFileSync(log, 'utf8').slice(-1000)}`)
}

export function freePort() {
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
