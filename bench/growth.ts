/** What a flow costs when the tables are nearly empty and when they are full: two Lintels, round about. */
import { fill } from './fill.ts'
import type { Round } from './load.ts'
import { measureInTurn, type Pace } from './rounds.ts'
import { atMost } from './rule.ts'
import { scenarios } from './scenarios.ts'
import { databaseFile, type Site } from './sites.ts'
import { type Options, start, type Target } from './target.ts'

export type GrownFlow = {
  scenario: string
  title: string
  few: Round
  many: Round
  times: number
  holds: boolean
}
export type Growth = { few: number; many: number; flows: GrownFlow[]; fillSeconds: number }

/** Those that read or write rows, with one signature algorithm. */
const grown = [
  'authorize',
  'code-es256',
  'refresh-es256',
  'client-credentials',
  'introspection-first',
  'introspection',
  'userinfo-first',
  'userinfo',
  'sign-in',
]

export async function measureGrowth(
  sizes: { few: number; many: number },
  pace: Pace,
  say: (text: string) => void,
): Promise<Growth> {
  const running: Target[] = []
  try {
    running.push(await startFilled(sizes.few))
    const began = performance.now()
    running.push(await startFilled(sizes.many))
    const fillSeconds = (performance.now() - began) / 1000
    say(`growth: ${sizes.many} rows in each table after ${fillSeconds.toFixed(0)} s`)
    const flows: GrownFlow[] = []
    for (const scenario of scenarios.filter(({ name }) => grown.includes(name))) {
      const [few, many] = await measureInTurn(scenario, running, pace)
      if (!few || !many) continue
      const times = many.cpu / few.cpu
      const { name, title } = scenario
      flows.push({ scenario: name, title, few, many, times, holds: times <= atMost.growthTimes })
      say(`growth, ${name}: ${few.cpu.toFixed(0)} µs, ${many.cpu.toFixed(0)} µs, ${times.toFixed(2)} times`)
    }
    return { ...sizes, flows, fillSeconds }
  } finally {
    await Promise.all(running.map(target => target.stop()))
  }
}

/** A Lintel with so many rows in each of its tables. */
export function startFilled(rows: number, options: Pick<Options, 'node' | 'environment'> = {}) {
  return start('lintel', { ...options, fill: (site, directory) => fillSite(site, directory, rows) })
}

function fillSite({ clients, environment }: Site, directory: string, rows: number) {
  const { port } = new URL(environment['LINTEL_ISSUER'] ?? '')
  return fill(databaseFile(directory), { rows, clientId: clients.ES256.id, cookieName: `lintel-${port}` })
}
