/** What a row of the table of commands is, and how its file fills it in. */
import type { Command } from 'commander'
import type { Terminal } from './terminal.ts'

/** Adds options, subcommands and actions to the command of that name. */
export type Describe = (command: Command, terminal: Terminal) => void

export type CommandEntry = {
  name: string
  about: string
  /** Loaded when it is asked for: `lintel version` need not load the server. */
  load: () => Promise<Describe>
}
