/** `npm run bench`: what Lintel costs beside its floor and beside node-oidc-provider. See README.md. */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { measureGrowth } from './growth.ts'
import { median, type Round } from './load.ts'
import { inspectPlans } from './plans.ts'
import { residentMegabytes } from './process-cost.ts'
import { type Life, type Result, type Row, toMarkdown, writeInto } from './report.ts'
import { measureInTurn, type Pace } from './rounds.ts'
import { judge } from './rule.ts'
import { type Scenario, scenarios } from './scenarios.ts'
import { pinSelf } from './server-process.ts'
import { measureStorm, type Storm } from './storm.ts'
import { missing, start, type Target, type TargetName, targetNames } from './target.ts'
import { measureTwoProcesses } from './two-processes.ts'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    only: { type: 'string' },
    targets: { type: 'string' },
    rounds: { type: 'string' },
    rows: { type: 'string' },
  },
})
const pace: Pace = {
  rounds: Number(options.rounds ?? (options.quick ? 3 : 7)),
  roundMilliseconds: options.quick ? 500 : 1_500,
  warmUpMilliseconds: options.quick ? 700 : 2_000,
}
const stormMilliseconds = options.quick ? 4_000 : 15_000
const sizes = { few: 1_000, many: Number(options.rows ?? (options.long ? 10_000_000 : 1_000_000)) }
const extra = ['life', 'storm', 'two-processes', 'growth', 'plans']
const wanted = chosen(options.only?.split(','), [...scenarios.map(({ name }) => name), ...extra])
const chosenTargets = chosen(options.targets?.split(','), targetNames).filter(isThere)

pinSelf()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
const life: Result['life'] = {}
if (wanted.includes('life')) {
  for (const name of chosenTargets)
    await measureLife(name).then(measured => (life[name] = measured), leaveOut(name))
}
const rows = await measureScenarios(scenarios.filter(({ name }) => wanted.includes(name)))
const storm = await onlyWith('lintel', 'storm', measureWholeMachine)
const twoProcesses = await onlyWith('lintel-postgres', 'two-processes', () => measureTwoProcesses(pace))
const growth = await onlyWith('lintel', 'growth', () => measureGrowth(sizes, pace, say))
const plans = await onlyWith('lintel', 'plans', inspectPlans)

const result: Result = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`,
  node: process.versions.node,
  rounds: pace.rounds,
  roundMilliseconds: pace.roundMilliseconds,
  rows,
  life,
  ...(storm && { storm }),
  ...(twoProcesses && { twoProcesses }),
  ...(growth && { growth }),
  ...(plans && { plans }),
}
process.stdout.write(`${options.json ? JSON.stringify(result, null, 2) : toMarkdown(result)}\n`)
if (options.write) writeInto(new URL('README.md', import.meta.url), toMarkdown(result))

/** Every scenario on every target; they all run at the same time, and wait. */
async function measureScenarios(scenarios: Scenario[]): Promise<Row[]> {
  if (scenarios.length === 0) return []
  const running: Target[] = []
  try {
    for (const name of chosenTargets) {
      await start(name).then(target => running.push(target), leaveOut(name))
    }
    const rows: Row[] = []
    for (const scenario of scenarios)
      rows.push(
        await measureScenario(
          scenario,
          running.filter(({ name }) => scenario.targets.includes(name)),
        ),
      )
    for (const { name, pid } of running) {
      const measured = life[name]
      if (measured) measured.loadedMegabytes = residentMegabytes(pid)
    }
    return rows
  } finally {
    await Promise.all(running.map(target => target.stop()))
  }
}

async function measureScenario(scenario: Scenario, targets: Target[]): Promise<Row> {
  const measured = await measureInTurn(scenario, targets, pace)
  const { name, title } = scenario
  const byTarget = targets.flatMap((target, index): [TargetName, Round][] => {
    const round = measured[index]
    return round ? [[target.name, round]] : []
  })
  const costs = Object.fromEntries(byTarget.map(([target, { cpu }]) => [target, cpu]))
  const each = byTarget.map(
    ([target, { cpu, perSecond, busy }]) =>
      `${target} ${cpu.toFixed(0)} µs, ${perSecond.toFixed(0)}/s, ${(busy * 100).toFixed(0)} %`,
  )
  say(`${name}: ${each.join(' · ')}`)
  return { scenario: name, title, targets: Object.fromEntries(byTarget), verdict: judge(name, costs) }
}

/** Start is from spawn until the server says that it is ready, on an empty database; memory is looked at after two quiet seconds. */
async function measureLife(name: TargetName): Promise<Life> {
  const starts: number[] = []
  const idle: number[] = []
  for (let time = 0; time < 3; time++) {
    const target = await start(name)
    starts.push(target.startMilliseconds)
    await new Promise(resolve => setTimeout(resolve, 2_000))
    idle.push(residentMegabytes(target.pid))
    await target.stop()
  }
  say(`${name}: started in ${median(starts).toFixed(0)} ms, idle at ${median(idle).toFixed(0)} MB`)
  return { startMilliseconds: median(starts), idleMegabytes: median(idle), loadedMegabytes: Number.NaN }
}

/** Not on one core: password hashing is a thread of its own, and that is how it runs. */
async function measureWholeMachine(): Promise<Storm> {
  const target = await start('lintel', { pinned: false })
  try {
    return await measureStorm(target, stormMilliseconds)
  } finally {
    await target.stop()
  }
}

/** Runs one of the extras where it is wanted and its server is there. */
async function onlyWith<T>(name: TargetName, part: string, run: () => Promise<T>): Promise<T | undefined> {
  if (!wanted.includes(part) || !chosenTargets.includes(name)) return undefined
  return run().catch(leaveOut(part))
}

function leaveOut(name: string) {
  return (error: Error): undefined => {
    say(`${name} is left out: ${error.message}`)
  }
}

function isThere(name: TargetName) {
  const reason = missing(name)
  if (reason) say(`${name} is left out: ${reason}`)
  return reason === undefined
}

function chosen<Name extends string>(given: string[] | undefined, known: readonly Name[]): Name[] {
  const unknown = given?.find(name => !known.some(one => one === name))
  if (unknown !== undefined) {
    say(`unknown: ${unknown}. There are: ${known.join(', ')}`)
    process.exit(2)
  }
  return known.filter(name => given?.includes(name) ?? true)
}

function say(text: string) {
  process.stderr.write(`bench: ${text}\n`)
}
