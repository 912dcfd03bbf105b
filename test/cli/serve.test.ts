import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import tls from 'node:tls'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { eventually, freePort } from '../support/server.ts'
import { build, makePlace, type Place } from './lintel-process.ts'

let place: Place
beforeAll(build, 120_000)
beforeEach(() => {
  place = makePlace()
})
afterEach(() => place.remove())

/** Twelve bytes that may come later. */
const form = { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': 12 }

const masterKey = (): string => randomBytes(32).toString('base64')

describe('lintel serve', () => {
  it('serves in its own process, is healthy while it runs, and ends with 0 on SIGTERM', async () => {
    const port = await freePort()
    const server = await place.serve(port)
    const env = { LINTEL_ISSUER: `http://localhost:${port}` }
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200)
    expect(server.said()).toContain(`http://localhost:${port}/setup?token=`)
    expect(await place.json(['healthcheck'], { env })).toEqual({ status: 'ok' })
    server.process.kill('SIGTERM')
    expect(await server.ended).toBe(0)
    expect(server.said()).toContain('server.stopped')
    const after = await place.run(['healthcheck', '--json'], { env })
    expect(after.code).toBe(1)
    expect(JSON.parse(after.stdout)).toMatchObject({ error: 'unreachable' })
  })

  it('lets a request that is under way finish on SIGINT; a second signal ends it at once', async () => {
    const port = await freePort()
    const server = await place.serve(port)
    // A request whose body never comes to its end.
    const slow = http.request({
      port,
      host: '127.0.0.1',
      path: '/token',
      method: 'POST',
      headers: { 'Content-Length': 100 },
    })
    slow.on('error', () => undefined)
    slow.write('grant_type=')
    await wait(200)
    server.process.kill('SIGINT')
    await wait(400)
    expect(server.process.exitCode).toBeNull()
    server.process.kill('SIGINT')
    expect(await server.ended).toBe(130)
    slow.destroy()
  })

  it('a taken port ends with 1 and one line that says which', async () => {
    const holder = createServer()
    await new Promise<void>(resolve => holder.listen(0, '127.0.0.1', resolve))
    const address = holder.address()
    const port = typeof address === 'object' ? address?.port : 0
    const { code, stderr } = await place.run(['serve', '--issuer', `http://localhost:${port}`])
    holder.close()
    expect(code).toBe(1)
    expect(stderr).toMatch(
      new RegExp(`^lintel: 127\\.0\\.0\\.1:${port} is in use by another process.*LINTEL_LISTEN\\n$`),
    )
  })

  it('listens on a unix socket under a path, where healthcheck asks it', async () => {
    const env = { LINTEL_LISTEN: 'unix:./lintel.sock', LINTEL_ISSUER: 'http://localhost:4000/sso' }
    const server = await place.serve(4000, env)
    expect(await place.json(['healthcheck'], { env })).toEqual({ status: 'ok' })
    // A flag wins over the environment.
    expect((await place.run(['healthcheck', '--listen', 'unix:./other.sock'], { env })).code).toBe(1)
    server.process.kill('SIGTERM')
    expect(await server.ended).toBe(0)
  })

  for (const [kind, preload] of [
    ['exception', `process.on('SIGUSR2', () => { throw new Error('nobody caught this') })`],
    ['rejection', `process.on('SIGUSR2', () => { Promise.reject(new Error('nobody caught this')) })`],
  ] as const)
    it(`REL-04 an unhandled ${kind} is logged, nothing new is accepted, what is under way is drained, and it ends with 1`, async () => {
      const port = await freePort()
      const preloaded = `--import=data:text/javascript,${encodeURIComponent(preload)}`
      const server = await place.serve(port, { NODE_OPTIONS: preloaded, LINTEL_SHUTDOWN_DRAIN_DELAY: '60' })
      const slow = http.request({ port, host: '127.0.0.1', path: '/token', method: 'POST', headers: form })
      const answered = new Promise<number | undefined>((resolve, reject) => {
        slow.on('response', response => resolve(response.resume().statusCode))
        slow.on('error', reject)
      })
      slow.write('grant_type=')
      await wait(200)
      const startedAt = performance.now()
      server.process.kill('SIGUSR2')
      await eventually(() => server.said().includes('process.crashed'), 'the crash in the log')
      await expect(fetch(`http://127.0.0.1:${port}/livez`)).rejects.toThrow()
      slow.end('x')
      expect(await answered).toBe(400)
      expect(await server.ended).toBe(1)
      expect(performance.now() - startedAt).toBeLessThan(5_500)
      expect(server.said()).toContain('nobody caught this')
    })
})

/** What keeps it from starting; each must name the setting, within two seconds, and no secret. */
const secret = 'aVerySecretTextThatMustNotBeShown'
const production = { LINTEL_ISSUER: 'https://id.example' }
const refusals: [string, Record<string, string>, string, string][] = [
  ['SEC-119 no master key', production, '', 'LINTEL_MASTER_KEY'],
  ['SEC-119 an empty master key', { ...production, LINTEL_MASTER_KEY: '' }, '', 'LINTEL_MASTER_KEY'],
  [
    'SEC-119 a placeholder as master key',
    { ...production, LINTEL_MASTER_KEY: 'A'.repeat(43) },
    '',
    'LINTEL_MASTER_KEY',
  ],
  ['SEC-119 a word as master key', { ...production, LINTEL_MASTER_KEY: secret }, '', 'LINTEL_MASTER_KEY'],
  [
    'SEC-119 an http issuer',
    { LINTEL_ISSUER: 'http://id.example', LINTEL_MASTER_KEY: masterKey() },
    '',
    'LINTEL_ISSUER',
  ],
  ['SEC-119 trusting every proxy', { LINTEL_TRUSTED_PROXIES: '0.0.0.0/0' }, '', 'LINTEL_TRUSTED_PROXIES'],
  ['SEC-119 trusting * as proxies', { LINTEL_TRUSTED_PROXIES: '*' }, '', 'LINTEL_TRUSTED_PROXIES'],
  [
    'SEC-049 certificates unchecked',
    { ...production, LINTEL_MASTER_KEY: masterKey(), NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    '',
    'NODE_TLS_REJECT_UNAUTHORIZED',
  ],
  ['REL-36 broken YAML', {}, `issuer: http://localhost:4000\nmaster_key: "${secret}\n`, 'lintel.yaml'],
  ['REL-36 an unknown key', {}, 'tokens:\n  rsa_bit: 2048\n', 'tokens.rsa_bit'],
  ['REL-36 an unknown variable', { LINTEL_ISUER: 'x' }, '', 'LINTEL_ISSUER'],
  ['REL-36 a wrong type', {}, 'tokens:\n  rsa_bits: many\n', 'tokens.rsa_bits'],
  ['REL-36 a missing secret file', { LINTEL_MASTER_KEY_FILE: './not-there' }, '', 'LINTEL_MASTER_KEY_FILE'],
  [
    'REL-36 a secret said twice',
    { LINTEL_MASTER_KEY: secret, LINTEL_MASTER_KEY_FILE: './key' },
    '',
    'LINTEL_MASTER_KEY_FILE',
  ],
  ['REL-36 a certificate without its key', { LINTEL_TLS_CERT: 'cert.pem' }, '', 'LINTEL_TLS_KEY'],
  [
    'REL-36 a certificate that is not there',
    { LINTEL_TLS_CERT: 'cert.pem', LINTEL_TLS_KEY: 'key.pem' },
    '',
    'LINTEL_TLS_CERT',
  ],
  [
    'REL-36 a certificate that is none',
    { LINTEL_TLS_CERT: 'lintel.yaml', LINTEL_TLS_KEY: 'lintel.yaml' },
    'issuer: http://localhost:4000\n',
    'LINTEL_TLS_CERT',
  ],
]

describe('a configuration that cannot be used', () => {
  it.each(refusals)('%s: serve and config check refuse it alike', async (_, env, file, named) => {
    writeFileSync(join(place.directory, 'lintel.yaml'), file)
    const options = { env: { LINTEL_CONFIG: 'lintel.yaml', ...env } }
    const [served, checked] = await Promise.all([
      place.run(['serve'], options),
      place.run(['config', 'check'], options),
    ])
    for (const { code, stdout, stderr, cpu } of [served, checked]) {
      expect(code).toBe(1)
      expect(cpu).toBeLessThan(2_000)
      expect(stdout).toBe('')
      expect(stderr).toContain(named)
      expect(stderr.trimEnd().split('\n')).toHaveLength(1)
      expect(stderr).not.toContain(secret)
      expect(stderr).not.toMatch(/\bat .*\.js/)
    }
    expect(served.stderr).toBe(checked.stderr)
  })

  it('a database that does not answer ends with 1 and shows no password', async () => {
    const { code, stdout, stderr } = await place.run(['serve'], {
      env: { LINTEL_DATABASE_URL: `postgres://lintel:${secret}@127.0.0.1:1/lintel` },
    })
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^lintel: .*127\.0\.0\.1:1\n$/)
    expect(stderr).not.toContain(secret)
  })

  it('a master key that does not fit the database ends with 1 and says so', async () => {
    await place.json(['keys', 'list'], { env: { LINTEL_MASTER_KEY: masterKey() } })
    const { code, stderr } = await place.run(['serve'], { env: { LINTEL_MASTER_KEY: masterKey() } })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^lintel: the signing keys cannot be decrypted.*LINTEL_MASTER_KEY.*\n$/)
  })

  it('config print shows where a database is and that a secret is set, no more', async () => {
    const key = masterKey()
    const env = {
      LINTEL_MASTER_KEY: key,
      LINTEL_DATABASE_URL: `postgres://lintel:${secret}@db.example/lintel?password=${secret}`,
      LINTEL_SMTP_URL: `smtp://lintel:${secret}@mail.example`,
      LINTEL_OUTBOUND_PROXY: `http://lintel:${secret}@proxy.example`,
    }
    for (const words of [
      ['config', 'print'],
      ['config', 'print', '--json'],
    ]) {
      const { code, stdout, stderr } = await place.run(words, { env })
      expect(code).toBe(0)
      expect(stdout).toContain('postgres://db.example/lintel')
      expect(stdout + stderr).not.toContain(secret)
      expect(stdout + stderr).not.toContain(key)
    }
  })
})

/** Certificates are made by openssl; `.ci/run` installs it where it is missing. */
describe('a certificate of its own', () => {
  const makeCertificate = (name: string): void => {
    const options = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-x509',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    ]
    execFileSync('openssl', ['req', ...options, '-keyout', 'key.pem', '-out', 'cert.pem'], {
      cwd: place.directory,
      stdio: 'ignore',
    })
  }
  const nameAt = (port: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN))
        socket.end()
      })
      socket.on('error', reject)
    })

  it('REL-36 SIGHUP reads it again, and keeps the old one when the new one is bad', async () => {
    makeCertificate('first.example')
    const port = await freePort()
    const env = {
      LINTEL_TLS_CERT: 'cert.pem',
      LINTEL_TLS_KEY: 'key.pem',
      LINTEL_ISSUER: `https://localhost:${port}`,
    }
    const server = await place.serve(port, env)
    expect(await nameAt(port)).toBe('first.example')
    expect((await place.run(['healthcheck'], { env })).code).toBe(0)
    const good = readFileSync(join(place.directory, 'cert.pem'))
    writeFileSync(join(place.directory, 'cert.pem'), 'not a certificate')
    server.process.kill('SIGHUP')
    await eventually(() => server.said().includes('tls.reload_failed'), 'the refusal in the log')
    expect(await nameAt(port)).toBe('first.example')
    writeFileSync(join(place.directory, 'cert.pem'), good)
    makeCertificate('second.example')
    server.process.kill('SIGHUP')
    await eventually(() => server.said().includes('tls.reloaded'), 'the new certificate')
    expect(await nameAt(port)).toBe('second.example')
    const check = await place.run(['config', 'check'], { env: { ...env, LINTEL_TLS_KEY: 'cert.pem' } })
    expect(check.stderr).toContain('LINTEL_TLS_KEY')
  })
})
