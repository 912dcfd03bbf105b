import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type SecureVersion, connect as tlsConnect } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { type Overrides, type Running, start } from '../../src/main.ts'
import { makeLog } from '../../src/observe/log.ts'
import { StoreUnavailable } from '../../src/store/commit.ts'
import { makeAuthority, makeServerCertificate } from '../support/certificates.ts'
import { databaseKind, freshDatabase, testMasterKey } from '../support/databases.ts'
import { answerOf, basic, getCode, post, redeem } from '../support/flow.ts'
import { eventually, freePort, startServer } from '../support/server.ts'
import { faultyStore } from './faults.ts'
import { makeWeb } from './fixtures.ts'
import { browserOf, challengedUrl, makePerson, openRequest, postForm } from './people.ts'

const cleaning: (() => Promise<unknown> | undefined)[] = []
afterEach(async () => {
  for (const clean of cleaning.splice(0).reverse()) await clean()
})

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'lintel-life-'))
  cleaning.push(async () => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A server started as a process starts it, with whatever settings. */
const boot = async (
  settings: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<{ running: Running; port: number; logged: string[] }> => {
  const database = await freshDatabase(databaseKind())
  cleaning.push(() => database.remove())
  const port = await freePort()
  const logged: string[] = []
  const stream = Object.assign(
    { write: (line: string) => void logged.push(line) },
    { flushSync: () => undefined },
  )
  const config = readConfig({
    LINTEL_ISSUER: `http://localhost:${port}`,
    LINTEL_LISTEN: `127.0.0.1:${port}`,
    LINTEL_DATABASE_URL: database.url,
    LINTEL_MASTER_KEY: testMasterKey,
    ...settings,
  })
  const running = await start(config, {
    log: makeLog('debug', stream),
    announce: () => undefined,
    ...overrides,
  })
  let stopping: Promise<void> | undefined
  const stop = running.stop
  running.stop = () => {
    stopping ??= stop()
    return stopping
  }
  cleaning.push(() => running.stop())
  return { running, port, logged }
}

type Said = { status: number; headers: Record<string, string | string[] | undefined>; body: string }

const ask = (options: RequestOptions & { ca?: string; body?: string }): Promise<Said> =>
  new Promise((resolve, reject) => {
    const { body, ...rest } = options
    const send = options.protocol === 'https:' ? httpsRequest : httpRequest
    const outgoing = send({ agent: false, ...rest }, async answer => {
      let text = ''
      for await (const chunk of answer.setEncoding('utf8')) text += chunk
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })

const get = (port: number, path: string, headers: Record<string, string> = {}): Promise<Said> =>
  ask({ host: '127.0.0.1', port, path, headers: { host: `localhost:${port}`, ...headers } })

describe('is it alive, is it ready', () => {
  it('yes to both, in JSON, stored nowhere; readyz?verbose says what is wrong', async () => {
    const { port } = await boot()
    for (const path of ['/livez', '/readyz']) {
      const answer = await get(port, path)
      expect(answer.status).toBe(200)
      expect(answer.headers['content-type']).toMatch(/^application\/json/)
      expect(answer.headers['cache-control']).toBe('no-store')
      expect(JSON.parse(answer.body)).toEqual({ status: 'ok' })
    }
    expect(JSON.parse((await get(port, '/readyz?verbose')).body)).toMatchObject({
      status: 'ok',
      failures: {},
    })
  })

  it('REL-27 alive and not ready while the database is gone, and ready again when it is back', async () => {
    const { wrapStore, breakWith } = faultyStore()
    const { port, logged } = await boot({}, { wrapStore })
    breakWith(
      new StoreUnavailable('the database cannot be reached', { cause: new Error('at db.internal:5432') }),
    )
    expect((await get(port, '/livez')).status).toBe(200)
    for (const path of ['/readyz', '/readyz?x', '/readyz?verbos']) {
      const answer = await get(port, path)
      expect(answer.status).toBe(503)
      expect(answer.headers['retry-after']).toBe('1')
      expect(JSON.parse(answer.body)).toMatchObject({ error: 'temporarily_unavailable' })
      expect(answer.body).not.toMatch(/database|internal/)
    }
    const verbose = await get(port, '/readyz?verbose')
    expect(verbose.status).toBe(503)
    expect(JSON.parse(verbose.body)).toMatchObject({
      status: 'failed',
      failures: { database: expect.any(String) },
    })
    // Documents need no database.
    expect((await get(port, '/jwks')).status).toBe(200)
    expect((await get(port, '/.well-known/openid-configuration')).status).toBe(200)
    const before = logged.length
    await wait(2200)
    expect(logged.length - before).toBeLessThanOrEqual(12)
    breakWith(undefined)
    expect((await get(port, '/readyz')).status).toBe(200)
  })
})

describe('stopping', () => {
  it('REL-25 says not ready first, still answers, then takes no more', async () => {
    const { running, port, logged } = await boot({ LINTEL_SHUTDOWN_DRAIN_DELAY: '1s' })
    const stopped = running.stop()
    await wait(100)
    const ready = await get(port, '/readyz')
    expect(ready.status).toBe(503)
    expect(ready.headers['retry-after']).toBe('1')
    expect(JSON.parse((await get(port, '/readyz?verbose')).body)).toMatchObject({
      failures: { shutdown: expect.any(String) },
    })
    expect((await get(port, '/livez')).status).toBe(200)
    expect((await get(port, '/authorize?client_id=nope')).status).toBe(400)
    await stopped
    await expect(get(port, '/livez')).rejects.toThrow(/ECONNREFUSED/)
    expect(logged.join('\n')).toContain('"server.stopped"')
  })

  it('REL-25 finishes what is in flight, also over a connection that is kept alive', async () => {
    const { running, port } = await boot()
    const agent = new HttpAgent({ keepAlive: true })
    cleaning.push(async () => agent.destroy())
    const body = new URLSearchParams({ grant_type: 'authorization_code', client_id: 'nope' }).toString()
    const headers = {
      host: `localhost:${port}`,
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': String(body.length),
    }
    expect(
      (await ask({ agent, host: '127.0.0.1', port, path: '/livez', headers: { host: headers.host } })).status,
    ).toBe(200)
    const answers = Array.from(
      { length: 10 },
      () =>
        new Promise<number>((resolve, reject) => {
          const outgoing = httpRequest(
            { agent, host: '127.0.0.1', port, path: '/token', method: 'POST', headers },
            answer => {
              answer.resume()
              answer.on('end', () => resolve(answer.statusCode ?? 0))
            },
          )
          outgoing.on('error', reject)
          outgoing.write(body.slice(0, 10))
          setTimeout(() => outgoing.end(body.slice(10)), 700)
        }),
    )
    await wait(300)
    const startedAt = performance.now()
    await running.stop()
    expect(performance.now() - startedAt).toBeLessThan(3000)
    expect(await Promise.all(answers)).toEqual(answers.map(() => 401))
  })

  it('cuts off what has not finished in time', async () => {
    const { running, port } = await boot({ LINTEL_SHUTDOWN_TIMEOUT: '1s' })
    const endless = ask({
      host: '127.0.0.1',
      port,
      path: '/token',
      method: 'POST',
      headers: {
        host: `localhost:${port}`,
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': '100',
      },
    }).catch((error: Error) => error)
    await wait(200)
    const startedAt = performance.now()
    await running.stop()
    expect(performance.now() - startedAt).toBeLessThan(4000)
    expect(performance.now() - startedAt).toBeGreaterThan(900)
    expect(await endless).toBeInstanceOf(Error)
  })

  it('and starting again keeps the keys, the people, and who is signed in', async () => {
    const database = await freshDatabase(databaseKind())
    cleaning.push(() => database.remove())
    const port = await freePort()
    const shared = {
      issuer: `http://localhost:${port}`,
      database: { ...database, remove: async () => undefined },
    }
    const first = await startServer(shared)
    const web = await makeWeb(first)
    const alice = await makePerson(first)
    const browser = await browserOf(first, web, alice)
    const underWay = first.browser()
    const page = await openRequest(underWay, web)
    const jwks = (await browser.send('/jwks')).body
    await first.stop()
    const second = await startServer(shared)
    cleaning.push(() => second.stop())
    const back = second.browser()
    for (const [name, value] of browser.cookies) back.cookies.set(name, value)
    expect((await back.send('/jwks')).body).toBe(jwks)
    expect(answerOf(await back.send(challengedUrl(web, { prompt: 'none' }))).has('code')).toBe(true)
    const goesOn = second.browser()
    for (const [name, value] of underWay.cookies) goesOn.cookies.set(name, value)
    expect(answerOf(await goesOn.submit(page, { ...alice })).has('code')).toBe(true)
  })
})

describe('a socket file', () => {
  it('is listened at, closed to strangers, replaces a left one, and is gone after the stop', async () => {
    const path = join(folder(), 'lintel.sock')
    // A process that was killed leaves its file.
    const dead = spawn(process.execPath, ['-e', `require('net').createServer().listen('${path}')`])
    await eventually(() => existsSync(path), 'it listens')
    dead.kill('SIGKILL')
    await new Promise(resolve => dead.once('exit', resolve))
    expect(statSync(path).isSocket()).toBe(true)
    const { running } = await boot({ LINTEL_LISTEN: `unix:${path}` })
    expect(running.address).toBe(`unix:${path}`)
    expect(statSync(path).isSocket()).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o660)
    const answer = await ask({ socketPath: path, path: '/livez', headers: { host: 'localhost' } })
    expect(answer.status).toBe(200)
    await running.stop()
    expect(() => statSync(path)).toThrow(/ENOENT/)
  })

  it('has no addresses: what the proxy before it forwards counts', async () => {
    const path = join(folder(), 'lintel.sock')
    const { running } = await boot({ LINTEL_LISTEN: `unix:${path}` })
    for (const [headers, ip] of [
      [{}, '127.0.0.1'],
      [{ 'x-forwarded-for': '203.0.113.9, 198.51.100.7' }, '198.51.100.7'],
    ] as const) {
      const answer = await ask({
        socketPath: path,
        path: '/authorize?client_id=nope',
        headers: { host: 'localhost', ...headers },
      })
      const rows = await running.services.store.search<{ ip: string; request_id: string }>(knex =>
        knex('audit').select('ip', 'request_id'),
      )
      expect(rows.find(row => row.request_id === answer.headers['x-request-id'])?.ip).toBe(ip)
    }
  })

  it('that is no socket is left alone: the server does not start', async () => {
    const path = join(folder(), 'important.txt')
    writeFileSync(path, 'do not lose this')
    await expect(boot({ LINTEL_LISTEN: `unix:${path}` })).rejects.toThrow(/EADDRINUSE/)
    expect(statSync(path).size).toBe(16)
  })

  it('that another process listens at is not taken from it', async () => {
    const path = join(folder(), 'lintel.sock')
    await boot({ LINTEL_LISTEN: `unix:${path}` })
    await expect(boot({ LINTEL_LISTEN: `unix:${path}` })).rejects.toThrow(/EADDRINUSE/)
    expect((await ask({ socketPath: path, path: '/livez', headers: { host: 'localhost' } })).status).toBe(200)
  })
})

describe('TLS', () => {
  const authority = makeAuthority()

  it('serves the certificate of the setting; a reload takes a new one, and keeps the old one when that is bad', async () => {
    const where = folder()
    const write = (certificate: { cert: string; key: string }): void => {
      writeFileSync(join(where, 'cert.pem'), certificate.cert)
      writeFileSync(join(where, 'key.pem'), certificate.key)
    }
    const first = makeServerCertificate(['localhost', 'first.localhost'], authority)
    const second = makeServerCertificate(['localhost', 'second.localhost'], authority)
    write(first)
    const port = await freePort()
    const { running, logged } = await boot({
      LINTEL_ISSUER: `https://localhost:${port}`,
      LINTEL_LISTEN: `127.0.0.1:${port}`,
      LINTEL_TLS_CERT: join(where, 'cert.pem'),
      LINTEL_TLS_KEY: join(where, 'key.pem'),
    })
    const served = (versions: { maxVersion?: SecureVersion } = {}): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = tlsConnect(
          {
            host: '127.0.0.1',
            port,
            ca: authority.cert,
            servername: 'localhost',
            minVersion: 'TLSv1',
            ...versions,
          },
          () => {
            resolve(String(socket.getPeerCertificate().subjectaltname))
            socket.destroy()
          },
        )
        socket.on('error', reject)
      })
    const answer = await ask({
      protocol: 'https:',
      host: 'localhost',
      port,
      path: '/authorize',
      ca: authority.cert,
      family: 4,
    })
    expect(answer.status).toBe(400)
    expect(answer.headers['strict-transport-security']).toBeUndefined()
    expect(await served()).toContain('first.localhost')

    write(second)
    expect(await served()).toContain('first.localhost')
    running.reload()
    expect(await served()).toContain('second.localhost')
    expect(logged.join('\n')).toContain('"tls.reloaded"')

    const failures = (): number => logged.filter(line => line.includes('"tls.reload_failed"')).length
    const bad: (() => void)[] = [
      () => write({ cert: 'nonsense', key: 'nonsense' }),
      () => write({ cert: first.cert, key: second.key }),
      () => write({ cert: '', key: '' }),
      () => rmSync(join(where, 'cert.pem')),
    ]
    for (const [index, spoil] of bad.entries()) {
      spoil()
      running.reload()
      expect(failures()).toBe(index + 1)
      expect(await served()).toContain('second.localhost')
    }
    expect(logged.join('\n')).not.toContain('PRIVATE KEY')
    write(first)
    running.reload()
    expect(await served()).toContain('first.localhost')
    // Old protocols are not spoken.
    await expect(served({ maxVersion: 'TLSv1.1' })).rejects.toThrow()
  })

  it('a plain-http server that is told to reload goes on', async () => {
    const { running, port } = await boot()
    running.reload()
    expect((await get(port, '/livez')).status).toBe(200)
  })
})

describe('what is written down', () => {
  it('SEC-120 holds no password, code, verifier, token, cookie or secret, at the most talkative level', async () => {
    const server = await startServer()
    cleaning.push(() => server.stop())
    const web = await makeWeb(server, {
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      backchannel_logout_uri: 'http://localhost:1/backchannel',
    })
    const canary = 'canary-password-8d1f6a'
    const alice = await makePerson(server, { password: canary })
    const secrets = [canary, 'canary-wrong-77aa', 'canary-state-1b2c', 'canary-nonce-9f8e', web.secret ?? '']
    const browser = server.browser()
    const page = await openRequest(browser, web, { state: 'canary-state-1b2c' })
    await postForm(browser, page, { username: 'alice', password: 'canary-wrong-77aa' })
    await postForm(browser, page, { username: canary, password: canary })
    const { code, verifier } = await getCode(browser, web, alice, {
      state: 'canary-state-1b2c',
      nonce: 'canary-nonce-9f8e',
    })
    const wrong = await getCode(browser, web, alice)
    await redeem(server, web, { code: wrong.code, verifier: 'v'.repeat(43) })
    const tokens = await redeem(server, web, { code, verifier })
    await redeem(server, web, { code, verifier })
    const again = await getCode(browser, web, alice)
    const live = await redeem(server, web, again)
    for (const answer of [tokens, live])
      for (const name of ['access_token', 'refresh_token', 'id_token'])
        secrets.push(String(answer.json[name]))
    secrets.push(code, verifier, wrong.code, again.code, again.verifier)
    const bearer = String(live.json['access_token'])
    await browser.send('/userinfo', { headers: { authorization: `Bearer ${bearer}` } })
    await browser.send('/userinfo', { headers: { authorization: `Bearer ${bearer}x` } })
    await post(server, '/introspect', { token: bearer }, basic(web))
    await post(server, '/revoke', { token: String(live.json['refresh_token']) }, basic(web))
    await post(server, '/token', {
      grant_type: 'client_credentials',
      client_id: 'web',
      client_secret: 'canary-bad',
    })
    await post(server, '/token', { grant_type: 'x' }, { authorization: 'Basic bm9ib2R5OmNhbmFyeS1iYWQ=' })
    await post(server, `/token?client_secret=canary-bad`, { grant_type: 'x', code: 'canary-bad' })
    secrets.push('canary-bad', 'bm9ib2R5OmNhbmFyeS1iYWQ=')
    await browser.send(`/logout?id_token_hint=${live.json['id_token']}x&state=canary-bad`)
    await browser.send(`/logout?id_token_hint=${live.json['id_token']}`)
    await browser.send('/authorize?client_id=web&redirect_uri=https://web.test/cb&request=canary-bad')
    const link = /token=(\S+)/.exec(server.announced.join())?.[1] ?? ''
    await server.browser().send(`/setup?token=${link}`)
    await server.browser().send(`/setup?token=${link.slice(0, -1)}x`)
    secrets.push(link, link.slice(0, -1))
    secrets.push(...browser.setCookies.map(line => /lnb[0-9a-z]+/.exec(line)?.[0] ?? 'none'))
    await eventually(() => server.logged.join().includes('delivery.'), 'the notice was tried')
    const rows = await server.audit()
    expect(rows.length).toBeGreaterThan(8)
    expect(server.logged.length).toBeGreaterThan(30)
    const told = JSON.stringify(rows) + server.logged.join('')
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThan(8)
      expect(told.includes(secret), secret.slice(0, 30)).toBe(false)
      // Nor the part of it that makes it a secret.
      if (/^ln[a-z]/.test(secret)) expect(told.includes(secret.slice(-52)), secret.slice(0, 30)).toBe(false)
      if (secret.startsWith('eyJ')) expect(told.includes(secret.split('.')[2] ?? secret)).toBe(false)
    }
    expect(told).not.toMatch(/eyJ[\w-]{10}/)
  })

  it('SEC-120 a line stays one line of JSON, whatever is typed or sent', async () => {
    const server = await startServer()
    cleaning.push(() => server.stop())
    const web = await makeWeb(server)
    const forged = 'alice\n{"event":"login.succeeded"}'
    const browser = server.browser()
    const page = await openRequest(browser, web)
    for (const username of [
      forged,
      'alice\r\n{"event":"x"}',
      'alice\u2028{"event":"x"}',
      '\u001b[31mred',
      'x'.repeat(5000),
    ])
      await postForm(browser, page, { username, password: 'wrong' })
    for (const value of [
      forged,
      '\r\n\r\n{"event":"login.succeeded"}',
      '\u001b]0;x\u0007',
      'y'.repeat(5000),
    ]) {
      const query = new URLSearchParams({ client_id: value, redirect_uri: value, state: value })
      await browser.send(`/authorize?${query}`)
      await browser.send(`/authorize?${new URLSearchParams({ client_id: 'web', redirect_uri: value })}`)
      await post(server, '/token', { grant_type: value, client_id: value, code: value })
      await browser.send('/', { headers: { 'user-agent': value.replace(/[^\x20-\x7e]/g, ' ') } })
    }
    for (const text of server.logged) {
      expect(text.endsWith('\n')).toBe(true)
      const line = text.slice(0, -1)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be there
      expect(line).not.toMatch(/[\x00-\x1f\x7f\u2028\u2029]/)
      expect(line.length).toBeLessThan(8000)
      const parsed = JSON.parse(line) as { event: string }
      expect(parsed.event).not.toBe('login.succeeded')
    }
    for (const row of await server.audit()) {
      expect(row.event).not.toBe('login.succeeded')
      expect(JSON.stringify(row).length).toBeLessThan(3000)
      JSON.parse(row.detail)
    }
  })

  it('every answer has a request id of ours, which is in the log; one sent along is never taken over', async () => {
    const server = await startServer()
    cleaning.push(() => server.stop())
    const browser = server.browser()
    const seen = new Set<string>()
    for (const path of [
      '/',
      '/livez',
      '/jwks',
      '/authorize',
      '/token',
      '/nothing',
      '/assets/x',
      '/userinfo',
      '/%',
    ])
      for (const method of ['GET', 'POST', 'OPTIONS', 'HEAD', 'DELETE']) {
        const answer = await browser.send(path, {
          method,
          headers: { 'x-request-id': 'mine', 'x-correlation-id': 'mine', traceparent: '00-mine' },
        })
        const id = String(answer.headers['x-request-id'])
        expect(id, `${method} ${path}`).toMatch(/^[0-9a-f-]{36}$/)
        expect(seen.has(id)).toBe(false)
        seen.add(id)
      }
    await eventually(
      () => [...seen].every(id => server.logged.some(line => line.includes(id))),
      'all are logged',
    )
    expect(server.logged.join('')).not.toContain('"mine"')
  })
})
