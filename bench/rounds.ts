/** A scenario on several servers in turn, round after round, so that a busy minute of the machine falls on all of them. */
import { measure, median, type Round } from './load.ts'
import type { Prepared, Scenario } from './scenarios.ts'
import type { Target } from './target.ts'

export type Pace = { rounds: number; roundMilliseconds: number; warmUpMilliseconds: number }

/** The medians of each server, in the order of the servers. */
export async function measureInTurn(
  { connections, prepare }: Scenario,
  targets: readonly Target[],
  { rounds, roundMilliseconds, warmUpMilliseconds }: Pace,
): Promise<Round[]> {
  const contestants: { target: Target; prepared: Prepared; measured: Round[] }[] = []
  for (const target of targets) {
    const prepared = await prepare(target)
    await measure(target, prepared, { connections, milliseconds: warmUpMilliseconds })
    contestants.push({ target, prepared, measured: [] })
  }
  for (let round = 0; round < rounds; round++) {
    for (const { target, prepared, measured } of contestants)
      measured.push(await measure(target, prepared, { connections, milliseconds: roundMilliseconds }))
  }
  return contestants.map(({ measured }) => medians(measured))
}

function medians(measured: Round[]): Round {
  const of = (key: keyof Round) => median(measured.map(round => round[key]))
  return {
    flows: of('flows'),
    cpu: of('cpu'),
    perSecond: of('perSecond'),
    p50: of('p50'),
    p99: of('p99'),
    busy: of('busy'),
  }
}
