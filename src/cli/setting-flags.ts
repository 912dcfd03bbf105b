/** Flags over environment over file: every setting is a flag as well. */
import { type Command, Option } from 'commander'
import { type SettingEntry, settingEntries } from '../config/settings.ts'
import type { Environment } from '../config.ts'

type Flag = { name: string; variable: string; about: string; form: string }

const flagName = ({ file }: SettingEntry): string => file.replaceAll(/[._]/g, '-')

/** A secret on a command line is seen by everybody on the machine: those are named by a file. */
const flagOf = (entry: SettingEntry): Flag => {
  const { about, form, secret } = entry.setting
  return secret && entry.file !== 'database.url'
    ? { name: `${flagName(entry)}-file`, variable: `${entry.env}_FILE`, about, form: 'file' }
    : { name: flagName(entry), variable: entry.env, about, form }
}

const flags: readonly Flag[] = [
  { name: 'config', variable: 'LINTEL_CONFIG', about: 'File with settings', form: 'YAML file' },
  ...settingEntries.map(flagOf),
]

const camelCase = (name: string): string =>
  name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())

/** Adds the flags; most commands take them without showing them all in their help. */
export const addSettingFlags = (command: Command, { shown }: { shown: boolean }): Command => {
  for (const { name, about, form } of flags) {
    const option = new Option(
      `--${name} <${name.endsWith('-file') || name === 'config' ? 'file' : 'value'}>`,
      `${about} (${form})`,
    ).helpGroup('Settings:')
    command.addOption(shown || name === 'config' ? option : option.hideHelp())
  }
  if (!shown) command.addHelpText('after', '\nEvery setting is a flag as well: see "lintel serve --help".')
  return command
}

/** The environment with the flags of this call laid over it. */
export const environmentWith = (environment: Environment, command: Command): Environment => {
  const merged: Environment = { ...environment }
  const given = command.opts<Record<string, string | undefined>>()
  for (const { name, variable } of flags) {
    const value = given[camelCase(name)]
    if (value === undefined) continue
    // A secret of the environment would contradict the same one of a flag.
    delete merged[variable.endsWith('_FILE') ? variable.slice(0, -5) : `${variable}_FILE`]
    merged[variable] = value
  }
  return merged
}
