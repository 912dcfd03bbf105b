/** `npm run bench`: what Lintel costs beside its floor and beside node-oidc-provider. See README.md. */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { measure, median, type Round } from './load.ts'
import { residentMegabytes } from './process-cost.ts'
import { type Life, type Result, type Row, toMarkdown, writeInto } from './report.ts'
import { judge } from './rule.ts'
import { type Prepared, type Scenario, scenarios } from './scenarios.ts'
import { measureStorm, type Storm } from './storm.ts'
import { missing, pinSelf, start, type Target, type TargetName } from './target.ts'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    only: { type: 'string' },
    targets: { type: 'string', default: 'floor,lintel,peer' },
    rounds: { type: 'string' },
  },
})
const rounds = Number(options.rounds ?? (options.quick ? 3 : 7))
const roundMilliseconds = options.quick ? 500 : 1_500
const warmUpMilliseconds = options.quick ? 700 : 2_000
const stormMilliseconds = options.quick ? 4_000 : 15_000
const extra = ['life', 'storm']
const wanted = chosen(options.only?.split(','), [...scenarios.map(({ name }) => name), ...extra])
const targetNames = chosen(options.targets.split(','), ['floor', 'lintel', 'peer'] as const).filter(isThere)

pinSelf()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
const life: Result['life'] = {}
if (wanted.includes('life')) {
  for (const name of targetNames)
    await measureLife(name).then(measured => (life[name] = measured), leaveOut(name))
}
const rows = await measureScenarios(scenarios.filter(({ name }) => wanted.includes(name)))
const storm =
  wanted.includes('storm') && targetNames.includes('lintel') ? await measureWholeMachine() : undefined

const result: Result = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`,
  node: process.versions.node,
  rounds,
  roundMilliseconds,
  rows,
  life,
  ...(storm && { storm }),
}
process.stdout.write(`${options.json ? JSON.stringify(result, null, 2) : toMarkdown(result)}\n`)
if (options.write) writeInto(new URL('README.md', import.meta.url), toMarkdown(result))

/** Every scenario on every target in turn, round after round, so that a busy minute of the machine falls on all of them. */
async function measureScenarios(scenarios: Scenario[]): Promise<Row[]> {
  if (scenarios.length === 0) return []
  const running: Target[] = []
  try {
    for (const name of targetNames) {
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

async function measureScenario(
  { name, title, connections, prepare }: Scenario,
  targets: Target[],
): Promise<Row> {
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
  const byTarget = contestants.map(({ target, measured }): [TargetName, Round] => [
    target.name,
    medians(measured),
  ])
  const costs = Object.fromEntries(byTarget.map(([target, { cpu }]) => [target, cpu]))
  say(
    `${name}: ${byTarget.map(([target, { cpu, perSecond, busy }]) => `${target} ${cpu.toFixed(0)} µs, ${perSecond.toFixed(0)}/s, ${(busy * 100).toFixed(0)} %`).join(' · ')}`,
  )
  return { scenario: name, title, targets: Object.fromEntries(byTarget), verdict: judge(name, costs) }
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

function leaveOut(name: TargetName) {
  return (error: Error) => say(`${name} is left out: ${error.message}`)
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
