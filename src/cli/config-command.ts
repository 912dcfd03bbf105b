/** `lintel config`: what the settings are, and whether the server would start with them. */
import type { Command } from 'commander'
import { type Config, readConfig } from '../config.ts'
import type { Describe } from './command.ts'
import { checkFiles } from './config-files.ts'
import { configView } from './config-view.ts'
import { alreadyTold } from './failure.ts'
import { logTo } from './on-services.ts'
import { parseGivenNumber } from './option-values.ts'
import { addSettingFlags, environmentWith } from './setting-flags.ts'
import { answer, type Terminal } from './terminal.ts'
import { table } from './words.ts'

const read = (command: Command, terminal: Terminal): { config: Config; warnings: string[] } => {
  const config = readConfig(environmentWith(terminal.environment, command))
  return { config, warnings: checkFiles(config) }
}

export const configCommand: Describe = (config, terminal) => {
  const check = config
    .command('check')
    .description('say whether the server would start with these settings: exit 0, or 1 and why not')
    .option('--online', 'look as well whether the public address leads to the running server')
  addSettingFlags(check, { shown: true }).action(async () => {
    const { config, warnings } = read(check, terminal)
    for (const warning of warnings) terminal.say(`warning: ${warning}`)
    if (check.opts<{ online?: boolean }>().online) return checkOnline(config, warnings, terminal)
    answer(terminal, { value: { ok: true, warnings }, text: 'the configuration is good' })
  })
  const print = config
    .command('print')
    .description('print every setting as the YAML file would hold it; secrets are left out')
  addSettingFlags(print, { shown: true }).action(async () => {
    const { stringify } = await import('yaml')
    const view = configView(read(print, terminal).config)
    answer(terminal, { value: view, text: stringify(view).trimEnd() })
  })
  const schema = config
    .command('schema')
    .description('print the JSON Schema of the YAML file')
    .option('--markdown', 'print the reference of all settings instead, as docs/configuration.md has it')
  schema.action(async () => {
    if (schema.opts<{ markdown?: boolean }>().markdown) {
      const { configReference } = await import('./config-reference.ts')
      const text = configReference().trimEnd()
      return answer(terminal, { value: text, text })
    }
    const { configSchema } = await import('./config-schema.ts')
    const value = configSchema()
    answer(terminal, { value, text: JSON.stringify(value, null, 2) })
  })
  describeTuning(config.command('tune-passwords'), terminal)
}

/** Looks at the public address as the server itself does after it started. */
const checkOnline = async (config: Config, warnings: string[], terminal: Terminal): Promise<void> => {
  const { openServices, publicAddressOf } = await import('../main.ts')
  const { lookAtPublicAddress } = await import('../observe/public-address.ts')
  const opened = await openServices(config, { log: logTo(terminal) })
  const troubles = await lookAtPublicAddress(publicAddressOf(opened.services, config)).finally(opened.close)
  const ok = troubles.length === 0
  answer(terminal, {
    value: { ok, warnings, public_address: troubles },
    text: ok
      ? `the configuration is good, and ${config.issuer} leads here`
      : troubles.map(({ code, message }) => `${code}: ${message}`).join('\n'),
  })
  if (!ok) throw alreadyTold()
}

const describeTuning = (command: Command, terminal: Terminal): void => {
  command
    .description('measure password hashing on this machine and suggest settings for it')
    .option('--milliseconds <number>', 'longest that one sign-in may hash', '100')
    .action(async () => {
      const { milliseconds } = command.opts<{ milliseconds: string }>()
      const { tunePasswords } = await import('./password-tuning.ts')
      const { trials, best } = await tunePasswords(parseGivenNumber('--milliseconds', milliseconds))
      const rows = trials.map(one => [one.memory, one.passes, one.milliseconds])
      const suggestion = `LINTEL_PASSWORDS_MEMORY=${best?.memory} LINTEL_PASSWORDS_PASSES=${best?.passes}`
      answer(terminal, {
        value: { memory: best?.memory, passes: best?.passes, milliseconds: best?.milliseconds, trials },
        text: `${table(['memory (kib)', 'passes', 'milliseconds'], rows, '')}\n\nSuggested: ${suggestion}`,
      })
    })
}
