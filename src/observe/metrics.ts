/** Counts of what happened, in the text form that Prometheus reads. */

export type Labels = Record<string, string | number>

export type Metrics = {
  /** Adds one (or `by`) to a counter. */
  count: (name: MetricName, labels?: Labels, by?: number) => void
  /** Puts a measured duration in seconds into a histogram's buckets. */
  observe: (name: HistogramName, value: number, labels?: Labels) => void
  /** All of it as text, exposition format 0.0.4. */
  render: () => string
}

const counters = {
  lintel_http_requests_total: 'Answered requests by route, method and status',
  lintel_tokens_issued_total: 'Token responses by grant type',
  lintel_sign_ins_total: 'Sign-in attempts by outcome',
  lintel_registrations_total: 'Clients that registered themselves, by outcome',
  lintel_refusals_total: 'Refused requests by error',
  lintel_outbox_deliveries_total: 'Delivery attempts by kind and outcome',
} as const
type MetricName = keyof typeof counters

const histograms = {
  lintel_http_request_duration_seconds: 'Time to answer by route',
  lintel_password_wait_seconds: 'Time a password waited for its turn to be hashed',
} as const
type HistogramName = keyof typeof histograms

const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

const special = /[\\"\n]/

const escaped = (value: string): string =>
  special.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value

/** Labels as they stand between braces. */
export const labelText = (labels: Labels): string => {
  let text = ''
  for (const name in labels) text += `${text === '' ? '' : ','}${name}="${escaped(String(labels[name]))}"`
  return text
}

type Histogram = { counts: number[]; sum: number; count: number }

/** Makes the metrics of one server. */
export const makeMetrics = (): Metrics => {
  const counts = new Map<string, Map<string, number>>()
  const observed = new Map<string, Map<string, Histogram>>()
  const series = <T>(all: Map<string, Map<string, T>>, name: string): Map<string, T> => {
    const found = all.get(name) ?? new Map<string, T>()
    all.set(name, found)
    return found
  }
  return {
    count: (name, labels = {}, by = 1) => {
      const values = series(counts, name)
      const key = labelText(labels)
      values.set(key, (values.get(key) ?? 0) + by)
    },
    observe: (name, value, labels = {}) => {
      const values = series(observed, name)
      const key = labelText(labels)
      const histogram = values.get(key) ?? { counts: buckets.map(() => 0), sum: 0, count: 0 }
      values.set(key, histogram)
      const bucket = buckets.findIndex(limit => value <= limit)
      if (bucket >= 0) histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + 1
      histogram.sum += value
      histogram.count += 1
    },
    render: () => [...renderCounters(counts), ...renderHistograms(observed), ''].join('\n'),
  }
}

function* renderCounters(counts: Map<string, Map<string, number>>): Generator<string> {
  for (const [name, help] of Object.entries(counters)) {
    yield `# HELP ${name} ${help}`
    yield `# TYPE ${name} counter`
    for (const [labels, value] of counts.get(name) ?? [])
      yield `${name}${labels ? `{${labels}}` : ''} ${value}`
  }
}

function* renderHistograms(observed: Map<string, Map<string, Histogram>>): Generator<string> {
  for (const [name, help] of Object.entries(histograms)) {
    yield `# HELP ${name} ${help}`
    yield `# TYPE ${name} histogram`
    for (const [labels, { counts, sum, count }] of observed.get(name) ?? []) {
      const start = labels === '' ? '' : `${labels},`
      let below = 0
      for (const [index, limit] of buckets.entries()) {
        below += counts[index] ?? 0
        yield `${name}_bucket{${start}le="${limit}"} ${below}`
      }
      yield `${name}_bucket{${start}le="+Inf"} ${count}`
      yield `${name}_sum${labels ? `{${labels}}` : ''} ${sum}`
      yield `${name}_count${labels ? `{${labels}}` : ''} ${count}`
    }
  }
}
