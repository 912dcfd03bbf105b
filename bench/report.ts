/** The result as tables for people, on the terminal and in README.md. */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Growth } from './growth.ts'
import type { Round } from './load.ts'
import type { Plans } from './plans.ts'
import { atMost, atMostOfFloor, type Verdict } from './rule.ts'
import type { Storm } from './storm.ts'
import { type TargetName, targetNames } from './target.ts'
import type { TwoProcesses } from './two-processes.ts'

export type Row = {
  scenario: string
  title: string
  targets: Partial<Record<TargetName, Round>>
  verdict: Verdict
}
export type Life = { startMilliseconds: number; idleMegabytes: number; loadedMegabytes: number }
export type Result = {
  date: string
  machine: string
  node: string
  rounds: number
  roundMilliseconds: number
  rows: Row[]
  life: Partial<Record<TargetName, Life>>
  storm?: Storm
  twoProcesses?: TwoProcesses
  growth?: Growth
  plans?: Plans
}

const titles: Record<TargetName, string> = {
  floor: 'floor',
  lintel: 'Lintel',
  peer: 'peer',
  'lintel-postgres': 'Lintel on PostgreSQL',
}

export function toMarkdown(result: Result) {
  const { date, machine, node, rounds, roundMilliseconds, rows, life } = result
  const { storm, twoProcesses, growth, plans } = result
  // Those that were measured, whatever was asked for.
  const names = targetNames.filter(name => life[name] || rows.some(({ targets }) => targets[name]))
  return [
    `${date}, ${machine}, Node ${node}; median of ${rounds} interleaved rounds of ${roundMilliseconds / 1000} s.`,
    ...(rows.length > 0 ? [costs(rows, names), speeds(rows, names)] : []),
    ...(Object.keys(life).length > 0 ? [lives(life, names)] : []),
    ...(storm ? [stormLine(storm)] : []),
    ...(twoProcesses ? [twoProcessesLine(twoProcesses)] : []),
    ...(growth ? [growthTable(growth)] : []),
    ...(plans ? [planList(plans)] : []),
  ].join('\n\n')
}

function costs(rows: Row[], names: TargetName[]) {
  const has = (...all: TargetName[]) => all.every(name => names.includes(name))
  const columns: [title: string, cell: (row: Row) => string][] = [
    ['flow', ({ title }) => title],
    ...names.map((name): [string, (row: Row) => string] => [
      titles[name],
      ({ targets }) => number(targets[name]?.cpu, 0),
    ]),
  ]
  if (has('lintel', 'floor')) columns.push(['Lintel ÷ floor', ({ verdict }) => number(verdict.ofFloor, 2)])
  if (has('lintel', 'peer')) columns.push(['Lintel ÷ peer', ({ verdict }) => ofPeer(verdict)])
  if (has('lintel', 'floor')) columns.push(['rule', ({ verdict }) => word(verdict.holds)])
  if (has('floor', 'peer'))
    columns.push(
      ['floor ÷ peer', ({ verdict }) => number(verdict.floorOfPeer, 2)],
      ['in the design', ({ verdict }) => number(verdict.designFloorOfPeer, 2)],
    )
  const rule = `Lintel must stay within ${atMostOfFloor} × its floor and within the share of the peer in brackets; on PostgreSQL it is only shown.`
  return `CPU microseconds a flow. ${rule}\n\n${table(
    columns.map(([title]) => title),
    rows.map(row => columns.map(([, cell]) => cell(row))),
  )}`
}

function ofPeer({ ofPeer, mostOfPeer }: Verdict) {
  return `${number(ofPeer, 2)}${mostOfPeer ? ` (≤ ${number(mostOfPeer, 2)})` : ''}`
}

function speeds(rows: Row[], names: TargetName[]) {
  return `Flows a second on one core, and latency of a flow in milliseconds (p50 / p99) with all connections busy.\n\n${table(
    ['flow', ...names.map(name => titles[name]), ...names.map(name => `${titles[name]}, ms`)],
    rows.map(({ title, targets }) => [
      title,
      ...names.map(name => number(targets[name]?.perSecond, 0)),
      ...names.map(name => {
        const measured = targets[name]
        return measured ? `${number(measured.p50, 1)} / ${number(measured.p99, 1)}` : '–'
      }),
    ]),
  )}`
}

function lives(life: Result['life'], names: TargetName[]) {
  const each = (of: (life: Life | undefined) => number | undefined, digits: number) =>
    names.map(name => number(of(life[name]), digits))
  const rules = names.includes('lintel')
  return table(
    ['server', ...names.map(name => titles[name]), ...(rules ? ['rule for Lintel'] : [])],
    [
      ['start, s', ...each(seconds, 2), limit(seconds(life.lintel), atMost.startSeconds)],
      [
        'memory idle, MB',
        ...each(one => one?.idleMegabytes, 0),
        limit(life.lintel?.idleMegabytes, atMost.idleMegabytes),
      ],
      ['memory after the load, MB', ...each(one => one?.loadedMegabytes, 0), ''],
    ].map(row => row.slice(0, names.length + (rules ? 2 : 1))),
  )
}

/** Replaces what stands between the two marks in README.md. */
export function writeInto(file: URL, markdown: string) {
  const [start, end] = ['<!-- result -->\n', '<!-- /result -->']
  const text = readFileSync(file, 'utf8')
  const [from, to] = [text.indexOf(start), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${file.pathname} has no place for the result`)
  writeFileSync(file, `${text.slice(0, from + start.length)}\n${markdown}\n\n${text.slice(to)}`)
}

function stormLine({ quietP99, stormP99, times, signInsPerSecond, signInsRefused, holds }: Storm) {
  const storm = `\`/token\` p99: ${quietP99.toFixed(1)} ms quiet, ${stormP99.toFixed(1)} ms in a storm of 64 browsers signing in`
  return `${storm} (${signInsPerSecond.toFixed(0)} a second, ${signInsRefused} refused): ${times.toFixed(1)} times (≤ ${atMost.stormTimes}) ${word(holds)}.`
}

function twoProcessesLine(measured: TwoProcesses) {
  const { onePerSecond, twoPerSecond, oneCpu, twoCpu, crossed, raced, wrong, holds } = measured
  const speed = `Two processes on one PostgreSQL, each request to the other one: ${twoPerSecond.toFixed(0)} requests a second, ${twoCpu.toFixed(0)} µs a code flow; one of them alone ${onePerSecond.toFixed(0)} and ${oneCpu.toFixed(0)} µs`
  const right = `${crossed} codes redeemed, used and refreshed across, ${raced} redeemed at both at once, ${wrong.length} wrong ${word(holds)}`
  return [`${speed}. ${right}.`, ...[...new Set(wrong)].slice(0, 5).map(one => `- ${one}`)].join('\n')
}

function growthTable({ few, many, flows, fillSeconds }: Growth) {
  const sizes = [few, many].map(rows => `${rows.toLocaleString('en')} rows`)
  return `CPU microseconds a flow (p99 in milliseconds) with so many rows in each table at the start; filling took ${fillSeconds.toFixed(0)} s. At most ${atMost.growthTimes} times.\n\n${table(
    ['flow', ...sizes, 'times', 'rule'],
    flows.map(({ title, few, many, times, holds }) => [
      title,
      ...[few, many].map(({ cpu, p99 }) => `${number(cpu, 0)} (${number(p99, 1)})`),
      number(times, 2),
      word(holds),
    ]),
  )}`
}

function planList({ statements, ofRequests, scans, holds }: Plans) {
  const summary = `${statements} statements ran, ${ofRequests} of them for requests; those that read a growing table or index from end to end: ${scans.length === 0 ? 'none' : scans.length}. None may be a request's ${word(holds)}.`
  const lines = scans.map(
    ({ by, step, sql }) =>
      `- ${by === 'request' ? 'request' : "the server's own"}, ${step}: \`${sql.replaceAll('`', '')}\``,
  )
  return [summary, ...(lines.length > 0 ? ['', ...lines] : [])].join('\n')
}

/** Padded as the formatter of the repository does it. The first column holds words, the others numbers. */
function table(head: string[], rows: string[][]) {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map(row => row[column]?.length ?? 0)))
  const line = (cells: string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

function limit(value: number | undefined, most: number) {
  return `≤ ${most} ${word(value === undefined ? undefined : value <= most)}`.trim()
}

function seconds(life: Life | undefined) {
  return life && life.startMilliseconds / 1000
}

function number(value: number | undefined, digits: number) {
  return value === undefined || Number.isNaN(value) ? '–' : value.toFixed(digits)
}

function word(holds: boolean | undefined) {
  return holds === undefined ? '' : holds ? 'ok' : 'MISSED'
}
