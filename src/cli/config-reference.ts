/** The reference of the settings as Markdown: docs/configuration.md is made by it. */
import { type SettingEntry, settingEntries } from '../config/settings.ts'

const head = `# Settings

<!-- Made by \`lintel config schema --markdown > docs/configuration.md\`: change src/config/settings.ts instead. -->

Flags win over the environment, the environment over the file, the file over the defaults. With nothing set, Lintel
serves \`http://localhost:4000\` for trying. Anywhere else three settings make a start: \`LINTEL_ISSUER\`,
\`LINTEL_MASTER_KEY_FILE\` and, behind a proxy, \`LINTEL_TRUSTED_PROXIES\`.

- **Environment**: the names below. A secret (marked *secret*) has a second name that ends in \`_FILE\` and names a file
  that holds it, as container engines and systemd credentials hand it over; setting both is refused.
- **File**: \`LINTEL_CONFIG\` (or \`--config\`) names a YAML file. \`LINTEL_TOKENS_RSA_BITS\` is \`rsa_bits\` under \`tokens\`
  there; \`lintel config schema > lintel.schema.json\` lets an editor complete and check it.
- **Flags**: \`--tokens-rsa-bits 3072\`. Secrets are named by their file (\`--master-key-file\`).
- A name that does not exist, or a value that does not fit, stops the start and says which.
  \`lintel config check\` says so before, \`lintel config print\` shows what counts, secrets left out.
- Durations are seconds, or \`90s\`, \`15m\`, \`12h\`, \`30d\`. Lists are separated by commas, or are lists in the file.
`

const titles: Record<string, string> = {
  '': 'The server',
  database: 'Database',
  tls: 'TLS without a proxy',
  smtp: 'Mail',
  metrics: 'Metrics',
  outbound: 'Outgoing requests',
  tokens: 'Tokens',
  keys: 'Signing keys',
  sessions: 'Sessions',
  passwords: 'Passwords',
  log: 'Log',
  shutdown: 'Shutdown',
}

const units: [number, string][] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'm'],
]

const durationText = (seconds: number): string => {
  const [size, unit] = units.find(([one]) => seconds > 0 && seconds % one === 0) ?? [
    1,
    seconds === 0 ? '' : 's',
  ]
  return `${seconds / size}${unit}`
}

const defaultOf = ({ setting }: SettingEntry): string => {
  const { data: value } = setting.schema.safeParse(undefined)
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return '–'
  if (typeof value === 'number' && setting.form === 'duration') return code(durationText(value))
  return code(String(value))
}

const code = (text: string): string => `\`${text}\``

/** A secret whose example is a path is best handed over as a file. */
const exampleOf = ({ env, setting: { secret, example } }: SettingEntry): string =>
  code(`${env}${secret && example.startsWith('/') ? '_FILE' : ''}=${example}`)

const row = (entry: SettingEntry): string => {
  const { form, about, secret } = entry.setting
  const cells = [
    `${code(entry.env)}<br>${code(entry.file)}${secret ? '<br>*secret*' : ''}`,
    form.replaceAll('|', 'or'),
    defaultOf(entry),
    `${about}.<br>${exampleOf(entry)}`,
  ]
  return `| ${cells.join(' | ')} |`
}

const sectionOf = ({ file }: SettingEntry): string => (file.includes('.') ? (file.split('.')[0] ?? '') : '')

/** The whole page. */
export const configReference = (): string => {
  const sections = [...new Set(settingEntries.map(sectionOf))]
  return [
    head,
    ...sections.map(name =>
      [
        `## ${titles[name] ?? name}\n`,
        '| Environment, in the file | Form | Default | What it does, for example |',
        '|---|---|---|---|',
        ...settingEntries.filter(entry => sectionOf(entry) === name).map(row),
        '',
      ].join('\n'),
    ),
  ].join('\n')
}
