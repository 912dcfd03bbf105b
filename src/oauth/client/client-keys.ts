/** The public keys of clients, by value or from their `jwks_uri`: fetched at most once a minute, fail or not. */
import type { createLocalJWKSet, JSONWebKeySet } from 'jose'
import type { Services } from '../../services.ts'
import type { Client } from './client.ts'

/** Seconds after which a remote key set is fetched again; and the shortest time between two fetches. */
const freshFor = 300
const pauseBetween = 60

const largestSet = 64 * 1024
const mostKeys = 20

type Remote = { keys: JSONWebKeySet | undefined; fetchedAt: number; fetching: Promise<void> | undefined }

export type ClientKeys = {
  /**
   * The keys of a client as jose takes them.
   *
   * @param kid a key that is looked for: when it is unknown the set is fetched again, within the pause
   * @returns undefined when the client has none, or they cannot be had now
   */
  find: (client: Client, kid: string | undefined) => Promise<ReturnType<typeof createLocalJWKSet> | undefined>
}

/** Makes the memory of remote key sets; bounded by the number of clients that have one. */
export const makeClientKeys = ({ fetch, now, log }: Pick<Services, 'fetch' | 'now' | 'log'>): ClientKeys => {
  const remotes = new Map<string, Remote>()

  const refetch = async (client: Client, uri: string, remote: Remote): Promise<void> => {
    remote.fetchedAt = now().getTime() / 1000
    try {
      const answer = await fetch({ url: uri, method: 'GET', trust: 'operator', limit: largestSet })
      if (answer.status !== 200) throw new Error(`answered ${answer.status}`)
      remote.keys = readKeySet(JSON.parse(answer.body.toString('utf8')))
    } catch (cause) {
      log.warn('client_keys.fetch_failed', {
        client_id: client.id,
        cause: cause instanceof Error ? cause : String(cause),
      })
    } finally {
      remote.fetching = undefined
    }
  }

  const remoteKeys = async (
    client: Client,
    uri: string,
    kid: string | undefined,
  ): Promise<JSONWebKeySet | undefined> => {
    const memory = `${client.id}\n${uri}`
    const remote = remotes.get(memory) ?? {
      keys: undefined,
      fetchedAt: Number.NEGATIVE_INFINITY,
      fetching: undefined,
    }
    remotes.set(memory, remote)
    const age = now().getTime() / 1000 - remote.fetchedAt
    const unknown = kid !== undefined && !remote.keys?.keys.some(key => key.kid === kid)
    if (
      remote.fetching === undefined &&
      (age > freshFor || (age > pauseBetween && (unknown || !remote.keys)))
    )
      remote.fetching = refetch(client, uri, remote)
    // Whoever comes while a fetch is under way waits for it: one fetch for all.
    if (remote.fetching) await remote.fetching
    return remote.keys
  }

  return {
    find: async (client, kid) => {
      const { jwks, jwks_uri: uri } = client.metadata
      const keys = jwks ?? (uri === undefined ? undefined : await remoteKeys(client, uri, kid))
      return keys && (await import('jose')).createLocalJWKSet(keys)
    },
  }
}

/** @throws when it is no key set, or holds more keys than anybody needs */
const readKeySet = (value: unknown): JSONWebKeySet => {
  if (typeof value !== 'object' || value === null || !('keys' in value) || !Array.isArray(value.keys))
    throw new Error('the answer is no key set')
  const keys: unknown[] = value.keys
  if (keys.length > mostKeys) throw new Error(`the key set holds more than ${mostKeys} keys`)
  return {
    keys: keys.flatMap(key =>
      typeof key === 'object' && key !== null && 'kty' in key && typeof key.kty === 'string'
        ? [{ ...key, kty: key.kty }]
        : [],
    ),
  }
}
