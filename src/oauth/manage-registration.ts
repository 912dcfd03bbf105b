/** GET, PUT and DELETE /register/:id (RFC 7592): a client that registered itself looks after itself. */
import type { Context } from 'koa'
import { Refusal } from '../http/refusal.ts'
import type { Route } from '../http/route.ts'
import { visitOf } from '../http/visit.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { equalInConstantTime, hashSecret, readSecret } from '../store/secret.ts'
import { readBearer } from './bearer.ts'
import { type Client, deleteClient, needsSecret, readClient, updateClient } from './client/client.ts'
import { type ClientMetadata, metadataNames, parseClientMetadata } from './client/client-metadata.ts'
import { findRegistration, keepSoftwareStatement, type Registration } from './client/registration.ts'
import { deleteSecrets, liveSecrets, newClientSecret } from './client/secrets-of-clients.ts'
import type { ReadStatement } from './client/software-statement.ts'
import { invalidRequest, invalidSoftwareStatement, invalidToken } from './errors.ts'
import { offeredBy } from './offered.ts'
import { answerRegistration, registrationPath } from './registration-answer.ts'
import {
  auditingRefusal,
  parseRegistration,
  type RegistrationNeeds,
  type RegistrationSettings,
  readObject,
  refuseNoisy,
} from './registration-request.ts'

type Managed = { client: Client; registration: Registration; token: string }

const refused = () => invalidToken('the registration access token does not fit')

/** Stands for the hash of a client that is not there. */
const nobodysHash = hashSecret('')

/**
 * The client that manages itself. Whether there is a client of that name nobody learns without its token.
 *
 * @throws Refusal 401
 */
const authenticate = async ({ store }: RegistrationNeeds, ctx: Context): Promise<Managed> => {
  const token = await readBearer(ctx)
  const id = ctx.path.slice(ctx.path.lastIndexOf('/') + 1).slice(0, 200)
  const presented = readSecret('registrationToken', token)
  const registration = await findRegistration(store, id)
  const fits = equalInConstantTime(registration?.tokenHash ?? nobodysHash, presented?.hash ?? '')
  if (!registration || presented?.id !== id || !fits) throw refused()
  const client = await readClient(store, id)
  if (!client || client.disabledAt !== null) throw refused()
  return { client, registration, token }
}

/** What a client must not send when it changes itself (RFC 7592 section 2.2). */
const notToSend = [
  'registration_access_token',
  'registration_client_uri',
  'client_secret_expires_at',
  'client_id_issued_at',
]

/** The metadata of a change, less what says whose it is. @throws Refusal `invalid_request` */
const ownMetadata = (
  { client_id, client_secret, ...metadata }: Record<string, unknown>,
  client: Client,
  now: Date,
): Record<string, unknown> => {
  const odd = notToSend.find(name => name in metadata)
  if (odd !== undefined) throw invalidRequest(`${odd} must not be sent (RFC 7592 section 2.2)`)
  if (client_id !== client.id) throw invalidRequest('client_id must be sent, and be the one of this client')
  const presented = typeof client_secret === 'string' ? hashSecret(client_secret) : ''
  if (
    client_secret !== undefined &&
    !liveSecrets(client.secrets, now).some(one => equalInConstantTime(one.hash, presented))
  )
    throw invalidRequest('client_secret is not the one of this client; it cannot be chosen')
  return metadata
}

/** What only the operator may set stays as it is: a client that leaves it out must not get a laxer default (SEC-142). */
const withOperatorsPart = (
  services: RegistrationNeeds,
  asked: ClientMetadata,
  { metadata, profile }: Client,
): ClientMetadata => {
  const operators = Object.entries(metadata).filter(([name]) => !metadataNames.anybody.includes(name))
  return parseClientMetadata(
    { scope: metadata.scope, ...asked, ...Object.fromEntries(operators), profile },
    'operator',
    offeredBy(services),
  )
}

const update = async (
  services: RegistrationNeeds,
  settings: RegistrationSettings,
  readStatement: ReadStatement | undefined,
  ctx: Context,
): Promise<void> => {
  const { client, registration, token } = await authenticate(services, ctx)
  const { store, audit, now } = services
  await refuseNoisy(services, ctx)
  const { next, softwareStatement } = await auditingRefusal(services, ctx, client.id, async () => {
    const body = ownMetadata(await readObject(ctx), client, now())
    const parsed = await parseRegistration(services, settings, readStatement, { body, present: client })
    // Without it a client could take back what was vouched for.
    if (registration.softwareStatement !== null && parsed.softwareStatement === undefined)
      throw invalidSoftwareStatement('this client was registered with a software statement; send it again')
    return { ...parsed, next: withOperatorsPart(services, parsed.metadata, client) }
  })
  const secret = secretChange(client, next, now())
  await commitOrRefuse(services, client, [
    ...updateClient(client, next, now()),
    ...secret.writes,
    ...(softwareStatement === undefined ? [] : [keepSoftwareStatement(client.id, softwareStatement)]),
    audit.write({
      event: 'client.updated',
      visit: visitOf(ctx),
      clientId: client.id,
      detail: { by: client.id, changed: changedNames(client.metadata, next) },
    }),
  ])
  const changed = await readClient(store, client.id)
  if (!changed) throw refused()
  answerRegistration(services, ctx, {
    client: changed,
    token,
    secret: secret.made,
    softwareStatement: softwareStatement ?? registration.softwareStatement,
  })
}

/** A client that now needs a secret gets one; one that needs none any more has none. */
const secretChange = (
  client: Client,
  next: ClientMetadata,
  now: Date,
): { made?: string; writes: Write[] } => {
  if (!needsSecret(next)) return { writes: [deleteSecrets(client.id)] }
  if (client.secrets.length > 0) return { writes: [] }
  const { secret, write } = newClientSecret(client.id, now)
  return { made: secret, writes: [write] }
}

const changedNames = (before: ClientMetadata, after: ClientMetadata): string[] => {
  const [was, is] = [before, after].map(metadata => new Map<string, unknown>(Object.entries(metadata)))
  return metadataNames.anybody.filter(
    name => JSON.stringify(was?.get(name)) !== JSON.stringify(is?.get(name)),
  )
}

const remove = async (services: RegistrationNeeds, ctx: Context): Promise<void> => {
  const { client } = await authenticate(services, ctx)
  await commitOrRefuse(services, client, [
    ...deleteClient(client.id),
    services.audit.write({
      event: 'client.deleted',
      visit: visitOf(ctx),
      clientId: client.id,
      detail: { by: client.id, name: client.metadata.client_name },
    }),
  ])
  ctx.status = 204
}

/** A client that was deleted meanwhile has no token that fits. */
const commitOrRefuse = async (
  { store }: RegistrationNeeds,
  { id }: Client,
  writes: Write[],
): Promise<void> => {
  try {
    await store.commit(writes)
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    if (!(await readClient(store, id))) throw refused()
    throw new Refusal('conflict', 'the client was changed meanwhile; try again', 409, { cause: error })
  }
}

export const manageRegistrationRoute = (
  services: RegistrationNeeds,
  settings: RegistrationSettings,
  readStatement: ReadStatement | undefined,
): Route => ({
  path: `${registrationPath}/:id`,
  kind: 'endpoint',
  cors: 'client',
  handlers: {
    GET: async ctx => {
      const { client, registration, token } = await authenticate(services, ctx)
      answerRegistration(services, ctx, { client, token, softwareStatement: registration.softwareStatement })
    },
    PUT: ctx => update(services, settings, readStatement, ctx),
    DELETE: ctx => remove(services, ctx),
  },
})
