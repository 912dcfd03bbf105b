/** The commands. One row a command, in the order that help shows them. */
import type { CommandEntry } from './command.ts'

export const commands: readonly CommandEntry[] = [
  {
    name: 'serve',
    about: 'run the server',
    load: async () => (await import('./serve-command.ts')).serveCommand,
  },
]
