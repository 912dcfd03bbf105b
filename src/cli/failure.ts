/** What went wrong, in one line for people or one JSON value for scripts: never a stack, never a secret. */
import { CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { Refusal } from '../http/refusal.ts'
import type { Terminal } from './terminal.ts'

/** 1: it failed. 2: it was called in a way that it does not have. */
export type Failure = { error: string; message: string; exitCode: 1 | 2 }

/** The failure that something thrown stands for. */
export const failureOf = (thrown: unknown): Failure => {
  if (thrown instanceof CommanderError)
    return { error: 'usage', message: thrown.message.replace(/^error: /, ''), exitCode: 2 }
  if (thrown instanceof ConfigError)
    return { error: 'invalid_configuration', message: thrown.message, exitCode: 1 }
  if (thrown instanceof Refusal) return { error: thrown.error, message: thrown.description, exitCode: 1 }
  if (!(thrown instanceof Error)) return { error: 'server_error', message: String(thrown), exitCode: 1 }
  // Its class stands in a file that loads slowly.
  const error = thrown.name === 'KeyRingError' ? 'keys_unusable' : 'server_error'
  return { error, message: thrown.message, exitCode: 1 }
}

/** A call that the command does not have. */
export const usageError = (message: string): CommanderError => new CommanderError(2, 'lintel.usage', message)

/** Tells of a failure. */
export const tell = (terminal: Terminal, { error, message }: Failure): void => {
  if (terminal.json) terminal.write(`${JSON.stringify({ error, message })}\n`)
  terminal.say(`lintel: ${message.replaceAll(/\s*\n\s*/g, ' ')}`)
}

const toldCode = 'lintel.told'

/** A failure whose answer was printed already: only the exit code is left to say it. */
export const alreadyTold = (): CommanderError => new CommanderError(1, toldCode, '')

export const isAlreadyTold = (thrown: unknown): boolean =>
  thrown instanceof CommanderError && thrown.code === toldCode
