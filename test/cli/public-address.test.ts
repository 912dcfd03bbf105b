import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { certificateFor, type ReverseProxy, startReverseProxy } from '../support/reverse-proxy.ts'
import { eventually, freePort } from '../support/server.ts'
import { build, makePlace, type Place } from './lintel-process.ts'

let place: Place
let proxy: ReverseProxy
let port: number
let env: Record<string, string>
beforeAll(build, 120_000)
beforeEach(async () => {
  place = makePlace()
  port = await freePort()
  const certificate = certificateFor('localhost')
  writeFileSync(join(place.directory, 'ca.pem'), certificate.authority)
  proxy = await startReverseProxy(() => ({ port }), certificate)
  env = {
    LINTEL_ISSUER: `https://localhost:${proxy.port}`,
    LINTEL_LISTEN: `127.0.0.1:${port}`,
    LINTEL_OUTBOUND_CA: 'ca.pem',
  }
})
afterEach(async () => {
  await proxy.close()
  place.remove()
})

it('looks at its public address after it listens, warns of what is wrong, and goes on', async () => {
  const server = await place.serve(port, env)
  await eventually(() => server.said().includes('public_address.'), 'the look at the public address')
  const line = server
    .said()
    .split('\n')
    .find(one => one.includes('"public_address.trouble"'))
  expect(JSON.parse(line ?? '{}')).toMatchObject({ level: 'warn', code: 'untrusted_proxy' })
  const ready = await fetch(`http://127.0.0.1:${port}/readyz?verbose`)
  expect(ready.status).toBe(200)
  const { warnings } = (await ready.json()) as { warnings: string[] }
  expect(warnings.join('\n')).toContain('LINTEL_TRUSTED_PROXIES=127.0.0.1')

  const told = await place.run(['config', 'check', '--online', '--json'], { env })
  expect(told.code).toBe(1)
  expect(JSON.parse(told.stdout)).toMatchObject({ ok: false, public_address: [{ code: 'untrusted_proxy' }] })
  const inWords = await place.run(['config', 'check', '--online'], { env })
  expect(inWords.stdout).toMatch(/^untrusted_proxy: .*LINTEL_TRUSTED_PROXIES=127\.0\.0\.1\n$/)

  server.process.kill('SIGTERM')
  expect(await server.ended).toBe(0)
})

it('says that all is good, and so does config check --online', async () => {
  const good = { ...env, LINTEL_TRUSTED_PROXIES: '127.0.0.1' }
  const server = await place.serve(port, good)
  await eventually(() => server.said().includes('"public_address.good"'), 'a good look')
  expect(server.said()).not.toContain('public_address.trouble')
  expect(await place.json(['config', 'check', '--online'], { env: good })).toMatchObject({
    ok: true,
    public_address: [],
  })
  server.process.kill('SIGTERM')
  expect(await server.ended).toBe(0)
  expect(await place.run(['config', 'check', '--online', '--json'], { env: good })).toMatchObject({ code: 1 })
})
