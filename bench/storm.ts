/** What a login storm does to the token endpoint: its p99 quiet, and while 64 browsers sign in with a password again and again. */
import { inParallel, percentiles } from './load.ts'
import { atMost } from './rule.ts'
import { scenarios } from './scenarios.ts'
import type { Target } from './target.ts'

export type Storm = {
  quietP99: number
  stormP99: number
  times: number
  signInsPerSecond: number
  signInsRefused: number
  holds: boolean
}

const stormers = 64

export async function measureStorm(target: Target, milliseconds: number): Promise<Storm> {
  const tokens = await prepared(target, 'refresh-es256')
  const signIns = await prepared(target, 'sign-in')
  const askForTokens = async (until: number) => {
    const latencies: number[] = []
    await inParallel(target.port, 4, async (connection, worker) => {
      const sent = performance.now()
      if (sent >= until) return false
      await tokens.flow(connection, worker)
      latencies.push(performance.now() - sent)
      await pause(10)
      return true
    })
    return percentiles(latencies).p99
  }
  await askForTokens(performance.now() + 2_000)
  const quietP99 = await askForTokens(performance.now() + milliseconds)

  const until = performance.now() + milliseconds
  let [done, refused] = [0, 0]
  const storm = inParallel(target.port, stormers, async (connection, worker) => {
    if (performance.now() >= until) return false
    // A sign-in that would wait too long is refused with 503, which is what keeps the others alive: counted, not an error.
    await signIns.flow(connection, worker).then(
      () => done++,
      () => {
        refused++
        return pause(100)
      },
    )
    return true
  })
  const stormP99 = await askForTokens(until)
  await storm
  const times = stormP99 / quietP99
  return {
    quietP99,
    stormP99,
    times,
    signInsPerSecond: done / (milliseconds / 1000),
    signInsRefused: refused,
    holds: times <= atMost.stormTimes,
  }
}

async function prepared(target: Target, name: string) {
  const scenario = scenarios.find(one => one.name === name)
  if (!scenario) throw new Error(`no scenario ${name}`)
  return scenario.prepare(target)
}

function pause(milliseconds: number) {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}
