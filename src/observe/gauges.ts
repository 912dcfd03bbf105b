/** What is measured when somebody asks, and costs next to nothing until then. */
import type http from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Store } from '../store/database.ts'
import { statement } from '../store/statement.ts'
import { countUnsealed, lastSeal } from './audit-seal.ts'
import { type Labels, labelText } from './metrics.ts'

export type Sample = { labels?: Labels; value: number }

export type Gauge = {
  name: string
  help: string
  read: () => Sample[] | Promise<Sample[]>
}

/** Milliseconds between two looks at the event loop. */
const resolution = 20

/**
 * The event loop, memory and sockets of this process.
 *
 * @returns the gauges, and what ends the measuring
 */
export const processGauges = (server: http.Server): { gauges: Gauge[]; stop: () => void } => {
  const delay = monitorEventLoopDelay({ resolution })
  delay.enable()
  /** A look is late by what it took more than the time between two; nanoseconds. */
  const late = (nanoseconds: number): number =>
    Math.max(0, Math.round(nanoseconds / 1000 - resolution * 1000)) / 1_000_000
  const gauges: Gauge[] = [
    {
      name: 'lintel_event_loop_delay_seconds',
      help: 'How late the event loop was since it was asked for the last time',
      read: () => {
        const samples = [50, 99, 100].map(percent => ({
          labels: { quantile: percent / 100 },
          value: late(delay.percentile(percent)),
        }))
        delay.reset()
        return samples
      },
    },
    {
      name: 'process_resident_memory_bytes',
      help: 'Resident memory',
      read: () => [{ value: process.memoryUsage.rss() }],
    },
    {
      name: 'lintel_open_connections',
      help: 'Sockets open on the main listener',
      read: async () => [{ value: await connectionsOf(server) }],
    },
  ]
  return { gauges, stop: () => delay.disable() }
}

const connectionsOf = (server: http.Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
  })

const countingOutbox = statement<{ state: string }, { count: number }>('gauges.outbox', (knex, { state }) =>
  knex('outbox').where({ state }).count({ count: '*' }),
)

/** What waits in the database, for all processes together. */
export const storeGauges = (store: Store): Gauge[] => [
  {
    name: 'lintel_outbox_entries',
    help: 'Deliveries that wait for their next try, and those that failed for good',
    read: () =>
      Promise.all(
        ['pending', 'failed'].map(async state => ({
          labels: { state },
          value: (await store.one(countingOutbox, { state }))?.count ?? 0,
        })),
      ),
  },
  {
    name: 'lintel_audit_unsealed_events',
    help: 'Events that no seal covers yet; it grows when the sealing stands still',
    read: async () => [{ value: await countUnsealed(store, await lastSeal(store)) }],
  },
]

/**
 * Reads gauges into the text form that Prometheus reads.
 *
 * @param failed is told of a gauge that cannot be read now: it is left out, and the others stand
 */
export const renderGauges = async (
  gauges: readonly Gauge[],
  failed: (name: string, cause: unknown) => void,
): Promise<string> => {
  const texts = await Promise.all(
    gauges.map(async ({ name, help, read }) => {
      try {
        const lines = (await read()).map(({ labels, value }) =>
          labels === undefined ? `${name} ${value}` : `${name}{${labelText(labels)}} ${value}`,
        )
        return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...lines, ''].join('\n')
      } catch (cause) {
        failed(name, cause)
        return ''
      }
    }),
  )
  return texts.join('')
}
