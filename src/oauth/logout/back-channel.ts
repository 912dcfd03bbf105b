/** Back-channel logout (OIDC Back-Channel Logout 1.0): every app that a session was used for is told when it ends. */
import { setTimeout as wait } from 'node:timers/promises'
import { OutboundBlocked } from '../../http/outbound.ts'
import { type EndReason, findSession, type SessionEnded } from '../../identity/session.ts'
import type { Services } from '../../services.ts'
import type { Write } from '../../store/commit.ts'
import { enqueue, listOutbox } from '../../store/outbox.ts'
import { type Client, trustIn } from '../client/client.ts'
import { clientsOfSession, sessionsWithClient } from '../grant/session-clients.ts'
import { issueLogoutToken } from '../tokens/logout-token.ts'

type Notice = { client_id: string; sub: string; sid: string }

/** Bytes of an answer that nobody reads. */
const answerLimit = 64 * 1024

/** An app may be busy for an hour without needing us: of idleness only those are told that ask for it. */
const wantsToKnow = (client: Client | undefined, reason: EndReason): client is Client =>
  client?.metadata.backchannel_logout_uri !== undefined &&
  (reason !== 'idle' || client.metadata.backchannel_logout_on_idle === true)

const notice = (client: Client, session: { id: string; userId: string; sub: string }, now: Date): Write =>
  enqueue({
    kind: 'logout',
    clientId: client.id,
    userId: session.userId,
    payload: { client_id: client.id, sub: session.sub, sid: session.id } satisfies Notice,
    now,
  })

/** The notices of ended sessions, for the commit that ends them. */
export const sessionEndedWrites =
  ({ store, clients, now }: Pick<Services, 'store' | 'clients' | 'now'>): SessionEnded =>
  async (sessions, reason) => {
    const notices = await Promise.all(
      sessions.map(async ({ id, userId }) => {
        const session = await findSession(store, id)
        const used = await clientsOfSession(store, id)
        const found = await Promise.all(used.map(({ clientId }) => clients.find(clientId)))
        return found
          .filter(client => wantsToKnow(client, reason))
          .map(client => notice(client, { id, userId, sub: session?.sub ?? '' }, now()))
      }),
    )
    return notices.flat()
  }

/** The notices for one client whose access a person has taken back: of each session in which it was used. */
export const clientEndedWrites = async (
  { store, now }: Pick<Services, 'store' | 'now'>,
  client: Client,
  userId: string,
): Promise<Write[]> => {
  if (!wantsToKnow(client, 'revoked')) return []
  const used = await sessionsWithClient(store, userId, client.id)
  return used.map(({ sessionId, sub }) => notice(client, { id: sessionId, userId, sub }, now()))
}

/** Milliseconds that an answer waits for the apps to be told; with all the rest it is there within a second (REL-33). */
const tellingTime = 500

/** Delivers what was just committed: who opens an app next is out there as well. One that hangs holds nobody up. */
export const tellApps = async ({ wakeOutbox }: Pick<Services, 'wakeOutbox'>): Promise<void> => {
  await Promise.race([wakeOutbox(), wait(tellingTime, undefined, { ref: false })])
}

/** How many of the newest deliveries are looked through; what is further behind counts as on its way. */
const newest = 500

/** The apps that an ended session was used for, and how far each is with being told. */
export const appsTold = async (
  { store, clients }: Pick<Services, 'store' | 'clients'>,
  sessionId: string,
): Promise<{ name: string; told: 'told' | 'telling' | 'not-told' }[]> => {
  const used = await clientsOfSession(store, sessionId)
  if (used.length === 0) return []
  const deliveries = (await listOutbox(store, { limit: newest })).filter(
    ({ kind, payload }) => kind === 'logout' && (JSON.parse(payload) as Notice).sid === sessionId,
  )
  const found = await Promise.all(used.map(({ clientId }) => clients.find(clientId)))
  return found.flatMap(client => {
    if (!client) return []
    if (client.metadata.backchannel_logout_uri === undefined) return [{ name: client.name, told: 'not-told' }]
    const state = deliveries.findLast(({ client_id }) => client_id === client.id)?.state ?? 'pending'
    return [{ name: client.name, told: toldBy[state] }]
  })
}

const toldBy = { delivered: 'told', pending: 'telling', failed: 'not-told' } as const

/**
 * Delivers one notice.
 *
 * @throws when it was not taken; the outbox tries again and shows why
 */
export const deliverLogoutNotice =
  (services: Pick<Services, 'issuer' | 'keys' | 'now' | 'clients' | 'fetch' | 'audit'>) =>
  async (payload: Record<string, unknown>): Promise<void> => {
    const { client_id, sub, sid } = payload as Notice
    const client = await services.clients.find(client_id)
    const uri = client?.metadata.backchannel_logout_uri
    // The client was deleted, or wants no notices any more: there is nobody to tell.
    if (!client || uri === undefined) return
    const token = await issueLogoutToken(services, client, { sub, sid })
    try {
      const answer = await services.fetch({
        url: uri,
        method: 'POST',
        trust: trustIn(client),
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ logout_token: token }).toString(),
        limit: answerLimit,
      })
      if (answer.status !== 200 && answer.status !== 204) throw new Error(`the app answered ${answer.status}`)
    } catch (error) {
      if (error instanceof OutboundBlocked)
        await services.audit.record({
          event: 'outbound.blocked',
          clientId: client.id,
          reason: 'backchannel_logout_uri',
          detail: { why: error.message },
        })
      throw error
    }
  }
