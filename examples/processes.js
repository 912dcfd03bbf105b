// @ts-check
import { spawn } from 'node:child_process'

/** Node programs that belong together: when one dies they all do, and nothing of them is left. */
export class Processes {
  /** @type {Set<import('node:child_process').ChildProcess>} */
  #running = new Set()
  #stopping = false

  /** @param {(message: string) => void} onDeath called when a program ends that should have gone on */
  constructor(onDeath) {
    this.onDeath = onDeath
    process.on('exit', () => this.#signal('SIGKILL')) // whatever happened, leave nobody behind
  }

  /**
   * Runs to its end and gives what it printed. Fails with what it complained about.
   * @param {string[]} args
   * @param {{ env: NodeJS.ProcessEnv, input?: string }} options
   */
  async run(args, { env, input = '' }) {
    const child = this.#spawn(args, env)
    const output = collect(child.stdout)
    const complaints = collect(child.stderr)
    child.stdin.on('error', () => {}).end(input) // it may end without having read
    const code = await ended(child)
    if (code !== 0)
      throw new Error(`node ${args[0]} ${args[1]} ${args[2]} failed:\n${complaints()}${output()}`)
    return output()
  }

  /**
   * Runs until `stop`.
   * @param {string} name
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   */
  start(name, args, env) {
    const child = this.#spawn(args, env)
    child.stdin.end()
    const output = collect(child.stdout, child.stderr)
    ended(child).then(async code => {
      // Ctrl-C reaches the whole group at once, so a child may be gone a moment before we are told.
      await new Promise(resolve => setTimeout(resolve, 200))
      if (!this.#stopping) this.onDeath(`${name} ended (${code}):\n${output()}`)
    })
  }

  /** Asks everybody to end, waits, and insists after five seconds. */
  async stop() {
    this.#stopping = true
    this.#signal('SIGTERM')
    const insist = setTimeout(() => this.#signal('SIGKILL'), 5000)
    await Promise.all([...this.#running].map(ended))
    clearTimeout(insist)
  }

  /** @param {string[]} args @param {NodeJS.ProcessEnv} env */
  #spawn(args, env) {
    const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#running.add(child)
    child.on('close', () => this.#running.delete(child))
    return child
  }

  /** @param {NodeJS.Signals} signal */
  #signal(signal) {
    for (const child of this.#running) child.kill(signal)
  }
}

/**
 * Its exit code, or the signal that ended it, once all it printed has arrived.
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<number | string | null>}
 */
const ended = child => new Promise(resolve => child.once('close', (code, signal) => resolve(signal ?? code)))

/** The last of what comes out. @param {...import('node:stream').Readable} streams */
function collect(...streams) {
  let text = ''
  for (const stream of streams) {
    stream.setEncoding('utf8').on('data', chunk => {
      text = (text + chunk).slice(-20_000)
    })
  }
  return () => text
}
