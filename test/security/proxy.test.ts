import { afterEach, describe, expect, it } from 'vitest'
import { withoutNonce } from '../support/browser.ts'
import { type ServerOptions, startServer, type TestServer } from '../support/server.ts'
import { makeWeb } from './fixtures.ts'
import { browserOf, challengedUrl, makePerson } from './people.ts'
import { type RawAnswer, rawHeader, sendRaw } from './raw-bytes.ts'

let server: TestServer
const begin = async (options: ServerOptions = {}): Promise<void> => {
  server = await startServer(options)
}
afterEach(() => server.stop())

const bytesOf = (...lines: string[]): Buffer =>
  Buffer.from([...lines, 'Connection: close', '', ''].join('\r\n'), 'latin1')

/** Everything of an answer that could be made from a request, its id and date aside. */
const essence = ({ status, head, body }: RawAnswer): string =>
  withoutNonce(
    [
      status,
      head
        .split('\r\n')
        .filter(line => !/^(x-request-id|date):/i.test(line))
        .map(line =>
          line.replace(/lnb[0-9a-z]+/, 'SECRET').replace(/(sign-in|accounts)\/[0-9a-z]{20}/, '$1/ID'),
        )
        .join('\n'),
      body.replace(/lnb[0-9a-z]+/g, '').replace(/[0-9a-f-]{36}/g, 'REQUEST'),
    ].join('\n'),
  )

describe('where an answer says we are', () => {
  const paths = (): string[] => [
    '/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server',
    challengedUrl(
      { id: 'web', secret: undefined, redirectUri: 'https://web.test/cb', metadata: {} },
      { prompt: 'none' },
    ),
    challengedUrl(
      { id: 'web', secret: undefined, redirectUri: 'https://web.test/cb', metadata: {} },
      { code_challenge: 'x'.repeat(43) },
    ),
    '/logout?client_id=web&post_logout_redirect_uri=https://web.test/bye',
    '/authorize',
    '/',
  ]
  const forwarded = [
    ['X-Forwarded-Proto: http'],
    ['X-Forwarded-Host: evil.test'],
    [
      'X-Forwarded-Host: evil.test',
      'X-Forwarded-Proto: http',
      'X-Forwarded-Port: 1',
      'X-Forwarded-Prefix: /evil',
    ],
    ['Forwarded: for=1.2.3.4;host=evil.test;proto=http'],
    ['X-Original-URL: /admin', 'X-Rewrite-URL: /admin'],
    ['X-Forwarded-Ssl: off', 'Front-End-Https: off', 'X-Url-Scheme: http'],
    ['X-HTTP-Method-Override: POST', 'X-Method-Override: DELETE'],
    [`X-Forwarded-Host: ${' '.repeat(10_000)}x`],
  ]

  for (const [name, issuer, trusted] of [
    ['plain http', undefined, undefined],
    ['https behind a proxy that is not named', 'https://op.test', undefined],
    ['https behind a proxy that is trusted', 'https://op.test', '127.0.0.1'],
  ] as const)
    it(`SEC-122 comes from the issuer alone, whatever is forwarded (${name})`, async () => {
      await begin({
        ...(issuer ? { issuer } : {}),
        ...(trusted ? { settings: { LINTEL_TRUSTED_PROXIES: trusted } } : {}),
      })
      await makeWeb(server, { post_logout_redirect_uris: ['https://web.test/bye'] })
      const { host } = new URL(server.issuer)
      for (const path of paths()) {
        const first = await sendRaw(server, bytesOf(`GET ${path} HTTP/1.1`, `Host: ${host}`))
        const variants = [
          ...forwarded.map(lines => [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...lines]),
          // Another name passes: a proxy may not keep it, and nothing is made from it.
          ...['evil.test', 'evil.test:1', '[::1]:5', '10.0.0.1', 'a_b.test'].map(other => [
            `GET ${path} HTTP/1.1`,
            `Host: ${other}`,
          ]),
          [`GET http://evil.test${path} HTTP/1.1`, `Host: ${host}`],
        ]
        for (const lines of variants) {
          const what = lines.join(' | ').slice(0, 200)
          const answer = await sendRaw(server, bytesOf(...lines))
          expect(essence(answer), what).toBe(essence(first))
          expect(answer.head + answer.body, what).not.toContain('evil.test')
        }
      }
      const discovery = await sendRaw(
        server,
        bytesOf(
          'GET /.well-known/openid-configuration HTTP/1.1',
          'Host: evil.test',
          'X-Forwarded-Host: evil.test',
        ),
      )
      const said = JSON.parse(discovery.body) as Record<string, unknown>
      expect(said['issuer']).toBe(server.issuer)
      for (const [key, value] of Object.entries(said))
        if (/_endpoint$|_uri$/.test(key))
          expect(String(value).startsWith(`${server.issuer}/`), key).toBe(true)
    })

  it('SEC-122 a malformed, doubled or missing Host is 400, on every route', async () => {
    await begin()
    const { host } = new URL(server.issuer)
    const hosts = [
      ['Host: op.test@evil.test'],
      ['Host: evil.test/'],
      ['Host: evil.test\\'],
      ['Host: evil.test?x'],
      ['Host: evil.test#x'],
      ['Host: evil test'],
      ['Host: evil.test,op.test'],
      ['Host: http://evil.test'],
      ['Host: evil.test:99999999'],
      ['Host: evil.test:x'],
      ['Host: "evil"'],
      ['Host: <svg>'],
      ['Host: \xe9vil.test'],
      ['Host: '],
      ['Host: [::1'],
      [`Host: ${'a'.repeat(300)}`],
      [`Host: ${host}`, 'Host: evil.test'],
      [`Host: ${host}`, `Host: ${host}`],
      [`Host: ${host}`, 'hOsT: evil.test'],
      [],
    ]
    for (const path of [
      '/.well-known/openid-configuration',
      '/authorize',
      '/logout',
      '/',
      '/livez',
      '/nothing',
    ])
      for (const lines of hosts) {
        const what = `${path} ${lines.join(' | ')}`
        const answer = await sendRaw(server, bytesOf(`GET ${path} HTTP/1.1`, ...lines))
        expect(answer.status, what).toBe(400)
        expect(rawHeader(answer, 'x-request-id'), what).toMatch(/^[0-9a-f-]{36}$/)
        expect(rawHeader(answer, 'set-cookie'), what).toBeUndefined()
        expect(answer.body, what).not.toContain('<svg>')
      }
    // HTTP/1.0 has none, and some health checks still speak it.
    expect((await sendRaw(server, bytesOf('GET /livez HTTP/1.0'))).status).toBe(200)
  })

  it('SEC-122 cookies keep their flags whatever protocol is said to have been used', async () => {
    await begin({ issuer: 'https://op.test' })
    const web = await makeWeb(server)
    for (const lines of forwarded) {
      const answer = await sendRaw(
        server,
        bytesOf(`GET ${challengedUrl(web)} HTTP/1.1`, 'Host: evil.test', ...lines),
      )
      expect(rawHeader(answer, 'set-cookie'), lines.join()).toMatch(
        /^__Host-lintel=[0-9a-z]+; Path=\/; HttpOnly; SameSite=Lax; Secure$/,
      )
    }
  })
})

describe('where a request came from', () => {
  /** The address that the audit has of a refused request. */
  const addressOf = async (...headers: string[]): Promise<string | null> => {
    const { host } = new URL(server.issuer)
    const answer = await sendRaw(
      server,
      bytesOf('GET /authorize?client_id=nope HTTP/1.1', `Host: ${host}`, ...headers),
    )
    expect(answer.status, headers.join()).toBe(400)
    const id = rawHeader(answer, 'x-request-id')
    return (await server.audit()).find(row => row.request_id === id)?.ip ?? null
  }

  it('from a peer that is not named is the peer’s own, whatever it says', async () => {
    await begin()
    for (const lines of [
      ['X-Forwarded-For: 198.51.100.7'],
      ['X-Forwarded-For: 127.0.0.1'],
      ['Forwarded: for=198.51.100.7'],
      ['X-Real-IP: 198.51.100.7'],
      ['True-Client-IP: 198.51.100.7', 'CF-Connecting-IP: 198.51.100.7', 'X-Client-IP: 198.51.100.7'],
    ])
      expect(await addressOf(...lines), lines.join()).toBe('127.0.0.1')
  })

  it('through named proxies is the last hop that is none of them', async () => {
    await begin({ settings: { LINTEL_TRUSTED_PROXIES: '127.0.0.0/8, 10.0.0.0/8, 2001:db8:ffff::/48' } })
    const cases: [string, string][] = [
      ['198.51.100.7', '198.51.100.7'],
      ['203.0.113.9, 198.51.100.7', '198.51.100.7'],
      ['198.51.100.7, 10.1.2.3', '198.51.100.7'],
      ['203.0.113.9, 198.51.100.7, 10.1.2.3, 10.4.5.6', '198.51.100.7'],
      ['203.0.113.9,198.51.100.7,2001:db8:ffff::5', '198.51.100.7'],
      ['2001:db8::7', '2001:db8::7'],
      ['[2001:db8::7]', '2001:db8::7'],
      ['[2001:db8::7]:52011', '2001:db8::7'],
      ['198.51.100.7:52011', '198.51.100.7'],
      ['::ffff:198.51.100.7', '198.51.100.7'],
      ['198.51.100.7, ::ffff:10.1.2.3', '198.51.100.7'],
      // What is no address says nothing, and nothing before it is believed.
      ['198.51.100.7, unknown', '127.0.0.1'],
      ['198.51.100.7, unknown, 10.1.2.3', '10.1.2.3'],
      ['198.51.100.7, 10.1.2.300', '127.0.0.1'],
      ['198.51.100.7, ', '127.0.0.1'],
      ['', '127.0.0.1'],
      ['10.9.9.9, 10.1.2.3', '10.9.9.9'],
      [`${'203.0.113.1, '.repeat(500)}198.51.100.7`, '198.51.100.7'],
      [`${'x'.repeat(8000)}, 198.51.100.7`, '198.51.100.7'],
    ]
    for (const [header, expected] of cases)
      expect(await addressOf(`X-Forwarded-For: ${header}`), header.slice(0, 80)).toBe(expected)
    // Two lines are one list.
    expect(await addressOf('X-Forwarded-For: 203.0.113.9', 'X-Forwarded-For: 198.51.100.7')).toBe(
      '198.51.100.7',
    )
    expect(await addressOf('X-Forwarded-For: 198.51.100.7', 'X-Forwarded-For: 10.1.2.3')).toBe('198.51.100.7')
    // Only this header counts.
    expect(await addressOf('Forwarded: for=198.51.100.7', 'X-Real-IP: 198.51.100.7')).toBe('127.0.0.1')
  })

  it('a forwarded header from a peer that is not named is warned of once a minute, and readyz?verbose says it', async () => {
    await begin()
    const warnings = (): number => server.logged.filter(line => line.includes('"proxy.untrusted"')).length
    const verbose = async (): Promise<string[]> =>
      (JSON.parse((await server.browser().send('/readyz?verbose')).body) as { warnings: string[] }).warnings
    await addressOf()
    expect(warnings()).toBe(0)
    expect(await verbose()).toEqual([])
    for (let round = 0; round < 5; round++) await addressOf('X-Forwarded-For: 198.51.100.7')
    await addressOf('Forwarded: for=198.51.100.7')
    expect(warnings()).toBe(1)
    const [line] = server.logged.filter(one => one.includes('"proxy.untrusted"'))
    expect(JSON.parse(line ?? '')).toMatchObject({
      level: 'warn',
      peer: '127.0.0.1',
      setting: 'LINTEL_TRUSTED_PROXIES',
    })
    server.sleep(61)
    await addressOf('X-Forwarded-For: 198.51.100.7')
    await addressOf('X-Forwarded-For: 198.51.100.7')
    expect(warnings()).toBe(2)
    expect((await verbose()).join()).toContain('LINTEL_TRUSTED_PROXIES')
    expect((await verbose()).length).toBe(1)
    expect((await server.browser().send('/readyz')).body).toBe('{"status":"ok"}')
  })

  it('is what a session and its audit remember', async () => {
    await begin({ settings: { LINTEL_TRUSTED_PROXIES: '127.0.0.1' } })
    const web = await makeWeb(server)
    const browser = server.browser()
    const sent = browser.send.bind(browser)
    browser.send = (address, options = {}) =>
      sent(address, { ...options, headers: { ...options.headers, 'x-forwarded-for': '198.51.100.7' } })
    await browserOf({ ...server, browser: () => browser }, web, await makePerson(server))
    const [session] = await server.services.store.search<{ ip: string }>(knex => knex('session').select('ip'))
    expect(session?.ip).toBe('198.51.100.7')
    for (const event of await server.audit())
      if (event.event.startsWith('login.')) expect(event.ip).toBe('198.51.100.7')
  })
})
