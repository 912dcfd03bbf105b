/** The metrics listener, and what /readyz tells operators. */
import { createServer, type Server } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { propagation } from '../../src/keys/rotation.ts'
import { makeMetrics } from '../../src/observe/metrics.ts'
import { enqueue } from '../../src/store/outbox.ts'
import { databaseKinds, freshDatabase, fromOutside } from '../support/databases.ts'
import { freePort, type ServerOptions, startServer, type TestServer } from '../support/server.ts'

const started = async (options: ServerOptions = {}): Promise<TestServer> => {
  const server = await startServer(options)
  onTestFinished(() => server.stop())
  return server
}

const withMetrics = async (options: ServerOptions = {}) => {
  const port = await freePort()
  const server = await started({
    ...options,
    settings: { LINTEL_METRICS_LISTEN: `127.0.0.1:${port}`, ...options.settings },
  })
  return {
    server,
    scrape: (path = '/metrics', init?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init),
  }
}

/** The value of a line such as `name{a="b"}`. */
const sampleOf = (text: string, line: string): number => {
  const found = text.split('\n').find(one => one.startsWith(`${line} `))
  if (found === undefined) throw new Error(`there is no ${line} in\n${text}`)
  return Number(found.slice(line.length))
}

describe.each(databaseKinds)('on %s', kind => {
  it('tells of requests, the process, the outbox, the audit and the keys', async () => {
    const { server, scrape } = await withMetrics({ kind })
    await server.browser().send('/jwks')
    const { store, now } = server.services
    await store.commit(
      ['logout', 'logout', 'mail'].map(what =>
        enqueue({ kind: `unknown-${what}`, clientId: null, userId: null, payload: {}, now: now() }),
      ),
    )
    server.sleep(3600)
    const answer = await scrape()
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const text = await answer.text()
    expect(sampleOf(text, 'lintel_http_requests_total{route="/jwks",method="GET",status="200"}')).toBe(1)
    expect(sampleOf(text, 'lintel_outbox_entries{state="pending"}')).toBe(3)
    expect(sampleOf(text, 'lintel_outbox_entries{state="failed"}')).toBe(0)
    expect(sampleOf(text, 'lintel_audit_unsealed_events')).toBeGreaterThanOrEqual(0)
    expect(sampleOf(text, 'process_resident_memory_bytes')).toBeGreaterThan(10_000_000)
    expect(sampleOf(text, 'lintel_open_connections')).toBeGreaterThanOrEqual(0)
    expect(sampleOf(text, 'lintel_event_loop_delay_seconds{quantile="0.99"}')).toBeLessThan(60)
    const { kid } = server.services.keys.signer('ES256')
    expect(
      sampleOf(text, `lintel_signing_key_age_seconds{kid="${kid}",alg="ES256",state="active"}`),
    ).toBeGreaterThanOrEqual(3600)
  })

  it('what cannot be read now is left out, and the rest stands', async () => {
    const database = await freshDatabase(kind)
    const { server, scrape } = await withMetrics({ database })
    await fromOutside(database, 'alter table outbox rename to outbox_away')
    const text = await (await scrape()).text()
    expect(text).not.toContain('lintel_outbox_entries')
    expect(sampleOf(text, 'process_resident_memory_bytes')).toBeGreaterThan(0)
    expect(server.logged.some(line => line.includes('gauge.failed'))).toBe(true)
  })
})

it('the main listener has no /metrics, whoever asks', async () => {
  const { server } = await withMetrics()
  expect((await server.browser().send('/metrics')).status).toBe(404)
  expect((await (await started()).browser().send('/metrics')).status).toBe(404)
})

it('the metrics listener has nothing else, and stops with the server', async () => {
  const port = await freePort()
  const server = await startServer({ settings: { LINTEL_METRICS_LISTEN: `127.0.0.1:${port}` } })
  const at = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init)
  try {
    for (const path of ['/', '/token', '/jwks', '/metrics/']) expect((await at(path)).status).toBe(404)
    expect((await at('/metrics', { method: 'POST' })).status).toBe(405)
    expect((await at('/metrics', { method: 'HEAD' })).status).toBe(200)
    expect((await at('/metrics?x=1')).status).toBe(200)
  } finally {
    await server.stop()
  }
  await expect(at('/metrics')).rejects.toThrow()
})

it('an address that is taken is named by its setting', async () => {
  const taken = await new Promise<Server>(resolve => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
  onTestFinished(() => void taken.close())
  const address = taken.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const database = await freshDatabase('sqlite')
  onTestFinished(() => database.remove())
  await expect(
    startServer({ database, settings: { LINTEL_METRICS_LISTEN: `127.0.0.1:${port}` } }),
  ).rejects.toThrow(/LINTEL_METRICS_LISTEN.*EADDRINUSE/)
})

it('a label cannot break out of its quotes', () => {
  const metrics = makeMetrics()
  metrics.count('lintel_refusals_total', { error: 'a"b\\c\nd' })
  expect(metrics.render()).toContain('lintel_refusals_total{error="a\\"b\\\\c\\nd"} 1')
})

describe('/readyz?verbose', () => {
  const warningsOf = async (server: TestServer): Promise<{ status: number; warnings: string[] }> => {
    const answer = await server.browser().send('/readyz?verbose')
    return { status: answer.status, warnings: (JSON.parse(answer.body) as { warnings: string[] }).warnings }
  }

  it('has nothing to tell of keys that are as they should be', async () => {
    expect(await warningsOf(await started())).toEqual({ status: 200, warnings: [] })
  })

  it('tells of an algorithm that has no active key yet', async () => {
    const server = await started({ settings: { LINTEL_KEYS_ALGORITHMS: 'RS256,ES256,EdDSA' } })
    const { status, warnings } = await warningsOf(server)
    expect(status).toBe(200)
    expect(warnings.join()).toContain('no active EdDSA key')
  })

  it('tells of a rotation that is overdue, as when the job cannot write', async () => {
    const database = await freshDatabase('sqlite')
    const server = await started({ database })
    await fromOutside(
      database,
      "create trigger no_keys before insert on signing_key begin select raise(abort, 'no'); end",
    )
    server.sleep(90 * 86_400 + propagation)
    expect((await warningsOf(server)).warnings.join()).toContain('rotation is overdue')
  })

  it('tells that the keys cannot be read again', async () => {
    const database = await freshDatabase('sqlite')
    const server = await started({ database })
    await fromOutside(database, 'delete from signing_key')
    await expect(server.services.keys.reload()).rejects.toThrow()
    const { status, warnings } = await warningsOf(server)
    expect(status).toBe(200)
    expect(warnings.join()).toContain('cannot be read again')
  })
})
