/** The configuration as it may be shown: every setting by its name in the file, secrets left out. */

import { type SettingEntry, settingEntries } from '../config/settings.ts'
import type { Config } from '../config.ts'

type Shown = string | number | boolean | null | Shown[]

/** Stands where a secret is set. */
const redacted = '(set, not shown)'

const valueAt = (config: Config, path: readonly string[]): unknown => {
  let value: unknown = config
  for (const name of path)
    value =
      typeof value === 'object' && value !== null
        ? Object.entries(value).find(([key]) => key === name)?.[1]
        : undefined
  return value
}

const shownListen = (value: object): string | undefined => {
  if ('path' in value) return `unix:${String(value.path)}`
  if (!('host' in value && 'port' in value)) return undefined
  const host = String(value.host)
  return `${host.includes(':') ? `[${host}]` : host}:${String(value.port)}`
}

/** A database is known by its place; what is before the @ and after the ? may be secret. */
const shownDatabase = ({ url }: Config['database']): string => {
  if (url.kind === 'sqlite') return `sqlite:${url.path}`
  const { protocol, host, pathname } = new URL(url.url)
  return `${protocol}//${host}${pathname}`
}

/** Proxies are URLs too, and have passwords in them. */
const withoutUserInfo = (text: string): string => text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1')

const shown = (value: unknown): Shown => {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return withoutUserInfo(value)
  if (typeof value === 'number' || typeof value === 'boolean') return value
  if (Array.isArray(value)) return value.map(shown)
  return (typeof value === 'object' ? shownListen(value) : undefined) ?? String(value)
}

const entryValue = (config: Config, { path, file, setting }: SettingEntry): Shown => {
  const value = valueAt(config, path)
  if (file === 'database.url') return shownDatabase(config.database)
  if (setting.secret) return value === undefined ? null : redacted
  return shown(value)
}

/** Entries by their dotted names, those of one section together. */
export const inSections = <T, S>(
  entries: readonly (readonly [string, T])[],
  section: (members: Record<string, T>) => S,
): Record<string, T | S> => {
  const sections = new Map<string, [string, T][]>()
  for (const [name, value] of entries) {
    const [head = '', member] = name.split('.')
    if (member !== undefined) sections.set(head, [...(sections.get(head) ?? []), [member, value]])
  }
  return {
    ...Object.fromEntries(entries.filter(([name]) => !name.includes('.'))),
    ...Object.fromEntries(
      [...sections].map(([head, members]) => [head, section(Object.fromEntries(members))]),
    ),
  }
}

/** The configuration as the YAML file would hold it; durations in seconds. */
export const configView = (config: Config): Record<string, unknown> =>
  inSections(
    settingEntries.map(entry => [entry.file, entryValue(config, entry)] as const),
    members => members,
  )
