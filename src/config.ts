/** Configuration: flags over environment over file over defaults; frozen, or the process refuses to start. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isLoopbackHost } from './config/addresses.ts'
import { suggestion } from './config/near-word.ts'
import type { DatabaseUrl, ListenAddress } from './config/setting-forms.ts'
import { type SettingEntry, settingEntries, type Values } from './config/settings.ts'

export type { DatabaseUrl, ListenAddress }

/** A value that cannot be used. Names the setting and what would be right; never holds a secret. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** What the server runs with: the settings, and what follows from them. */
export type Config = Values & {
  listen: ListenAddress
  database: { url: DatabaseUrl; poolSize: number }
  /** Whether the issuer is on this machine only; everything else is production. */
  loopback: boolean
  /** `''`, or the path of the issuer, such as `/sso`. */
  basePath: string
}

export type Environment = Record<string, string | undefined>

const readFileOrFail = (path: string, named: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigError(
      `${named}: cannot read ${path}: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    )
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const flattenFile = (value: unknown, path: string): [string, unknown][] =>
  isRecord(value)
    ? Object.entries(value).flatMap(([name, inner]) =>
        flattenFile(inner, path === '' ? name : `${path}.${name}`),
      )
    : [[path, value]]

/** What is wrong and where; the lines below it quote the file, in which there may be a secret. */
const whereInYaml = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0]?.replace(/:$/, '') ?? ''

/** Loaded when there is a file: 4 MB of memory that a server without one does without. */
const parseYaml = (text: string): unknown => {
  const yaml: typeof import('yaml') = createRequire(import.meta.url)('yaml')
  return yaml.parse(text)
}

const fromFile = (path: string): Map<string, unknown> => {
  let document: unknown
  try {
    document = parseYaml(readFileOrFail(path, 'LINTEL_CONFIG'))
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    throw new ConfigError(`${path}: not valid YAML: ${whereInYaml(cause)}`, { cause })
  }
  if (document === null) return new Map()
  if (!isRecord(document)) throw new ConfigError(`${path}: must hold settings such as "issuer: https://…"`)
  const known = settingEntries.map(entry => entry.file)
  const values = new Map(flattenFile(document, ''))
  for (const key of values.keys()) {
    const plain = key.endsWith('_file') ? key.slice(0, -5) : key
    const isSecretFile =
      key !== plain && settingEntries.some(entry => entry.file === plain && entry.setting.secret)
    if (!known.includes(key) && !isSecretFile)
      throw new ConfigError(`${path}: unknown setting ${key}.${suggestion(key, known)}`)
  }
  return values
}

/** Environment variables that are ours but configure no setting. */
const otherVariables = ['LINTEL_CONFIG', 'LINTEL_STATE', 'LINTEL_TEST_LONG']

const refuseUnknownVariables = (environment: Environment): void => {
  const known = settingEntries.flatMap(({ env, setting }) => (setting.secret ? [env, `${env}_FILE`] : [env]))
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('LINTEL_') || otherVariables.includes(name) || known.includes(name)) continue
    throw new ConfigError(`${name} is not a setting.${suggestion(name, known)}`)
  }
}

const rawValue = (entry: SettingEntry, environment: Environment, file: Map<string, unknown>): unknown => {
  const plain = environment[entry.env]
  if (entry.setting.secret) {
    const fileVariable = `${entry.env}_FILE`
    const path = environment[fileVariable]
    if (plain !== undefined && path !== undefined)
      throw new ConfigError(`${entry.env} and ${fileVariable} are both set; keep one of them`)
    if (path !== undefined) return readFileOrFail(path, fileVariable).trim()
    const fileKey = file.get(`${entry.file}_file`)
    if (plain === undefined && fileKey !== undefined) {
      if (file.has(entry.file))
        throw new ConfigError(`${entry.file} and ${entry.file}_file are both set; keep one of them`)
      return readFileOrFail(String(fileKey), `${entry.file}_file`).trim()
    }
  }
  return plain ?? file.get(entry.file) ?? undefined
}

/**
 * Reads the configuration.
 *
 * @param environment usually `process.env`, with command-line flags laid over it
 * @throws ConfigError naming the setting, what is wrong and what would be right; never a secret
 */
export const readConfig = (environment: Environment): Config => {
  refuseUnknownVariables(environment)
  const file = environment['LINTEL_CONFIG']
    ? fromFile(environment['LINTEL_CONFIG'])
    : new Map<string, unknown>()
  const values: Record<string, unknown> = {}
  for (const entry of settingEntries) {
    const parsed = entry.setting.schema.safeParse(rawValue(entry, environment, file))
    if (!parsed.success)
      throw new ConfigError(
        `${entry.env} (${entry.file} in the file) ${parsed.error.issues[0]?.message ?? 'is not valid'}`,
      )
    let group = values
    for (const name of entry.path.slice(0, -1)) {
      group[name] ??= {}
      group = group[name] as Record<string, unknown>
    }
    group[entry.path.at(-1) ?? ''] = parsed.data
  }
  return complete(values as Values, environment)
}

const complete = (values: Values, environment: Environment): Config => {
  const url = new URL(values.issuer)
  const loopback = isLoopbackHost(url.hostname)
  if (!loopback) {
    if (url.protocol !== 'https:')
      throw new ConfigError(
        'LINTEL_ISSUER must be an https URL when its host is not this machine; http is for loopback only',
      )
    if (values.masterKey === undefined)
      throw new ConfigError(
        'LINTEL_MASTER_KEY (or LINTEL_MASTER_KEY_FILE) must be set when the issuer is not loopback; make one with: openssl rand -base64 32',
      )
    if (environment['NODE_TLS_REJECT_UNAUTHORIZED'] === '0')
      throw new ConfigError(
        'NODE_TLS_REJECT_UNAUTHORIZED=0 would switch off every certificate check; remove it',
      )
  }
  if ((values.tls.cert === undefined) !== (values.tls.key === undefined))
    throw new ConfigError('LINTEL_TLS_CERT and LINTEL_TLS_KEY belong together; set both or neither')
  const port =
    loopback && url.port !== '' ? Number(url.port) : loopback ? (url.protocol === 'https:' ? 443 : 80) : 4000
  const config: Config = {
    ...values,
    listen: values.listen ?? { host: '127.0.0.1', port },
    database: {
      ...values.database,
      url: values.database.url ?? { kind: 'sqlite', path: `${values.data.replace(/\/$/, '')}/lintel.db` },
    },
    loopback,
    basePath: url.pathname === '/' ? '' : url.pathname,
  }
  return deepFreeze(config)
}

const deepFreeze = <T extends object>(value: T): T => {
  for (const inner of Object.values(value))
    if (typeof inner === 'object' && inner !== null && !Buffer.isBuffer(inner)) deepFreeze(inner)
  return Object.freeze(value)
}
