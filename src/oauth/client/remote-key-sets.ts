/** Key sets of others, fetched from where they say: at most once a minute, fail or not. */
import type { JSONWebKeySet } from 'jose'
import type { Trust } from '../../http/outbound-addresses.ts'
import type { Services } from '../../services.ts'

/** Seconds after which a key set is fetched again; and the shortest time between two fetches. */
const freshFor = 300
const pauseBetween = 60

const largestSet = 64 * 1024
const mostKeys = 20

type Remote = { keys: JSONWebKeySet | undefined; fetchedAt: number; fetching: Promise<void> | undefined }

export type KeySetAddress = {
  /** Whose memory it is: what one owner fetched is no news to another. */
  owner: string
  uri: string
  trust: Trust
  /** Is told why a fetch failed. */
  failed: (cause: Error) => void | Promise<void>
}

/** The key set of an address, with the key that is looked for if it is there now; undefined when it cannot be had. */
export type RemoteKeySets = (
  address: KeySetAddress,
  kid: string | undefined,
) => Promise<JSONWebKeySet | undefined>

/** Makes the memory; bounded by the number of those who have such an address. */
export const makeRemoteKeySets = ({ fetch, now }: Pick<Services, 'fetch' | 'now'>): RemoteKeySets => {
  const remotes = new Map<string, Remote>()

  const refetch = async ({ uri, trust, failed }: KeySetAddress, remote: Remote): Promise<void> => {
    remote.fetchedAt = now().getTime() / 1000
    try {
      const answer = await fetch({ url: uri, method: 'GET', trust, limit: largestSet })
      if (answer.status !== 200) throw new Error(`answered ${answer.status}`)
      remote.keys = readKeySet(JSON.parse(answer.body.toString('utf8')))
    } catch (cause) {
      await failed(cause instanceof Error ? cause : new Error(String(cause)))
    } finally {
      remote.fetching = undefined
    }
  }

  return async (address, kid) => {
    const memory = `${address.owner}\n${address.uri}`
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
      remote.fetching = refetch(address, remote)
    // Whoever comes while a fetch is under way waits for it: one fetch for all.
    if (remote.fetching) await remote.fetching
    return remote.keys
  }
}

/** @throws when it is no key set, or holds more keys than anybody needs */
export const readKeySet = (value: unknown): JSONWebKeySet => {
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
