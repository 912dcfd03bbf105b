/** What a process has cost so far, all its threads together, as Linux counts it. Elsewhere there are no numbers (NaN). */
import { readdirSync, readFileSync } from 'node:fs'

/**
 * CPU time in microseconds. `schedstat` counts nanoseconds where `stat` counts ticks of 10 ms, which a round of a second would show
 * as 1 %; `stat` is the way out for kernels without it. No thread of Node ends while it serves, so none is missed.
 */
export function cpuMicroseconds(pid: number) {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    return (
      threads.reduce(
        (sum, thread) =>
          sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
        0,
      ) / 1000
    )
  } catch {
    return ticks(pid) * 10_000
  }
}

/** Resident memory in megabytes. */
export function residentMegabytes(pid: number) {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1]
  return kilobytes === undefined ? Number.NaN : Number(kilobytes) / 1024
}

function ticks(pid: number) {
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /, '')
    .split(' ')
  return fields.length > 12 ? Number(fields[11]) + Number(fields[12]) : Number.NaN
}

function read(file: string) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
