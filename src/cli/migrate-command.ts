/** `lintel migrate`: the schema. Every other command and the server migrate by themselves. */
import type { Command } from 'commander'
import { type Config, readConfig } from '../config.ts'
import type { Describe } from './command.ts'
import { addSettingFlags, environmentWith } from './setting-flags.ts'
import { type Answer, answer, type Terminal } from './terminal.ts'

const onDatabase = (
  command: Command,
  terminal: Terminal,
  work: (config: Config) => Promise<Answer>,
): void => {
  addSettingFlags(command, { shown: false }).action(async () =>
    answer(terminal, await work(readConfig(environmentWith(terminal.environment, command)))),
  )
}

export const migrateCommand: Describe = (migrate, terminal) => {
  onDatabase(
    migrate.command('up').description('run the migrations that are pending'),
    terminal,
    async config => {
      const { migrate: run } = await import('../store/migrate.ts')
      const ran = await run(config.database.url)
      return {
        value: { ran },
        text: ran.length === 0 ? 'nothing to do' : ran.map(name => `ran ${name}`).join('\n'),
      }
    },
  )
  onDatabase(migrate.command('status').description('list the migrations'), terminal, async config => {
    const { migrationStatus } = await import('../store/migrate.ts')
    const all = await migrationStatus(config.database.url)
    return {
      value: all,
      text: all.map(({ name, done }) => `${done ? 'done   ' : 'pending'}  ${name}`).join('\n'),
    }
  })
}
