/** `lintel client`: the apps that people sign in to, by their metadata (RFC 7591). */
import type { Command, CommanderError } from 'commander'
import {
  type ClientOutcome,
  createClient,
  deleteClient,
  metadataOf,
  requireClient,
  rotateSecret,
  updateClient,
} from '../admin/client-operations.ts'
import { didYouMean, quoted } from '../admin/near-miss.ts'
import { findRecipe, recipes, renderRecipe } from '../admin/recipes/client-recipes.ts'
import { type Client, listClients } from '../oauth/client/client.ts'
import type { Describe } from './command.ts'
import { usageError } from './failure.ts'
import { named, onServices, operator } from './on-services.ts'
import { parseGivenDuration, parseGivenJson } from './option-values.ts'
import { describeInitialAccessToken, replaceToken } from './registration-commands.ts'
import type { Answer, Terminal } from './terminal.ts'
import { date, record, table } from './words.ts'

/** The metadata under its registered names, with what an answer to a registration adds (RFC 7591 section 3.2.1). */
const clientView = (client: Client, secret?: string) => ({
  client_id: client.id,
  ...(secret === undefined ? {} : { client_secret: secret }),
  client_id_issued_at: client.createdAt,
  ...(secret === undefined ? {} : { client_secret_expires_at: 0 }),
  ...metadataOf(client),
})

const shownView = (client: Client) => ({
  ...clientView(client),
  disabled_at: client.disabledAt,
  registered_itself: client.registration !== undefined,
  secrets: client.secrets.map(secret => ({
    id: secret.id,
    created_at: secret.createdAt,
    expires_at: secret.expiresAt,
    last_used_at: secret.lastUsedAt,
  })),
})

/** A list as it is, any other object as JSON. */
const cell = (value: unknown): string | null =>
  value === null || value === undefined
    ? null
    : Array.isArray(value) && value.every(one => typeof one === 'string')
      ? value.join(' ')
      : typeof value === 'object'
        ? JSON.stringify(value)
        : String(value)

const inWords = (view: Record<string, unknown>): string =>
  record(Object.fromEntries(Object.entries(view).map(([name, value]) => [name, cell(value)])))

const told = (terminal: Terminal, { client, secret, warnings }: ClientOutcome): Answer => {
  for (const warning of warnings) terminal.say(`warning: ${warning}`)
  const view = clientView(client, secret)
  const words = inWords({
    ...view,
    client_id_issued_at: date(client.createdAt),
    client_secret_expires_at: null,
  })
  const once = secret === undefined ? '' : '\n\nThe secret is shown this once.'
  return { value: view, text: words + once }
}

const metadataOption = [
  '--json-metadata <json>',
  'the metadata, or - to read it from standard input',
] as const

const readMetadata = async (command: Command, terminal: Terminal): Promise<unknown> => {
  const { jsonMetadata } = command.opts<{ jsonMetadata: string }>()
  return parseGivenJson('--json-metadata', jsonMetadata === '-' ? await terminal.readInput() : jsonMetadata)
}

export const clientCommand: Describe = (client, terminal) => {
  const create = client
    .command('create')
    .description('register a client')
    .requiredOption(...metadataOption)
    .addHelpText(
      'after',
      `
Example: lintel client create --json-metadata '{"client_name":"Notes","redirect_uris":["https://notes.example/cb"]}'
Beside the members of RFC 7591 it may hold client_id, client_secret, first_party, profile, resource_server_for,
require_pkce, backchannel_logout_on_idle, allowed_origins and scope_claims_in_id_token.`,
    )
  onServices(create, terminal, async ({ services }) =>
    told(terminal, await createClient(services, await readMetadata(create, terminal), operator)),
  )
  describeList(client.command('list'), terminal)
  describeShow(client.command('show <client-id>'), terminal)
  const update = client
    .command('update <client-id>')
    .description('change a client by a JSON merge patch (RFC 7396): null takes a member away')
    .requiredOption(...metadataOption)
    .addHelpText('after', `\nExample: lintel client update notes --json-metadata '{"policy_uri":null}'`)
  onServices(update, terminal, async at =>
    told(
      terminal,
      await updateClient(
        at.services,
        { id: named(at), patch: await readMetadata(update, terminal) },
        operator,
      ),
    ),
  )
  describeRotate(client.command('rotate-secret <client-id>'), terminal)
  const remove = client.command('delete <client-id>').description('delete a client; its tokens end with it')
  onServices(remove, terminal, async at => {
    const gone = await deleteClient(at.services, named(at), operator)
    return { value: { client_id: gone.id, deleted: true }, text: `deleted ${gone.id}` }
  })
  describeInitialAccessToken(client.command('initial-access-token'), terminal)
}

const describeShow = (command: Command, terminal: Terminal): void => {
  command
    .description('show a client and when its secrets were used, or settings for its app')
    .option('--for <framework>', 'settings to paste instead')
    .addHelpText('after', `\nSettings there are for: ${recipes.map(recipe => recipe.id).join(', ')}`)
  onServices(command, terminal, async at => {
    const { for: wanted } = command.opts<{ for?: string }>()
    const recipe = wanted === undefined ? undefined : findRecipe(wanted.toLowerCase())
    if (wanted !== undefined && recipe === undefined) throw unknownFramework(wanted)
    const shown = await requireClient(at.services, named(at))
    if (recipe) {
      const settings = renderRecipe(at.services.issuer, shown, recipe)
      return { value: settings, text: settings.text }
    }
    const view = shownView(shown)
    return { value: view, text: inWords({ ...view, client_id_issued_at: date(view.client_id_issued_at) }) }
  })
}

const unknownFramework = (wanted: string): CommanderError => {
  const known = recipes.map(recipe => recipe.id)
  return usageError(
    `--for: there are no settings for ${quoted(wanted)}.${didYouMean(wanted, known)} There are for: ${known.join(', ')}`,
  )
}

const describeList = (command: Command, terminal: Terminal): void => {
  command.description('list clients').option('--search <text>', 'only those whose metadata or id holds it')
  onServices(command, terminal, async ({ services }) => {
    const { search = '' } = command.opts<{ search?: string }>()
    const found: Client[] = []
    for (let full = true; full; ) {
      const page = await listClients(services.store, { search, after: found.at(-1)?.id ?? '', limit: 1000 })
      found.push(...page)
      full = page.length === 1000
    }
    return {
      value: found.map(client => clientView(client)),
      text: table(
        ['client id', 'name', 'authentication', 'profile', 'redirect uris'],
        found.map(client => [
          client.id,
          client.metadata.client_name,
          client.isPublic ? 'none (public)' : (client.metadata.token_endpoint_auth_method ?? 'secret'),
          client.profile,
          client.redirectUris,
        ]),
        'there are no clients',
      ),
    }
  })
}

const describeRotate = (command: Command, terminal: Terminal): void => {
  command
    .description('add a secret; the old ones end later, so that the app can be changed meanwhile')
    .option('--expire-old <when>', 'now, or after a duration such as 24h', '24h')
    .option('--registration-token', 'another token to manage itself with, of a client that registered itself')
  onServices(command, terminal, async at => {
    const { expireOld, registrationToken } = command.opts<{ expireOld: string; registrationToken?: true }>()
    if (registrationToken) return replaceToken(at, named(at))
    const oldEndsIn = parseGivenDuration('--expire-old', expireOld)
    return told(terminal, await rotateSecret(at.services, { id: named(at), oldEndsIn }, operator))
  })
}
