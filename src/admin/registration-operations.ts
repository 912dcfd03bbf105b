/** What an operator can do about clients that register themselves (RFC 7591). */
import { Refusal } from '../http/refusal.ts'
import type { Client } from '../oauth/client/client.ts'
import { newInitialAccessToken } from '../oauth/client/initial-access-token.ts'
import { renewRegistrationToken } from '../oauth/client/registration.ts'
import type { Services } from '../services.ts'
import { type Actor, toldOf } from './actor.ts'
import { requireClient } from './client-operations.ts'
import { quoted } from './near-miss.ts'

type Needs = Pick<Services, 'store' | 'now' | 'audit'>

/** A token with which somebody may register one client, in `ttl` seconds. Only its hash is kept. */
export const createInitialAccessToken = async (
  services: Needs,
  ttl: number,
  actor: Actor,
): Promise<{ token: string; expiresAt: number }> => {
  const { token, expiresAt, write } = newInitialAccessToken(ttl, services.now())
  await services.store.commit([
    write,
    ...toldOf(services, actor, { event: 'initial_access_token.created', detail: { expires_at: expiresAt } }),
  ])
  return { token, expiresAt }
}

/**
 * Another registration access token for a client that registered itself: the old one ends now.
 *
 * @throws Refusal `not_found`, or `not_registered` when it has none
 */
export const replaceRegistrationToken = async (
  services: Needs,
  id: string,
  actor: Actor,
): Promise<{ client: Client; token: string }> => {
  const client = await requireClient(services, id)
  if (!client.registration)
    throw new Refusal('not_registered', `${quoted(client.id)} did not register itself: it has no such token`)
  const { token, write } = renewRegistrationToken(client.id)
  await services.store.commit([
    write,
    ...toldOf(services, actor, {
      event: 'client.updated',
      clientId: client.id,
      reason: 'registration_token_replaced',
    }),
  ])
  return { client, token }
}
