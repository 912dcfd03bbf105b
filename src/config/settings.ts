/** The table of settings. */
import { z } from 'zod'
import {
  choice,
  cidrList,
  databaseUrl,
  duration,
  durationUpTo,
  issuerUrl,
  list,
  listenAddress,
  masterKeys,
  signingAlgorithmList,
  wholeNumber,
} from './setting-forms.ts'

export type Setting<T> = { schema: z.ZodType<T>; about: string; secret: boolean; form: string }

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
    accessTokenTtl: setting(
      durationUpTo('24h').default(900),
      'duration',
      'Life of an access token, a day at most',
    ),
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
      signingAlgorithmList.default(['RS256', 'ES256']),
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
/** What a configuration holds, by the names of the code. */
export type Values = Valued<typeof settings>

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
