/** The public keys of clients, by value or from their `jwks_uri`. */
import type { createLocalJWKSet } from 'jose'
import { OutboundBlocked } from '../../http/outbound.ts'
import type { Services } from '../../services.ts'
import { type Client, trustIn } from './client.ts'
import { makeRemoteKeySets } from './remote-key-sets.ts'

export type ClientKeys = {
  /**
   * The keys of a client as jose takes them.
   *
   * @param kid a key that is looked for: when it is unknown the set is fetched again, within the pause
   * @returns undefined when the client has none, or they cannot be had now
   */
  find: (client: Client, kid: string | undefined) => Promise<ReturnType<typeof createLocalJWKSet> | undefined>
}

/** Makes the memory of remote key sets. */
export const makeClientKeys = (services: Pick<Services, 'fetch' | 'now' | 'log' | 'audit'>): ClientKeys => {
  const remoteKeySets = makeRemoteKeySets(services)
  const { log, audit } = services
  return {
    find: async (client, kid) => {
      const { jwks, jwks_uri: uri } = client.metadata
      const failed = async (cause: Error): Promise<void> => {
        log.warn('client_keys.fetch_failed', { client_id: client.id, cause })
        if (cause instanceof OutboundBlocked)
          await audit.record({
            event: 'outbound.blocked',
            clientId: client.id,
            reason: 'jwks_uri',
            detail: { why: cause.message },
          })
      }
      const keys =
        jwks ??
        (uri === undefined
          ? undefined
          : await remoteKeySets({ owner: client.id, uri, trust: trustIn(client), failed }, kid))
      return keys && (await import('jose')).createLocalJWKSet(keys)
    },
  }
}
