/** Two Lintel processes on one PostgreSQL, each request to the other one: is it right, and what does the second bring? */
import { type Answer, Connection, header } from './connection.ts'
import { median } from './load.ts'
import { cpuMicroseconds } from './process-cost.ts'
import { authorizePath, basic, connections, redeem, refresh, signedInBrowsers, tokensIn } from './requests.ts'
import type { Pace } from './rounds.ts'
import { codeIn } from './sign-in.ts'
import { start, type Target } from './target.ts'

export type TwoProcesses = {
  onePerSecond: number
  twoPerSecond: number
  /** CPU microseconds of both processes a code flow. */
  oneCpu: number
  twoCpu: number
  /** Codes redeemed at the process that did not make them, with their tokens used there and refreshed at the first. */
  crossed: number
  /** Codes redeemed at both at once. */
  raced: number
  wrong: string[]
  holds: boolean
}

type Pair = readonly [Connection, Connection]

const races = 64

export async function measureTwoProcesses(pace: Pace): Promise<TwoProcesses> {
  const target = await start('lintel-postgres', { pinned: false })
  try {
    const second = await target.another()
    try {
      return await measureBoth(target, second, pace)
    } finally {
      await second.stop()
    }
  } finally {
    await target.stop()
  }
}

async function measureBoth(target: Target, second: { port: number; pid: number }, pace: Pace) {
  const wrong: string[] = []
  const noting = (error: Error) => void wrong.push(error.message)
  const both = [target.port, second.port] as const
  let [crossed, raced] = [0, 0]
  await signedInBrowsers(target)
  const until = performance.now() + pace.roundMilliseconds
  await onPairs(
    both,
    async (pair, cookie) => {
      if (performance.now() >= until) return false
      await crossOver(target, pair, cookie).then(() => crossed++, noting)
      return true
    },
    target,
  )
  await onPairs(
    both,
    async (pair, cookie) => {
      if (raced >= races) return false
      raced++
      await raceFor(target, pair, cookie).catch(noting)
      return true
    },
    target,
  )

  const [one, two]: [Speed[], Speed[]] = [[], []]
  const pids = [target.pid, second.pid]
  await measureSpeed(target, both, { pids, milliseconds: pace.warmUpMilliseconds })
  for (let round = 0; round < pace.rounds; round++) {
    const how = { pids, milliseconds: pace.roundMilliseconds }
    one.push(await measureSpeed(target, [target.port, target.port], how))
    two.push(await measureSpeed(target, both, how))
  }
  const of = (measured: Speed[], key: keyof Speed) => median(measured.map(speed => speed[key]))
  return {
    onePerSecond: of(one, 'requestsPerSecond'),
    twoPerSecond: of(two, 'requestsPerSecond'),
    oneCpu: of(one, 'cpu'),
    twoCpu: of(two, 'cpu'),
    crossed,
    raced,
    wrong,
    holds: wrong.length === 0 && crossed > 0,
  }
}

/** Each step at the process that did not make what the step presents. */
async function crossOver(target: Target, [here, there]: Pair, cookie: string) {
  const tokens = tokensIn(await redeem(there, target, 'ES256', await codeFrom(here, target, cookie)))
  const bearer = `Authorization: Bearer ${tokens.access_token}\r\n`
  expect('userinfo', await here.get(target.endpoints.userinfo, bearer), 200)
  const next = tokensIn(await refresh(here, target, 'ES256', tokens.refresh_token))
  const after = tokensIn(await refresh(there, target, 'ES256', next.refresh_token))
  const form = `token=${after.access_token}`
  const told = await here.post(target.endpoints.introspect, form, basic(target, 'ES256'))
  if (!told.body.includes('"active":true')) throw new Error(`introspection: ${told.body.slice(0, 100)}`)
}

/** A code presented to both at once: one gives tokens, the other refuses. */
async function raceFor(target: Target, [here, there]: Pair, cookie: string) {
  const code = await codeFrom(here, target, cookie)
  const answers = await Promise.all([here, there].map(at => redeem(at, target, 'ES256', code)))
  const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b)
  if (statuses.join() !== '200,400') throw new Error(`a code at both at once: ${statuses.join(' and ')}`)
}

type Speed = { requestsPerSecond: number; cpu: number }

/** Code flows, their requests to one port and the other in turn. */
async function measureSpeed(
  target: Target,
  ports: readonly [number, number],
  { pids, milliseconds }: { pids: readonly number[]; milliseconds: number },
): Promise<Speed> {
  let flows = 0
  const cpu = () => pids.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0)
  const [began, before] = [performance.now(), cpu()]
  await onPairs(
    ports,
    async ([here, there], cookie) => {
      if (performance.now() - began >= milliseconds) return false
      tokensIn(await redeem(there, target, 'ES256', await codeFrom(here, target, cookie)))
      flows++
      return true
    },
    target,
  )
  const seconds = (performance.now() - began) / 1000
  return { requestsPerSecond: (2 * flows) / seconds, cpu: (cpu() - before) / flows }
}

/** On as many pairs of connections as there are signed-in browsers, half of them begin at the other port. */
async function onPairs(
  [first, second]: readonly [number, number],
  step: (pair: Pair, cookie: string) => Promise<boolean>,
  target: Target,
) {
  const browsers = await signedInBrowsers(target)
  const workers = browsers.slice(0, connections).map(async (cookie, worker) => {
    const pair: Pair = [new Connection(first), new Connection(second)]
    const [here, there] = pair
    try {
      while (await step(worker % 2 === 0 ? pair : [there, here], cookie));
    } finally {
      for (const connection of pair) connection.close()
    }
  })
  await Promise.all(workers)
}

async function codeFrom(connection: Connection, target: Target, cookie: string) {
  return codeIn(header(await connection.get(authorizePath(target, 'ES256'), cookie), 'location'))
}

function expect(what: string, answer: Answer, status: number) {
  if (answer.status !== status) throw new Error(`${what}: ${answer.status} ${answer.body.slice(0, 100)}`)
}
