import { afterEach, beforeAll, expect, it } from 'vitest'
import { build } from '../cli/lintel-process.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { sized } from '../support/databases.ts'
import { answerOf, authorizeUrl, passPages, pkcePair } from '../support/flow.ts'
import { expectInvariants } from '../support/invariants.ts'
import { introspect } from '../support/tokens.ts'
import { startTraffic } from '../support/traffic.ts'

let cluster: Cluster | undefined
beforeAll(build, 120_000)
afterEach(async () => {
  await cluster?.stop()
  cluster = undefined
})

it(
  'REL-25 two instances are restarted one after the other under load: no request fails, no open sign-in is lost',
  async () => {
    cluster = await startCluster('postgres', 2)
    const { endpoint, client, people, instances } = cluster
    const [alice] = people
    if (!alice) throw new Error('nobody is there')
    const traffic = startTraffic(endpoint, client, people)
    const rounds = sized(1, 20, 'restarts of both')
    for (let round = 0; round < rounds; round++) {
      // A sign-in that is open all the time.
      const browser = endpoint.browser()
      const { challenge } = pkcePair()
      const page = await browser.open(
        authorizeUrl(client, { code_challenge: challenge, code_challenge_method: 'S256' }),
      )
      expect(page.body).toContain('name="password"')
      for (const instance of instances) {
        expect(await instance.stop()).toBe(0)
        await cluster.untilReady(instance, false)
        await instance.start()
        await cluster.untilReady(instance)
      }
      expect(answerOf(await passPages(browser, page, alice)).has('code')).toBe(true)
    }
    await traffic.stop()
    expect(traffic.interrupted).toEqual([])
    expect(traffic.wrong).toEqual([])
    expect(traffic.answered()).toBeGreaterThan(50)
    for (const tokens of traffic.held.slice(-50))
      expect((await introspect(endpoint, client, tokens.refresh_token)).json['active']).toBe(true)
    await expectInvariants(cluster.database)
  },
  sized(180_000, 7_200_000),
)
