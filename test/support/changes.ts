/** What an operator, a person or time changes while tokens are out. */
import { endSessions } from '../../src/identity/session.ts'
import { readClient, updateClient } from '../../src/oauth/client/client.ts'
import { parseClientMetadata } from '../../src/oauth/client/client-metadata.ts'
import { withdrawConsent } from '../../src/oauth/grant/consent.ts'
import { offeredBy } from '../../src/oauth/offered.ts'
import { type Write, write } from '../../src/store/commit.ts'
import { statement } from '../../src/store/statement.ts'
import { claimsIn } from './flow.ts'
import type { TestClient, TestServer } from './server.ts'

/** Commits, and lets the server read its clients and APIs again, as it does within a second. */
export const change = async ({ services }: TestServer, ...writes: Write[]): Promise<void> => {
  await services.store.commit(writes)
  services.clients.forget()
  await services.resources.reload()
}

/** Changes a client's metadata; `undefined` takes a member out. */
export const changeClient = async (
  server: TestServer,
  client: TestClient,
  patch: Record<string, unknown>,
): Promise<void> => {
  const found = await readClient(server.services.store, client.id)
  if (!found) throw new Error(`there is no client ${client.id}`)
  const metadata = parseClientMetadata(
    { ...client.metadata, ...patch },
    'operator',
    offeredBy(server.services),
  )
  return change(server, ...updateClient(found, metadata, server.services.now()))
}

/** Ends the session that an ID token tells of. */
export const endSessionOf = async (
  server: TestServer,
  idToken: string,
  user: { id: string },
): Promise<void> => {
  const session = { id: String(claimsIn(idToken)['sid']), userId: user.id }
  await change(server, ...(await endSessions(server.services, [session], 'signed_out')))
}

export const withdraw = (server: TestServer, user: { id: string }, client: TestClient): Promise<void> =>
  change(server, withdrawConsent(user.id, client.id, server.services.now()))

const disabling = statement<{ id: string; now: number }>('test.disable', (knex, { id, now }) =>
  knex('client').where({ id }).update({ disabled_at: now }),
)

export const disable = (server: TestServer, { id }: TestClient): Promise<void> =>
  change(server, write(disabling, { id, now: Math.floor(server.services.now().getTime() / 1000) }))
