/** Commands that work on the data: they open it as the server does, but need no port. */
import type { Command } from 'commander'
import type { Actor } from '../admin/actor.ts'
import { type Config, readConfig } from '../config.ts'
import { type Log, makeLog } from '../observe/log.ts'
import type { Services } from '../services.ts'
import { addSettingFlags, environmentWith } from './setting-flags.ts'
import { type Answer, answer, type Terminal } from './terminal.ts'

/** Who the audit says it was. */
export const operator: Actor = { kind: 'cli' }

type At = {
  services: Services
  config: Config
  terminal: Terminal /** The words after the command's name. */
  args: string[]
}

/** Standard output belongs to the answer. */
export const logTo = (terminal: Terminal): Log =>
  makeLog('warn', { write: line => terminal.say(line.trimEnd()), flushSync: () => undefined })

/** Gives a command its action: what it returns is printed when everything is closed again. */
export const onServices = (command: Command, terminal: Terminal, work: (at: At) => Promise<Answer>): void => {
  addSettingFlags(command, { shown: false }).action(async () => {
    const config = readConfig(environmentWith(terminal.environment, command))
    const { openServices } = await import('../main.ts')
    const opened = await openServices(config, { log: logTo(terminal) })
    try {
      // Delivery is the server's: a notice that a command took along would be held up when the command ends.
      const services = { ...opened.services, wakeOutbox: async () => undefined }
      answer(terminal, await work({ services, config, terminal, args: command.args }))
    } finally {
      await opened.close()
    }
  })
}

/** The first word after the command's name, where commander has made sure that there is one. */
export const named = ({ args }: Pick<At, 'args'>): string => args[0] ?? ''
