/** What a command sees of the world around it: the environment, standard input, and where its words go. */
import type { Environment } from '../config.ts'

export type Terminal = {
  environment: Environment
  /** One JSON value on standard output instead of text for people. */
  json: boolean
  /** Standard output: the answer, and nothing else. */
  write: (text: string) => void
  /** Standard error: a line for whoever sits there. */
  say: (line: string) => void
  /** Standard input, read to its end. */
  readInput: () => Promise<string>
  /** Asks a person for a secret that does not show; undefined where nobody sits at a keyboard. */
  askHidden: ((question: string) => Promise<string>) | undefined
}

/** What a command has to tell: a value for `--json`, and the same in words. */
export type Answer = { value: unknown; text: string }

/** Prints an answer in the form that was asked for. */
export const answer = (terminal: Terminal, { value, text }: Answer): void =>
  terminal.write(terminal.json ? `${JSON.stringify(value, null, 2)}\n` : text === '' ? '' : `${text}\n`)
