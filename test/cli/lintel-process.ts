/** The compiled command as a process of its own: what it prints where, and how it ends. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const ownBin = join(root, 'bin', 'lintel.js')

/** Compiles once, and only what is newer. */
export const build = (): void => {
  const { status } = spawnSync(process.execPath, [join(root, 'bin', 'build.js'), '--if-newer'], {
    stdio: 'inherit',
  })
  if (status !== 0) throw new Error('it does not compile')
}

/** `cpu` in milliseconds: what a run takes on a quiet machine, for others run here beside it. */
export type Ended = { code: number | null; stdout: string; stderr: string; cpu: number }

const tellCpu = `import { writeSync } from 'node:fs'
process.on('exit', () => writeSync(3, String((process.cpuUsage().user + process.cpuUsage().system) / 1000)))`

export type Place = {
  directory: string
  /** Runs a command to its end in this directory. */
  run: (words: string[], options?: { env?: Record<string, string>; input?: string }) => Promise<Ended>
  /** The same, for the one JSON value that it prints. */
  json: (words: string[], options?: { env?: Record<string, string>; input?: string }) => Promise<unknown>
  /** Starts a server, of another version where `bin` says so, and waits until it answers. */
  serve: (port: number, env?: Record<string, string>, bin?: string) => Promise<Served>
  remove: () => void
}

export type Served = {
  process: ChildProcess
  /** What came on standard output and standard error until now. */
  said: () => string
  /** Resolves with the exit code. */
  ended: Promise<number | null>
}

/** An empty directory with a database of its own. Nothing of our environment reaches the processes but the path. */
export const makePlace = (): Place => {
  const directory = mkdtempSync(join(tmpdir(), 'lintel-cli-'))
  const living = new Set<ChildProcess>()
  const start = (words: string[], env: Record<string, string> = {}, bin = ownBin): ChildProcess => {
    const child = spawn(process.execPath, [bin, ...words], {
      cwd: directory,
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    })
    living.add(child)
    child.once('exit', () => living.delete(child))
    return child
  }
  const endOf = (child: ChildProcess): Promise<number | null> =>
    new Promise(resolve => child.once('exit', resolve))

  const run: Place['run'] = async (words, { env = {}, input = '' } = {}) => {
    const child = start(words, {
      ...env,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tellCpu)}`,
    })
    if (!child.stdout || !child.stderr) throw new Error('no pipes')
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
    const cpuPipe = child.stdio[3]
    if (!(cpuPipe instanceof Readable)) throw new Error('no pipe')
    const [code, stdout, stderr, cpu] = await Promise.all([
      endOf(child),
      text(child.stdout),
      text(child.stderr),
      text(cpuPipe),
    ])
    return { code, stdout, stderr, cpu: Number(cpu) }
  }
  return {
    directory,
    run,
    json: async (words, options) => {
      const { code, stdout, stderr } = await run([...words, '--json'], options)
      if (code !== 0) throw new Error(`lintel ${words.join(' ')} ended with ${code}: ${stderr}`)
      return JSON.parse(stdout)
    },
    serve: async (port, env = {}, bin = ownBin) => {
      const child = start(['serve'], { LINTEL_ISSUER: `http://localhost:${port}`, ...env }, bin)
      let said = ''
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (said += String(chunk)))
      const ended = endOf(child)
      for (let tries = 0; !said.includes('server.started'); tries++) {
        if (tries === 500 || child.exitCode !== null) throw new Error(`the server did not start: ${said}`)
        await wait(20)
      }
      return { process: child, said: () => said, ended }
    },
    remove: () => {
      for (const child of living) child.kill('SIGKILL')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
