/** A server under load for long: its memory, its event loop, and a crowd at sign-in. */
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { build } from '../cli/lintel-process.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { type DatabaseKind, sized } from '../support/databases.ts'
import { authorizeUrl, pkcePair } from '../support/flow.ts'
import { expectInvariants } from '../support/invariants.ts'
import { probed } from '../support/probe.ts'
import { introspect } from '../support/tokens.ts'
import { startTraffic } from '../support/traffic.ts'

const megabyte = 1024 * 1024

let cluster: Cluster | undefined
beforeAll(build, 120_000)
afterEach(async () => {
  await cluster?.stop()
  cluster = undefined
})

const startOne = async (settings: Record<string, string> = {}, kind: DatabaseKind = 'sqlite') => {
  cluster = await startCluster(kind, 1, { ...probed, ...settings })
  const [instance] = cluster.instances
  if (!instance) throw new Error('no instance')
  return { ...cluster, instance }
}

/** Opens a sign-in and tries a name and password; whoever asks comes from an address of their own. */
const trySignIn = async (
  { endpoint, client }: Pick<Cluster, 'endpoint' | 'client'>,
  n: number,
): Promise<number> => {
  const browser = endpoint.browser()
  const headers = { 'x-forwarded-for': `10.${(n >> 16) % 256}.${(n >> 8) % 256}.${n % 256}` }
  const { challenge } = pkcePair()
  const first = await browser.send(
    authorizeUrl(client, { code_challenge: challenge, code_challenge_method: 'S256' }),
    { headers },
  )
  const page = first.location === undefined ? first : await browser.send(first.location, { headers })
  if (page.status !== 200) return page.status
  const answer = await browser.submit(page, { username: `nobody${n}`, password: 'wrong' }, headers)
  return answer.status
}

const forwarded = { LINTEL_TRUSTED_PROXIES: '127.0.0.1/32' }

/** Of a long run: a day, or what there is time for. */
const soakMinutes = Number(process.env['LINTEL_TEST_SOAK_MINUTES'] ?? 24 * 60)
const isLong = process.env['LINTEL_TEST_LONG'] !== undefined

it(
  'REL-23 names, requests, tokens and failures that come once leave nothing behind in memory',
  async () => {
    const { endpoint, client, people, instance } = await startOne(forwarded)
    const until = performance.now() + sized(0, soakMinutes) * 60_000
    let n = 0
    /** New names, requests that nobody goes on with, unknown clients and tokens, beside the traffic. */
    const round = async (): Promise<void> => {
      const traffic = startTraffic(endpoint, client, people)
      for (let times = 0; times < 100; times++) {
        n += 1
        if (times % 10 === 0) await trySignIn({ endpoint, client }, n)
        await endpoint.browser().open(authorizeUrl({ ...client, id: `unknown-${n}` }))
        await endpoint.browser().open(authorizeUrl(client, { prompt: 'none', state: `state-${n}` }))
        await introspect(endpoint, { ...client, id: `nobody-${n}` }, `nothing-${n}`)
        await introspect(endpoint, client, `nothing-${n}`)
      }
      await traffic.stop()
      expect(traffic.wrong).toEqual([])
    }
    // Code gets compiled and caches get full.
    for (let times = 0; times < 3; times++) await round()
    const warm = (await instance.health()).heap
    let rounds = 0
    do {
      await round()
      rounds += 1
    } while (rounds < 3 || performance.now() < until)
    const { heap } = await instance.health()
    // A thousand requests and more a round: a kilobyte kept of each would be more than this. In a long run the memories
    // of ten thousand verified tokens and as many addresses get full, and no more.
    expect((heap - warm) / megabyte).toBeLessThan(isLong ? 30 : 2)
    await expectInvariants((cluster as Cluster).database)
  },
  2 * 86_400_000,
)

it(
  'REL-21 while RSA keys are made and tokens signed, the event loop is not held up',
  async () => {
    // On PostgreSQL: with SQLite each commit's sync of the disk is a turn of the loop, as long as the disk takes.
    const { endpoint, client, people, instance } = await startOne(
      {
        // Made by a job of the server itself, soon after its start.
        LINTEL_KEYS_ALGORITHMS: 'RS256,ES256,PS256,EdDSA',
        LINTEL_TOKENS_RSA_BITS: '3072',
      },
      'postgres',
    )
    const traffic = startTraffic(endpoint, client, people)
    await instance.health()
    await wait(sized(4, Math.min(30, soakMinutes) * 60) * 1000)
    const { late, beside } = await instance.health()
    await traffic.stop()
    expect(traffic.wrong).toEqual([])
    expect(traffic.interrupted).toEqual([])
    const { keys } = JSON.parse((await endpoint.browser().send('/jwks')).body) as { keys: { alg: string }[] }
    expect(keys.map(({ alg }) => alg)).toContain('PS256')
    // Making a key of 3072 bits takes some tenths of a second: on the loop it would show.
    expect(late - beside).toBeLessThan(isLong ? 50 : 150)
  },
  sized(180_000, 3_600_000),
)

it(
  'REL-22 a burst of sign-ins: hashed or 503, tokens meanwhile, and a bounded memory',
  async () => {
    const { endpoint, client, people, instance } = await startOne({
      ...forwarded,
      LINTEL_PASSWORDS_PASSES: '8',
    })
    const traffic = startTraffic(endpoint, client, people)
    while (traffic.answered() < 20) await wait(10)
    const before = traffic.answered()
    const statuses = await Promise.all(
      Array.from({ length: sized(60, 500, 'sign-ins at once') }, (_, n) =>
        trySignIn({ endpoint, client }, n),
      ),
    )
    const during = traffic.answered() - before
    await traffic.stop()
    expect(statuses.filter(status => status !== 422 && status !== 503)).toEqual([])
    expect(statuses).toContain(422)
    expect(during).toBeGreaterThan(20)
    expect(traffic.wrong).toEqual([])
    expect(traffic.interrupted).toEqual([])
    expect((await instance.health()).rss / megabyte).toBeLessThan(400)
  },
  sized(180_000, 600_000),
)
