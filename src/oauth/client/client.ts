/** Clients: the only writer of `client` and `client_secret`, and their copy in memory. */
import type { Knex } from 'knex'
import type { Trust } from '../../http/outbound-addresses.ts'
import { changed } from '../../store/change.ts'
import { type Write, write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { seconds } from '../../store/single-use.ts'
import { insertion, statement } from '../../store/statement.ts'
import { newTextKey } from '../../store/text-key.ts'
import { type ClientMetadata, isNative } from './client-metadata.ts'
import { type Policy, type ProfileName, policyOf } from './profile.ts'
import { deleteRegistration, deleteUnusedRegistration } from './registration.ts'
import { type ClientSecret, deleteSecrets, newClientSecret, secretsOf } from './secrets-of-clients.ts'

/** A client as code sees it: worked out once, when it is loaded, and never changed. */
export type Client = {
  id: string
  /** As registered, by its registered names. */
  metadata: ClientMetadata
  name: string
  redirectUris: readonly string[]
  postLogoutRedirectUris: readonly string[]
  /** It has no way to authenticate. */
  isPublic: boolean
  isNative: boolean
  isFirstParty: boolean
  grantTypes: ReadonlySet<string>
  /** The scopes it may have; undefined: every OpenID scope and no other. */
  scope: ReadonlySet<string> | undefined
  /** Origins that may read answers meant for it. */
  origins: ReadonlySet<string>
  policy: Policy
  profile: ProfileName
  secrets: readonly ClientSecret[]
  /** It registered itself (RFC 7591): nobody who runs the server wrote its metadata. */
  registration: { usedAt: number | null } | undefined
  disabledAt: number | null
  createdAt: number
  updatedAt: number
  /** How often it was changed: a change repeats the one it rests on. */
  version: number
}

type Row = {
  id: string
  metadata: string
  profile: string
  disabledAt: number | null
  createdAt: number
  updatedAt: number
  version: number
  registeredAt: number | null
  usedAt: number | null
}

const columns = {
  id: 'client.id',
  metadata: 'client.metadata',
  profile: 'client.profile',
  disabledAt: 'client.disabled_at',
  createdAt: 'client.created_at',
  updatedAt: 'client.updated_at',
  version: 'client.version',
  registeredAt: 'registration.created_at',
  usedAt: 'registration.used_at',
} as const

const withRegistration = (knex: Knex) =>
  knex('client').leftJoin('registration', 'registration.client_id', 'client.id').select(columns)

const reading = statement<{ id: string }, Row>('client.read', (knex, { id }) =>
  withRegistration(knex).where('client.id', id),
)
const originOf = (uri: string): string[] => (/^https?:/i.test(uri) ? [new URL(uri).origin] : [])

const fromRow = (row: Row, secrets: ClientSecret[]): Client => {
  const metadata = JSON.parse(row.metadata) as ClientMetadata
  const isPublic = metadata.token_endpoint_auth_method === 'none'
  const profile = row.profile as ProfileName
  return Object.freeze({
    id: row.id,
    metadata,
    name: metadata.client_name ?? row.id,
    redirectUris: metadata.redirect_uris ?? [],
    postLogoutRedirectUris: metadata.post_logout_redirect_uris ?? [],
    isPublic,
    isNative: isNative(metadata),
    isFirstParty: metadata.first_party ?? false,
    grantTypes: new Set(metadata.grant_types ?? ['authorization_code']),
    scope: metadata.scope === undefined ? undefined : new Set(metadata.scope.split(' ')),
    origins: new Set([
      ...(metadata.redirect_uris ?? []).flatMap(originOf),
      ...(metadata.allowed_origins ?? []),
    ]),
    policy: policyOf(profile, metadata, isPublic),
    profile,
    secrets,
    registration: row.registeredAt === null ? undefined : { usedAt: row.usedAt },
    disabledAt: row.disabledAt,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
    version: row.version,
  })
}

/** How far addresses may reach that its metadata names. */
export const trustIn = ({ registration }: Client): Trust => (registration ? 'dynamic' : 'operator')

/** Reads a client past the cache: for commands and pages that change it. */
export const readClient = async (store: Store, id: string): Promise<Client | undefined> => {
  const row = await store.one(reading, { id })
  return row && fromRow(row, await secretsOf(store, id))
}

export type ClientDirectory = {
  /** The client, disabled ones included; from memory where it was read before. */
  find: (id: string) => Promise<Client | undefined>
  /** Forgets all: they are read again when asked for. */
  forget: () => void
}

/** How many clients stay in memory. */
const mostRemembered = 10_000

/** The clients in memory. Reads that were under way when something changed are not remembered. */
export const makeClientDirectory = (store: Store): ClientDirectory => {
  const remembered = new Map<string, Client>()
  let generation = 0
  return {
    find: async id => {
      const found = remembered.get(id)
      if (found) return found
      const startedIn = generation
      const client = await readClient(store, id)
      if (client && startedIn === generation) {
        if (remembered.size >= mostRemembered) remembered.clear()
        remembered.set(id, client)
      }
      return client
    },
    forget: () => {
      generation += 1
      remembered.clear()
    },
  }
}

const inserting = insertion<{
  id: string
  metadata: string
  profile: string
  created_at: number
  updated_at: number
}>('client', ['id', 'metadata', 'profile', 'created_at', 'updated_at'])
/** What is kept of metadata: the profile has a column, the rest is as registered. */
const stored = (metadata: ClientMetadata): { metadata: string; profile: string } => {
  const { profile = 'oauth21', ...rest } = metadata
  return { metadata: JSON.stringify(rest), profile }
}

/** Whether it authenticates with a secret. */
export const needsSecret = (metadata: ClientMetadata): boolean =>
  !['none', 'private_key_jwt'].includes(metadata.token_endpoint_auth_method ?? '')

/** A client to be, and the writes that make it; refused when the id is taken. */
export const newClient = (
  metadata: ClientMetadata,
  { id, now, secret }: { id?: string | undefined; now: Date; secret?: string | undefined },
): { id: string; secret?: string; writes: Write[] } => {
  const clientId = id ?? newTextKey(now)
  const made = needsSecret(metadata) ? newClientSecret(clientId, now, secret) : undefined
  return {
    id: clientId,
    ...(made ? { secret: made.secret } : {}),
    writes: [
      write(inserting, {
        id: clientId,
        ...stored(metadata),
        created_at: seconds(now),
        updated_at: seconds(now),
      }),
      ...(made ? [made.write] : []),
      changed('client'),
    ],
  }
}

const updating = statement<{
  id: string
  metadata: string
  profile: string
  now: number
  seen: number
  version: number
}>('client.update', (knex, { id, metadata, profile, now, seen, version }) =>
  knex('client').where({ id, version: seen }).update({ metadata, profile, updated_at: now, version }),
)
const deleting = statement<{ id: string }>('client.delete', (knex, { id }) =>
  knex('client').where({ id }).delete(),
)
/** The writes that replace a client's metadata; refused when somebody else changed it since it was read. */
export const updateClient = (
  { id, version }: Pick<Client, 'id' | 'version'>,
  metadata: ClientMetadata,
  now: Date,
): Write[] => [
  write(updating, { id, ...stored(metadata), now: seconds(now), seen: version, version: version + 1 }),
  changed('client'),
]

/** The writes that delete a client. Its authorizations end with it: nothing is accepted of a client that is not there. */
export const deleteClient = (id: string): Write[] => [
  write(deleting, { id }),
  deleteSecrets(id),
  deleteRegistration(id),
  changed('client'),
]

/** The same for one that registered itself and was never used; refused when somebody used it meanwhile. */
export const deleteUnusedClient = (id: string): Write[] => [
  deleteUnusedRegistration(id),
  write(deleting, { id }),
  deleteSecrets(id),
  changed('client'),
]

/** Clients in order of their id, for lists. */
export const listClients = async (
  store: Store,
  { search = '', after = '', limit = 1000 }: { search?: string; after?: string; limit?: number } = {},
): Promise<Client[]> => {
  const rows = await store.search<Row>(knex => {
    const query = withRegistration(knex).where('client.id', '>', after).orderBy('client.id').limit(limit)
    const wanted = search.trim().toLowerCase()
    // strpos and instr: % and _ are letters like others.
    if (wanted !== '')
      query.whereRaw(
        store.kind === 'sqlite'
          ? 'instr(lower(client.metadata || client.id), ?) > 0'
          : 'strpos(lower(client.metadata || client.id), ?) > 0',
        [wanted],
      )
    return query
  })
  return rows.map(row => fromRow(row, []))
}

/** The clients that registered this post-logout redirect URI; at most two, for one is all that may be trusted. */
export const clientsWithPostLogoutUri = async (store: Store, uri: string): Promise<Client[]> => {
  const found = await listClients(store, { search: JSON.stringify(uri), limit: 50 })
  return found
    .filter(client => client.disabledAt === null && client.postLogoutRedirectUris.includes(uri))
    .slice(0, 2)
}
