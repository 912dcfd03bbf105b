/** `lintel serve`: the server, in this very process, so that its pid is the server's and signals reach it. */

import { setTimeout as wait } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import type { Command } from 'commander'
import { type Config, readConfig } from '../config.ts'
import { listenText } from '../http/listener.ts'
import type { Running } from '../main.ts'
import type { Describe } from './command.ts'
import { checkFiles } from './config-files.ts'
import { failureOf, tell } from './failure.ts'
import { addSettingFlags, environmentWith } from './setting-flags.ts'
import type { Terminal } from './terminal.ts'

/** Ctrl-C reaches the server twice where npm stands between: from the terminal and from npm. Milliseconds. */
const sameSignal = 100

/** After a crash, what is in flight has so long to finish (REL-04); seconds. */
const crashDrain = 5

export const serveCommand: Describe = (command, terminal) => {
  addSettingFlags(command, { shown: true })
    .description(
      'Run the server. Settings are flags, LINTEL_… variables or a YAML file; flags win, then the environment.',
    )
    .addHelpText('after', '\nSIGTERM and SIGINT stop it, SIGHUP reads the TLS certificate again.')
    .action(() => serve(command, terminal))
}

const serve = async (command: Command, terminal: Terminal): Promise<void> => {
  // To load everything would leave the heap's young generation at 32 MB, of which an idle server uses two: it does not
  // grow meanwhile (architecture section 6: idle below 100 MB).
  setFlagsFromString('--semi-space-growth-factor=1')
  const life = watchProcess(terminal)
  const config = readConfig(environmentWith(terminal.environment, command))
  for (const warning of checkFiles(config)) terminal.say(`lintel: ${warning}`)
  // The server's own files load only when its configuration is good: a bad one is told at once.
  const { start } = await import('../main.ts')
  const running = await start(config).catch(cause => Promise.reject(portTaken(cause, config)))
  life.running = running
  running.watchPublicAddress()
  setFlagsFromString('--semi-space-growth-factor=2')
  await life.ended
}

/** Says which address it is, and which setting gives another. */
const portTaken = (cause: unknown, { listen }: Config): unknown => {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const address = listenText(listen)
  if (code === 'EADDRINUSE')
    return new Error(`${address} is in use by another process; stop that one or set LINTEL_LISTEN`, { cause })
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new Error(`cannot listen at ${address} (${code}); set LINTEL_LISTEN to another address`, { cause })
  return cause
}

type Life = { running: Running | undefined; ended: Promise<void> }

/** Listens to signals, and to what nobody caught. */
const watchProcess = (terminal: Terminal): Life => {
  let end: () => void = () => undefined
  const life: Life = {
    running: undefined,
    ended: new Promise(resolve => {
      end = resolve
    }),
  }
  let stopping = false
  let signalledAt = 0

  const onSignal = (signal: 'SIGTERM' | 'SIGINT'): void => {
    if (stopping && performance.now() - signalledAt < sameSignal) return
    if (stopping) process.exit(signal === 'SIGINT' ? 130 : 143)
    stopping = true
    signalledAt = performance.now()
    // Nothing is half done before it listens: commits and migrations are all or nothing.
    if (!life.running) process.exit(0)
    life.running.stop().then(end, onCrash)
  }
  const onCrash = (thrown: unknown): void => {
    const cause = thrown instanceof Error ? thrown : new Error(String(thrown))
    if (!life.running) {
      tell(terminal, failureOf(cause))
      process.exit(1)
    }
    life.running.services.log.error('process.crashed', { cause })
    life.running.services.log.flush()
    if (stopping) process.exit(1)
    stopping = true
    void Promise.race([
      life.running.stop({ drainDelay: 0, timeout: crashDrain }),
      wait(crashDrain * 1000),
    ]).finally(() => process.exit(1))
  }
  process.on('SIGTERM', () => onSignal('SIGTERM'))
  process.on('SIGINT', () => onSignal('SIGINT'))
  process.on('SIGHUP', () => life.running?.reload())
  process.on('uncaughtException', onCrash)
  process.on('unhandledRejection', onCrash)
  return life
}
