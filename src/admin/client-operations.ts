/** What can be done to clients, for the command line, pages and the API alike. */
import { Refusal } from '../http/refusal.ts'
import { findUser } from '../identity/user.ts'
import type { Client } from '../oauth/client/client.ts'
import * as clients from '../oauth/client/client.ts'
import { type ClientMetadata, metadataNames, parseClientMetadata } from '../oauth/client/client-metadata.ts'
import { redirectUriWarning } from '../oauth/client/redirect-uri.ts'
import { newClientSecret, rotateClientSecret } from '../oauth/client/secrets-of-clients.ts'
import { offeredBy } from '../oauth/offered.ts'
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { type Actor, actorOf, differenceOf, toldOf } from './actor.ts'
import { isJsonObject, type JsonObject, mergePatch } from './merge-patch.ts'
import { didYouMean, quoted } from './near-miss.ts'

type Needs = Pick<Services, 'store' | 'now' | 'audit' | 'keys' | 'resources' | 'clients'>

/** A client, its secret when one was made or brought now, and what is allowed and yet not good. */
export type ClientOutcome = { client: Client; secret?: string | undefined; warnings: string[] }

/**
 * The client of that id.
 *
 * @throws Refusal `not_found` 404
 */
export const requireClient = async ({ store }: Pick<Services, 'store'>, id: string): Promise<Client> => {
  const client = await clients.readClient(store, id)
  if (client) return client
  const known = await clients.listClients(store)
  const named = known.filter(one => one.name === id).map(one => one.id)
  const near =
    named.length > 0
      ? ` Clients of that name: ${named.join(', ')}`
      : didYouMean(
          id,
          known.map(one => one.id),
        )
  throw new Refusal('not_found', `there is no client ${quoted(id)}.${near}`, 404)
}

/** What our answers hold besides metadata: it may come back with an update, and says nothing. */
const answeredNames = [
  'client_id_issued_at',
  'client_secret_expires_at',
  'secrets',
  'disabled_at',
  'registered_itself',
]

const unknownNameWarnings = (metadata: JsonObject): string[] =>
  Object.keys(metadata)
    .filter(name => !metadataNames.operator.includes(name) && !answeredNames.includes(name))
    .map(name => `${quoted(name)} is not known and was ignored.${didYouMean(name, metadataNames.operator)}`)

const warningsOf = (metadata: ClientMetadata, { resources }: Pick<Services, 'resources'>): string[] => [
  ...[...(metadata.redirect_uris ?? []), ...(metadata.post_logout_redirect_uris ?? [])].flatMap(
    uri => redirectUriWarning(uri) ?? [],
  ),
  ...(metadata.resource_server_for ?? [])
    .filter(identifier => resources.find(identifier) === undefined)
    .map(identifier => `resource_server_for: there is no resource ${quoted(identifier)} yet`),
]

/** Client ids that may be chosen; a made one has the same form. */
const idForm = /^[A-Za-z0-9._:-]{1,200}$/

/**
 * A chosen id must not look like another kind of name: a URL would be taken for a metadata document, and the sub of
 * a user would make the client's own tokens pass for the user's (RFC 9700 section 4.15).
 */
const checkId = async ({ store }: Pick<Services, 'store'>, id: unknown): Promise<string> => {
  const refuse = (why: string): Refusal => new Refusal('invalid_client_metadata', `client_id ${why}`)
  if (typeof id !== 'string' || !idForm.test(id)) throw refuse('must be 1 to 200 letters, digits or . _ : -')
  const user = await findUser(store, id)
  if (user && (user.sub === id || user.id === id)) throw refuse('is what a user is known by; choose another')
  if (await clients.readClient(store, id))
    throw new Refusal('client_id_taken', `there is a client ${quoted(id)} already`, 409)
  return id
}

/** Guessing must be hopeless, for a secret is compared without a slow hash. */
const checkSecret = (secret: unknown): string => {
  const refuse = (why: string): Refusal => new Refusal('invalid_client_metadata', `client_secret ${why}`)
  if (typeof secret !== 'string') throw refuse('must be a text')
  if (Buffer.byteLength(secret) < 32)
    throw refuse('must have at least 32 bytes (256 bits); leave it out to have one made')
  if (!/^[\x21-\x7e]{1,500}$/.test(secret)) throw refuse('must be at most 500 visible ASCII characters')
  return secret
}

const requireObject = (value: unknown): JsonObject => {
  if (!isJsonObject(value)) throw new Refusal('invalid_client_metadata', 'the metadata must be a JSON object')
  return value
}

/** Commits, and what is kept in memory follows at once. */
const commitOrConflict = async (
  services: Pick<Services, 'store' | 'clients'>,
  writes: Write[],
): Promise<void> => {
  try {
    await services.store.commit(writes)
    services.clients.forget()
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    throw new Refusal('conflict', 'the client was made, changed or deleted meanwhile; try again', 409, {
      cause: error,
    })
  }
}

/** Tells the audit of metadata that was refused: somebody may be trying what must not be (SEC-008). */
const auditingRejection = async <T>(
  { audit }: Pick<Services, 'audit'>,
  actor: Actor,
  clientId: string | undefined,
  run: () => Promise<T>,
): Promise<T> => {
  try {
    return await run()
  } catch (error) {
    if (error instanceof Refusal && error.status === 400) {
      const { visit, by } = actorOf(actor)
      const detail = { by, description: error.description }
      await audit.record({ event: 'client.rejected', visit, clientId, reason: error.error, detail })
    }
    throw error
  }
}

/**
 * Registers a client by its metadata (RFC 7591 section 2), among which `client_id` and `client_secret` may be chosen.
 *
 * @throws Refusal `invalid_client_metadata`, `invalid_redirect_uri` or `client_id_taken`
 */
export const createClient = (services: Needs, metadata: unknown, actor: Actor): Promise<ClientOutcome> =>
  auditingRejection(services, actor, undefined, () => create(services, metadata, actor))

const create = async (services: Needs, metadata: unknown, actor: Actor): Promise<ClientOutcome> => {
  const { client_id, client_secret, ...rest } = requireObject(metadata)
  const parsed = parseClientMetadata(rest, 'operator', offeredBy(services))
  const id = client_id === undefined ? undefined : await checkId(services, client_id)
  const brought = client_secret === undefined ? undefined : checkSecret(client_secret)
  if (brought !== undefined && !clients.needsSecret(parsed))
    throw new Refusal(
      'invalid_client_metadata',
      `client_secret: a client with token_endpoint_auth_method ${parsed.token_endpoint_auth_method} has none`,
    )
  const now = services.now()
  const made = clients.newClient(parsed, { id, now, secret: brought })
  await commitOrConflict(services, [
    ...made.writes,
    ...toldOf(services, actor, {
      event: 'client.created',
      clientId: made.id,
      detail: { name: parsed.client_name },
    }),
  ])
  return {
    client: await requireClient(services, made.id),
    secret: made.secret,
    warnings: [...unknownNameWarnings(rest), ...warningsOf(parsed, services)],
  }
}

/** A client's metadata as it was registered, the profile included. */
export const metadataOf = ({ metadata, profile }: Client): ClientMetadata => ({ ...metadata, profile })

/**
 * Changes a client by a JSON merge patch of its metadata. A client that now needs a secret and has none gets one.
 *
 * @throws Refusal
 */
export const updateClient = (services: Needs, change: ClientChange, actor: Actor): Promise<ClientOutcome> =>
  auditingRejection(services, actor, change.id, () => update(services, change, actor))

export type ClientChange = { id: string; patch: unknown }

const update = async (services: Needs, { id, patch }: ClientChange, actor: Actor): Promise<ClientOutcome> => {
  const client = await requireClient(services, id)
  const { client_id, client_secret, ...changes } = requireObject(patch)
  if (client_id !== undefined && client_id !== client.id)
    throw new Refusal('invalid_client_metadata', 'client_id cannot be changed; make another client')
  if (client_secret !== undefined)
    throw new Refusal('invalid_client_metadata', 'client_secret cannot be set here; use rotate-secret')
  const next = parseClientMetadata(mergePatch(metadataOf(client), changes), 'operator', offeredBy(services))
  const now = services.now()
  const made =
    clients.needsSecret(next) && client.secrets.length === 0 ? newClientSecret(client.id, now) : undefined
  const difference = differenceOf(metadataOf(client), next)
  await commitOrConflict(services, [
    ...clients.updateClient(client, next, now),
    ...(made ? [made.write] : []),
    ...toldOf(services, actor, {
      event: 'client.updated',
      clientId: client.id,
      detail: { changed: Object.keys(difference.after), ...difference },
    }),
  ])
  return {
    client: await requireClient(services, client.id),
    secret: made?.secret,
    warnings: [...unknownNameWarnings(changes), ...warningsOf(next, services)],
  }
}

/**
 * Gives a client another secret.
 *
 * @param oldEndsIn seconds that the present ones still count
 * @throws Refusal when the client authenticates without one
 */
export const rotateSecret = async (
  services: Needs,
  { id, oldEndsIn }: { id: string; oldEndsIn: number },
  actor: Actor,
): Promise<ClientOutcome> => {
  const client = await requireClient(services, id)
  if (!clients.needsSecret(client.metadata))
    throw new Refusal(
      'no_secret',
      `${quoted(client.id)} has no secret: its token_endpoint_auth_method is ${client.metadata.token_endpoint_auth_method}`,
    )
  const made = rotateClientSecret(client.id, services.now(), oldEndsIn)
  await commitOrConflict(services, [
    ...made.writes,
    ...toldOf(services, actor, {
      event: 'client.updated',
      clientId: client.id,
      reason: 'secret_rotated',
      detail: { old_ends_in: oldEndsIn },
    }),
  ])
  return { client: await requireClient(services, client.id), secret: made.secret, warnings: [] }
}

/** Deletes a client: its tokens are honoured no more. */
export const deleteClient = async (services: Needs, id: string, actor: Actor): Promise<Client> => {
  const client = await requireClient(services, id)
  await commitOrConflict(services, [
    ...clients.deleteClient(client.id),
    ...toldOf(services, actor, {
      event: 'client.deleted',
      clientId: client.id,
      detail: { name: client.metadata.client_name },
    }),
  ])
  return client
}
