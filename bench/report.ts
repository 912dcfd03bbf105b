/** The result as tables for people, on the terminal and in README.md. */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Round } from './load.ts'
import { atMost, atMostOfFloor, type Verdict } from './rule.ts'
import type { Storm } from './storm.ts'
import type { TargetName } from './target.ts'

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
}

export function toMarkdown({ date, machine, node, rounds, roundMilliseconds, rows, life, storm }: Result) {
  const lines = [
    `${date}, ${machine}, Node ${node}; median of ${rounds} interleaved rounds of ${roundMilliseconds / 1000} s.`,
    '',
    `CPU microseconds a flow. Lintel must stay within ${atMostOfFloor} × its floor and within the share of the peer in brackets.`,
    '',
    table(
      [
        'flow',
        'floor',
        'Lintel',
        'peer',
        'Lintel ÷ floor',
        'Lintel ÷ peer',
        'rule',
        'floor ÷ peer',
        'in the design',
      ],
      rows.map(({ title, targets, verdict }) => [
        title,
        ...names.map(name => number(targets[name]?.cpu, 0)),
        number(verdict.ofFloor, 2),
        `${number(verdict.ofPeer, 2)}${verdict.mostOfPeer ? ` (≤ ${number(verdict.mostOfPeer, 2)})` : ''}`,
        word(verdict.holds),
        number(verdict.floorOfPeer, 2),
        number(verdict.designFloorOfPeer, 2),
      ]),
    ),
    '',
    'Flows a second on one core, and latency of a flow in milliseconds (p50 / p99) with all connections busy.',
    '',
    table(
      ['flow', 'floor', 'Lintel', 'peer', 'floor, ms', 'Lintel, ms', 'peer, ms'],
      rows.map(({ title, targets }) => [
        title,
        ...names.map(name => number(targets[name]?.perSecond, 0)),
        ...names.map(name =>
          targets[name] ? `${number(targets[name].p50, 1)} / ${number(targets[name].p99, 1)}` : '–',
        ),
      ]),
    ),
    '',
    table(
      ['server', 'floor', 'Lintel', 'peer', 'rule for Lintel'],
      [
        [
          'start, s',
          ...names.map(name => number(seconds(life[name]), 2)),
          limit(seconds(life.lintel), atMost.startSeconds),
        ],
        [
          'memory idle, MB',
          ...names.map(name => number(life[name]?.idleMegabytes, 0)),
          limit(life.lintel?.idleMegabytes, atMost.idleMegabytes),
        ],
        ['memory after the load, MB', ...names.map(name => number(life[name]?.loadedMegabytes, 0)), ''],
      ],
    ),
  ]
  if (storm) lines.push('', stormLine(storm))
  return lines.join('\n')
}

/** Replaces what stands between the two marks in README.md. */
export function writeInto(file: URL, markdown: string) {
  const [start, end] = ['<!-- result -->\n', '<!-- /result -->']
  const text = readFileSync(file, 'utf8')
  const [from, to] = [text.indexOf(start), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${file.pathname} has no place for the result`)
  writeFileSync(file, `${text.slice(0, from + start.length)}\n${markdown}\n\n${text.slice(to)}`)
}

const names = ['floor', 'lintel', 'peer'] as const

function stormLine({ quietP99, stormP99, times, signInsPerSecond, signInsRefused, holds }: Storm) {
  const storm = `\`/token\` p99: ${quietP99.toFixed(1)} ms quiet, ${stormP99.toFixed(1)} ms in a storm of 64 browsers signing in`
  return `${storm} (${signInsPerSecond.toFixed(0)} a second, ${signInsRefused} refused): ${times.toFixed(1)} times (≤ ${atMost.stormTimes}) ${word(holds)}.`
}

function table(head: string[], rows: string[][]) {
  const row = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [row(head), row(head.map((_, column) => (column === 0 ? '---' : '--:'))), ...rows.map(row)].join(
    '\n',
  )
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
