/** Configuration: flags over environment over file over defaults; frozen, or the process refuses to start. */
import { readFileSync } from 'node:fs'
import { BlockList, isIP } from 'node:net'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'

/** A value that cannot be used. Names the setting and what would be right; never holds a secret. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

type Setting<T> = { schema: z.ZodType<T>; about: string; secret: boolean; form: string }

const setting = <T>(schema: z.ZodType<T>, form: string, about: string): Setting<T> => ({
  schema,
  form,
  about,
  secret: false,
})
const secretSetting = <T>(schema: z.ZodType<T>, form: string, about: string): Setting<T> => ({
  ...setting(schema, form, about),
  secret: true,
})

const fail = (context: z.RefinementCtx, message: string): never => {
  context.addIssue({ code: 'custom', message })
  return z.NEVER
}

/** Host names that never leave this machine (contracts.md section 2). */
export const isLoopbackHost = (hostname: string): boolean =>
  hostname === 'localhost' ||
  hostname.endsWith('.localhost') ||
  hostname === '[::1]' ||
  hostname === '::1' ||
  (isIP(hostname) === 4 && hostname.startsWith('127.'))

const issuerUrl = z.string().transform((text, context) => {
  if (!URL.canParse(text)) return fail(context, 'is not a URL')
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return fail(context, 'must be an http or https URL')
  if (url.search || text.includes('?') || text.includes('#'))
    return fail(context, 'must have no query and no fragment')
  if (url.username || url.password) return fail(context, 'must have no user name in it')
  if (text.endsWith('/')) return fail(context, 'must not end with a slash')
  if (url.origin + (url.pathname === '/' ? '' : url.pathname) !== text)
    return fail(
      context,
      `must be written in its normal form, ${url.origin}${url.pathname === '/' ? '' : url.pathname}`,
    )
  return text
})

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `90`, `15m`, `12h`, `30d` → seconds. */
const duration = z.union([z.string(), z.number()]).transform((value, context) => {
  const match = /^(\d{1,9})([smhd])?$/.exec(String(value))
  if (!match) return fail(context, 'must be a duration such as 90s, 15m, 12h or 30d')
  return Number(match[1]) * (units[match[2] ?? 's'] ?? 1)
})

const wholeNumber = (min: number, max: number) =>
  z.union([z.string(), z.number()]).transform((value, context) => {
    const number = Number(value)
    if (!Number.isInteger(number) || String(value).trim() === '' || number < min || number > max)
      return fail(context, `must be a whole number from ${min} to ${max}`)
    return number
  })

const list = z
  .union([z.string(), z.array(z.string())])
  .transform(value =>
    (Array.isArray(value) ? value : value.split(',')).map(item => item.trim()).filter(item => item !== ''),
  )

const cidrList = list.transform((items, context) => {
  for (const item of items) {
    const [address = '', bits] = item.split('/')
    const family = isIP(address)
    const width = bits === undefined ? 32 : Number(bits)
    if (family === 0 || !Number.isInteger(width) || width < 0 || width > (family === 4 ? 32 : 128))
      return fail(context, `"${item}" is not an address or a range such as 10.0.0.0/8`)
    if (bits !== undefined && width === 0)
      return fail(context, `"${item}" trusts every address; name your proxies`)
  }
  return items
})

const masterKeys = z.string().transform((text, context) => {
  const keys = text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '')
  if (keys.length === 0) return fail(context, 'is empty')
  const decoded = keys.map(key =>
    /^[A-Za-z0-9+/_-]+=*$/.test(key) ? Buffer.from(key, 'base64url') : Buffer.alloc(0),
  )
  if (decoded.some(key => key.length !== 32))
    return fail(context, 'must be 32 bytes in base64 or base64url; make one with: openssl rand -base64 32')
  if (decoded.some(key => new Set(key).size < 8))
    return fail(context, 'looks like a placeholder; make one with: openssl rand -base64 32')
  return decoded
})

const listenAddress = z.string().transform((text, context) => {
  if (text.startsWith('unix:')) {
    if (text.length < 6) return fail(context, 'needs a path after unix:')
    return { path: text.slice(5) }
  }
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (!match?.[1] || port > 65_535) return fail(context, 'must be host:port, [::1]:4000 or unix:/path')
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
})

export type ListenAddress = { path: string } | { host: string; port: number }

const databaseUrl = z.string().transform((text, context) => {
  if (text.startsWith('sqlite:') && text.length > 7) return { kind: 'sqlite' as const, path: text.slice(7) }
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return { kind: 'postgres' as const, url: text }
  return fail(context, 'must be sqlite:./path or postgres://user:password@host/database')
})

export type DatabaseUrl = z.output<typeof databaseUrl>

const choice = <const T extends string>(...values: T[]) =>
  z.enum(values, { error: `must be one of: ${values.join(', ')}` })

/**
 * Every setting there is. The environment variable is LINTEL_ and the path in capitals
 * (`tokens.rsaBits` is LINTEL_TOKENS_RSA_BITS, `tokens: { rsa_bits: … }` in the file).
 */
export const settings = {
  issuer: setting(
    issuerUrl.default('http://localhost:4000'),
    'URL',
    'The address people and apps know this server by',
  ),
  listen: setting(
    listenAddress.optional(),
    'host:port | unix:/path',
    'Where to listen; 127.0.0.1 by default',
  ),
  data: setting(
    z.string().min(1).default('./data'),
    'directory',
    'What lies on disk where no other place is set',
  ),
  masterKey: secretSetting(
    masterKeys.optional(),
    '32 bytes, base64',
    'Encrypts the signing keys; several: the first encrypts',
  ),
  trustedProxies: setting(cidrList.default([]), 'CIDR list', 'Peers whose X-Forwarded-For counts'),
  registration: setting(
    choice('off', 'token', 'open').default('off'),
    'off | token | open',
    'Who may use /register',
  ),
  database: {
    url: secretSetting(
      databaseUrl.optional(),
      'sqlite:… | postgres://…',
      'sqlite:<data>/lintel.db by default',
    ),
    poolSize: setting(wholeNumber(1, 100).default(10), 'number', 'PostgreSQL connections of one process'),
  },
  tls: {
    cert: setting(z.string().optional(), 'PEM file', 'Certificate chain; read again on SIGHUP'),
    key: setting(z.string().optional(), 'PEM file', 'Private key of the certificate'),
  },
  smtp: {
    url: secretSetting(
      z
        .string()
        .regex(/^smtps?:\/\//, 'must be smtp:// or smtps://')
        .optional(),
      'smtp://…',
      'Where mail goes',
    ),
  },
  metrics: {
    listen: setting(
      listenAddress.optional(),
      'host:port',
      'A listener of its own for /metrics; off by default',
    ),
  },
  outbound: {
    ca: setting(z.string().optional(), 'PEM file', 'Further authorities for outgoing requests'),
    allow: setting(
      cidrList.default([]),
      'CIDR list',
      'Ranges that outgoing requests may reach besides public ones',
    ),
    ports: setting(list.default([]), 'port list', 'Ports besides 443 that outgoing requests may reach'),
    proxy: setting(z.url().optional(), 'URL', 'A proxy for outgoing requests'),
  },
  tokens: {
    rsaBits: setting(
      z
        .union([z.literal(2048), z.literal(3072), z.enum(['2048', '3072'])], {
          error: 'must be 2048 or 3072',
        })
        .default(2048)
        .transform(Number),
      '2048 | 3072',
      'Size of new RSA signing keys',
    ),
    accessTokenTtl: setting(duration.default(900), 'duration', 'Life of an access token'),
    idTokenTtl: setting(duration.default(3600), 'duration', 'Life of an ID token'),
    codeTtl: setting(duration.default(60), 'duration', 'Life of an authorization code'),
    refreshIdleTtl: setting(
      duration.default(14 * 86_400),
      'duration',
      'A refresh token ends when not used for so long',
    ),
    refreshTtl: setting(
      duration.default(30 * 86_400),
      'duration',
      'The longest life of a refresh token and its successors',
    ),
  },
  keys: {
    algorithms: setting(
      list.default(['RS256', 'ES256']).transform((values, context) => {
        const known = ['RS256', 'ES256', 'PS256', 'EdDSA']
        const odd = values.find(value => !known.includes(value))
        if (odd !== undefined) return fail(context, `"${odd}" is not one of ${known.join(', ')}`)
        if (!values.includes('RS256') || !values.includes('ES256'))
          return fail(context, 'must hold RS256 and ES256')
        return values
      }),
      'list',
      'Algorithms with a signing key: RS256, ES256 and, by choice, PS256 and EdDSA',
    ),
    rotateEvery: setting(
      duration.default(90 * 86_400),
      'duration',
      'A signing key is replaced after so long',
    ),
    announceFor: setting(
      duration.default(14 * 86_400),
      'duration',
      'A new key stands in the JWKS so long before it signs',
    ),
    retainFor: setting(
      duration.default(14 * 86_400),
      'duration',
      'An old key stays in the JWKS so long after it signed',
    ),
  },
  sessions: {
    idleTtl: setting(duration.default(3600), 'duration', 'A session ends when not used for so long'),
    ttl: setting(duration.default(12 * 3600), 'duration', 'A session ends at the latest after so long'),
    rememberTtl: setting(
      duration.default(0),
      'duration',
      '"Stay signed in" lasts so long; 0 does not offer it',
    ),
  },
  passwords: {
    memory: setting(
      wholeNumber(19 * 1024, 4 * 1024 * 1024).default(19 * 1024),
      'KiB',
      'argon2id memory of one hash',
    ),
    passes: setting(wholeNumber(1, 20).default(2), 'number', 'argon2id passes'),
    minLength: setting(wholeNumber(8, 64).default(8), 'number', 'Shortest password; administrators need 15'),
  },
  log: {
    level: setting(
      choice('debug', 'info', 'warn', 'error').default('info'),
      'debug | info | warn | error',
      'What is logged',
    ),
  },
  shutdown: {
    drainDelay: setting(
      duration.default(0),
      'duration',
      'On SIGTERM, answer "not ready" so long before closing',
    ),
    timeout: setting(duration.default(30), 'duration', 'Time for what is in flight to finish'),
  },
}

type Valued<S> = S extends Setting<infer T> ? T : { [K in keyof S]: Valued<S[K]> }
type Values = Valued<typeof settings>

/** What the server runs with: the settings, and what follows from them. */
export type Config = Values & {
  listen: ListenAddress
  database: { url: DatabaseUrl; poolSize: number }
  /** Whether the issuer is on this machine only; everything else is production. */
  loopback: boolean
  /** `''`, or the path of the issuer, such as `/sso`. */
  basePath: string
}

export type SettingEntry = { path: string[]; env: string; file: string; setting: Setting<unknown> }

const snake = (name: string): string => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

const isSetting = (value: object): value is Setting<unknown> => 'schema' in value && 'secret' in value

const walk = (group: object, path: string[]): SettingEntry[] =>
  Object.entries(group).flatMap(([name, value]: [string, object]) => {
    const here = [...path, name]
    if (!isSetting(value)) return walk(value, here)
    const file = here.map(snake).join('.')
    return [{ path: here, file, env: `LINTEL_${file.replaceAll('.', '_').toUpperCase()}`, setting: value }]
  })

/** Every setting as a flat list, in the order they are declared. */
export const settingEntries: readonly SettingEntry[] = walk(settings, [])

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

const suggestion = (wrong: string, known: string[]): string => {
  const best = known
    .map(name => ({ name, distance: editDistance(wrong, name) }))
    .sort((one, other) => one.distance - other.distance)[0]
  return best && best.distance <= Math.max(2, wrong.length / 4) ? ` Did you mean ${best.name}?` : ''
}

/** How many single-character edits lead from one text to the other. */
export const editDistance = (one: string, other: string): number => {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const change = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const flattenFile = (value: unknown, path: string): [string, unknown][] =>
  isRecord(value)
    ? Object.entries(value).flatMap(([name, inner]) =>
        flattenFile(inner, path === '' ? name : `${path}.${name}`),
      )
    : [[path, value]]

const fromFile = (path: string): Map<string, unknown> => {
  let document: unknown
  try {
    document = parseYaml(readFileOrFail(path, 'LINTEL_CONFIG'))
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    throw new ConfigError(`${path}: not valid YAML: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    })
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

/** A list of addresses and CIDR ranges, ready to be asked. */
export const addressList = (cidrs: readonly string[]): BlockList => {
  const addresses = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) addresses.addAddress(address, family)
    else addresses.addSubnet(address, Number(bits), family)
  }
  return addresses
}
