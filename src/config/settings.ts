/** The table of settings. */
import { z } from 'zod'
import { registrationSettings } from './registration-settings.ts'
import { type Setting, secretSetting, setting } from './setting.ts'
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

/**
 * Every setting there is. The environment variable is LINTEL_ and the path in capitals
 * (`tokens.rsaBits` is LINTEL_TOKENS_RSA_BITS, `tokens: { rsa_bits: … }` in the file).
 */
export const settings = {
  issuer: setting(
    issuerUrl.default('http://localhost:4000'),
    'URL',
    'The address people and apps know this server by, byte for byte as tokens and discovery say it. https, unless it is this machine; a path is allowed, a slash at the end is not',
    'https://id.example.com',
  ),
  listen: setting(
    listenAddress.optional(),
    'host:port | unix:/path',
    'Where to listen. By default 127.0.0.1 and the port of a loopback issuer, otherwise port 4000',
    'unix:/run/lintel/lintel.sock',
  ),
  data: setting(
    z.string().min(1).default('./data'),
    'directory',
    'Where `lintel.db` and, on a loopback issuer, `master.key` lie when no other place is set',
    '/var/lib/lintel',
  ),
  masterKey: secretSetting(
    masterKeys.optional(),
    '32 bytes, base64',
    'Encrypts the signing keys and other secrets in the database. Required when the issuer is not loopback. Several, with commas: the first encrypts, all decrypt',
    '/etc/lintel/master.key',
  ),
  trustedProxies: setting(
    cidrList.default([]),
    'CIDR list',
    'Proxies whose X-Forwarded-For counts; from anybody else it is ignored. A unix socket needs none',
    '10.0.0.0/8,2001:db8::1',
  ),
  ...registrationSettings,
  database: {
    url: secretSetting(
      databaseUrl.optional(),
      'sqlite:… | postgres://…',
      'Where the data is. By default `lintel.db` in the directory LINTEL_DATA',
      'postgres://lintel:password@db.example.com/lintel',
    ),
    poolSize: setting(
      wholeNumber(1, 100).default(10),
      'number',
      'Connections to PostgreSQL of one process, at most',
      '20',
    ),
  },
  tls: {
    cert: setting(
      z.string().optional(),
      'PEM file',
      'Certificate chain, to end https without a proxy; read again on SIGHUP',
      '/etc/lintel/fullchain.pem',
    ),
    key: setting(
      z.string().optional(),
      'PEM file',
      'Private key of that certificate, without a passphrase',
      '/etc/lintel/privkey.pem',
    ),
  },
  smtp: {
    url: secretSetting(
      z
        .string()
        .regex(/^smtps?:\/\//, 'must be smtp:// or smtps://')
        .optional(),
      'smtp://…',
      'The server that mail will go to; nothing is sent by mail yet',
      'smtps://lintel:password@mail.example.com',
    ),
  },
  metrics: {
    listen: setting(
      listenAddress.optional(),
      'host:port',
      'A listener of its own for /metrics, without TLS and without a password; off by default',
      '127.0.0.1:9464',
    ),
  },
  outbound: {
    ca: setting(
      z.string().optional(),
      'PEM file',
      'Further authorities that outgoing requests trust',
      '/etc/lintel/ca.pem',
    ),
    allow: setting(
      cidrList.default([]),
      'CIDR list',
      'Ranges that outgoing requests may reach besides public ones',
      '10.20.0.0/16',
    ),
    ports: setting(
      list.default([]),
      'port list',
      'Ports besides 443 that addresses named by registered clients may have',
      '8443',
    ),
    proxy: setting(
      z.url().optional(),
      'URL',
      'A proxy that outgoing https goes through',
      'http://proxy.example.com:3128',
    ),
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
      '3072',
    ),
    accessTokenTtl: setting(
      durationUpTo('24h').default(900),
      'duration',
      'Life of an access token, a day at most. An API may have its own',
      '10m',
    ),
    idTokenTtl: setting(duration.default(3600), 'duration', 'Life of an ID token', '30m'),
    codeTtl: setting(
      duration.default(60),
      'duration',
      'Life of an authorization code, which is used once',
      '30s',
    ),
    refreshIdleTtl: setting(
      duration.default(14 * 86_400),
      'duration',
      'A refresh token ends when not used for so long',
      '7d',
    ),
    refreshTtl: setting(
      duration.default(30 * 86_400),
      'duration',
      'The longest life of a refresh token and its successors',
      '90d',
    ),
  },
  keys: {
    algorithms: setting(
      signingAlgorithmList.default(['RS256', 'ES256']),
      'list',
      'Algorithms with a signing key: RS256, ES256 and, by choice, PS256 and EdDSA',
      'RS256,ES256,EdDSA',
    ),
    rotateEvery: setting(
      duration.default(90 * 86_400),
      'duration',
      'A signing key is replaced after so long',
      '30d',
    ),
    announceFor: setting(
      duration.default(14 * 86_400),
      'duration',
      'A new key stands in the JWKS so long before it signs; two hours at least',
      '7d',
    ),
    retainFor: setting(
      duration.default(14 * 86_400),
      'duration',
      'An old key stays in the JWKS so long after it signed',
      '7d',
    ),
  },
  sessions: {
    idleTtl: setting(duration.default(3600), 'duration', 'A session ends when not used for so long', '30m'),
    ttl: setting(
      duration.default(12 * 3600),
      'duration',
      'A session ends at the latest after so long',
      '10h',
    ),
    rememberTtl: setting(
      duration.default(0),
      'duration',
      '"Stay signed in" lasts so long; 0 does not offer it',
      '30d',
    ),
  },
  passwords: {
    memory: setting(
      wholeNumber(19 * 1024, 4 * 1024 * 1024).default(19 * 1024),
      'KiB',
      'argon2id memory of one hash (`lintel config tune-passwords` suggests)',
      '65536',
    ),
    passes: setting(wholeNumber(1, 20).default(2), 'number', 'argon2id passes', '3'),
    minLength: setting(
      wholeNumber(8, 64).default(8),
      'number',
      'Shortest password; administrators need 15',
      '12',
    ),
  },
  log: {
    level: setting(
      choice('debug', 'info', 'warn', 'error').default('info'),
      'debug | info | warn | error',
      'What is logged',
      'warn',
    ),
  },
  shutdown: {
    drainDelay: setting(
      duration.default(0),
      'duration',
      'On SIGTERM, answer "not ready" so long before closing, so that a load balancer notices',
      '5s',
    ),
    timeout: setting(duration.default(30), 'duration', 'Time for what is in flight to finish', '20s'),
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
