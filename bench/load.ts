/** Load on one server, from a fixed number of connections, each sending its next request when the last is answered. */
import { cpus } from 'node:os'
import { Connection } from './connection.ts'
import { cpuMicroseconds } from './process-cost.ts'
import type { Prepared } from './scenarios.ts'
import type { Target } from './target.ts'

export type Round = { flows: number; cpu: number; perSecond: number; p50: number; p99: number; busy: number }

/** Runs `step` on every connection again and again, until it says that there is nothing left. */
export async function inParallel(
  port: number,
  connections: number,
  step: (connection: Connection, worker: number) => Promise<boolean>,
) {
  const workers = Array.from({ length: connections }, async (_, worker) => {
    const connection = new Connection(port)
    try {
      while (await step(connection, worker));
    } finally {
      connection.close()
    }
  })
  await Promise.all(workers)
}

/** CPU microseconds a flow and flows a second, over at most `milliseconds`; `busy` is the share of one core that the server used. */
export async function measure(
  target: Target,
  prepared: Prepared,
  { connections, milliseconds }: { connections: number; milliseconds: number },
): Promise<Round> {
  let left = (await prepared.refill?.()) ?? Number.POSITIVE_INFINITY
  const latencies: number[] = []
  const sleepAgain = stayAwake()
  const cpuBefore = cpuMicroseconds(target.pid)
  const began = performance.now()
  await inParallel(target.port, connections, async (connection, worker) => {
    const sent = performance.now()
    if (sent - began >= milliseconds || left-- <= 0) return false
    await prepared.flow(connection, worker)
    latencies.push(performance.now() - sent)
    return true
  })
  const seconds = (performance.now() - began) / 1000
  const cpu = cpuMicroseconds(target.pid) - cpuBefore
  sleepAgain()
  const flows = latencies.length
  return {
    flows,
    cpu: cpu / flows,
    perSecond: flows / seconds,
    ...percentiles(latencies),
    busy: cpu / 1e6 / seconds,
  }
}

/**
 * A load generator that sleeps between two answers must be woken by the server that answers, which costs that server
 * 15 to 20 µs a request on a virtual machine and says nothing about it. So ours does not sleep, where it has a core of its own.
 */
function stayAwake() {
  let awake = cpus().length > 1
  const turn = () => {
    if (awake) setImmediate(turn)
  }
  turn()
  return () => {
    awake = false
  }
}

export function percentiles(latencies: number[]) {
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

export function median(values: number[]) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle) - 1] ?? Number.NaN)) / 2
}
