import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { addressList } from '../../src/config/addresses.ts'
import { readConfig } from '../../src/config.ts'
import {
  makeOutbound,
  OutboundBlocked,
  OutboundFailed,
  type OutboundRequest,
  type OutboundRules,
  type ResolveHost,
} from '../../src/http/outbound.ts'
import { makeAddressRule } from '../../src/http/outbound-addresses.ts'
import { makeAuthority, makeServerCertificate } from '../support/certificates.ts'
import { testMasterKey } from '../support/databases.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const production: OutboundRules = { loopbackIssuer: false, allow: addressList([]), ports: [] }
const local: OutboundRules = { ...production, loopbackIssuer: true }

const listening = async (server: net.Server): Promise<number> => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

/** A web server, and everything that came to it. */
const startSite = async (answer: http.RequestListener, tls?: { cert: string; key: string }) => {
  const requests: http.IncomingMessage[] = []
  const listener: http.RequestListener = (request, response) => {
    requests.push(request)
    answer(request, response)
  }
  const server = tls ? https.createServer(tls, listener) : http.createServer(listener)
  server.on('tlsClientError', () => undefined)
  const port = await listening(server)
  closing.push(() => server.closeAllConnections())
  return { port, requests }
}

/** Counts whoever connects. */
const startSink = async () => {
  let connections = 0
  const port = await listening(
    net.createServer(socket => {
      connections += 1
      socket.destroy()
    }),
  )
  return { port, connections: () => connections }
}

const ask = (url: string, more: Partial<OutboundRequest> = {}): OutboundRequest => ({
  url,
  method: 'GET',
  trust: 'operator',
  limit: 64 * 1024,
  ...more,
})

/** Names that lead where the test says, whatever they are. */
const leadingTo = (...addresses: string[]) => {
  const asked: string[] = []
  const resolve: ResolveHost = (hostname, _, answer) => {
    asked.push(hostname)
    answer(
      null,
      addresses.map(address => ({ address, family: net.isIP(address) })),
    )
  }
  return { resolve, asked }
}

describe('which addresses may be reached (contracts.md section 6)', () => {
  const verdict = (rules: OutboundRules, address: string, trust: 'operator' | 'dynamic'): boolean =>
    makeAddressRule(rules)(address, trust).allowed

  const publicOnes = ['93.184.215.14', '1.1.1.1', '2606:4700::1111', '2a00:1450:4001:800::200e']
  const privateOnes = [
    '10.0.0.1',
    '10.255.255.255',
    '100.64.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '192.0.2.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    'fc00::1',
    'fd12:3456:789a::1',
    'fec0::1',
    '2001:db8::1',
    '100::1',
    '64:ff9b::808:808',
    '64:ff9b:1::1',
    '2002:808:808::1',
    '2001:0:1:1:1:1:f7f7:f7f7',
    '::ffff:10.0.0.1',
  ]
  const loopback = ['127.0.0.1', '127.1.2.3', '127.255.255.255', '::1', '::ffff:127.0.0.1']
  const never = [
    '0.0.0.0',
    '0.1.2.3',
    '169.254.169.254',
    '169.254.0.1',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::2',
    '::127.0.0.1',
    '::7f00:1',
    '::a00:1',
    '::ffff:7f00:1',
    '::ffff:a9fe:a9fe',
    '::ffff:a00:1',
    '0:0:0:0:0:ffff:a00:1',
    '::ffff:0:a00:1',
    '::ffff:169.254.169.254',
    'fe80::1',
    'fe80::1%eth0',
    'febf::1',
    'fe80::a9fe:a9fe',
    'fd00:ec2::254',
    'fd20:ce::254',
    'ff02::1',
    // What a translating network carries on to the same places.
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::169.254.169.254',
    '2002:a9fe:a9fe::1',
    '2001:0:1:1:1:1:5601:5601',
  ]
  const translatedLoopback = ['64:ff9b::7f00:1', '2002:7f00:1::1']

  it('public ones by everybody', () => {
    for (const address of publicOnes)
      for (const rules of [production, local])
        for (const trust of ['operator', 'dynamic'] as const)
          expect(verdict(rules, address, trust), address).toBe(true)
  })

  it('private ones for what the operator wrote, and nobody else', () => {
    for (const address of privateOnes)
      for (const rules of [production, local]) {
        expect(verdict(rules, address, 'operator'), address).toBe(true)
        expect(verdict(rules, address, 'dynamic'), address).toBe(false)
      }
  })

  it('loopback for what the operator wrote, where the issuer is loopback itself', () => {
    for (const address of [...loopback, ...translatedLoopback]) {
      expect(verdict(local, address, 'operator'), address).toBe(true)
      expect(verdict(local, address, 'dynamic'), address).toBe(false)
      expect(verdict(production, address, 'operator'), address).toBe(false)
      expect(verdict(production, address, 'dynamic'), address).toBe(false)
    }
  })

  it('link-local, multicast and metadata addresses never, in no spelling and by no setting', () => {
    const open: OutboundRules = {
      ...local,
      allow: addressList(['128.0.0.0/1', '0.0.0.0/1', '::/1', '8000::/1', '169.254.169.254', 'fe80::/10']),
    }
    for (const address of never)
      for (const rules of [production, local, open])
        for (const trust of ['operator', 'dynamic'] as const)
          expect(verdict(rules, address, trust), address).toBe(false)
  })

  it('what LINTEL_OUTBOUND_ALLOW names, exactly', () => {
    const rules: OutboundRules = {
      ...production,
      allow: addressList(['10.1.0.0/16', '127.0.0.5', 'fd12::/16']),
    }
    for (const address of ['10.1.2.3', '127.0.0.5', 'fd12::1', '::ffff:10.1.2.3'])
      expect(verdict(rules, address, 'dynamic'), address).toBe(true)
    for (const address of ['10.2.0.1', '127.0.0.1', 'fd13::1', '2002:a01:203::1'])
      expect(verdict(rules, address, 'dynamic'), address).toBe(false)
  })

  it('and the refusal says which setting would change it', () => {
    const said = (address: string): string => {
      const judged = makeAddressRule(production)(address, 'dynamic')
      return judged.allowed ? '' : judged.setting
    }
    expect(said('10.0.0.1')).toContain('LINTEL_OUTBOUND_ALLOW')
    expect(said('127.0.0.1')).toContain('LINTEL_OUTBOUND_ALLOW')
    expect(said('169.254.169.254')).toContain('no setting')
  })
})

describe('addresses in URLs', () => {
  it('SEC-044 of other machines’ insides are refused in every spelling, without a connection', async () => {
    const sink = await startSink()
    const { resolve, asked } = leadingTo('127.0.0.1')
    const rules = { ...production, ports: [String(sink.port)] }
    const fetch = makeOutbound(rules, resolve)
    const hosts = [
      '127.0.0.1',
      '127.1',
      '0x7f000001',
      '0x7f.1',
      '0177.0.0.1',
      '2130706433',
      '①②⑦.0.0.1',
      '127.0.0.1.',
      '%31%32%37.0.0.1',
      '127。0。0。1',
      'localhost',
      'LOCALHOST',
      'localhost.',
      'app.localhost',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[0:0:0:0:0:ffff:7f00:1]',
      '[::127.0.0.1]',
      '[64:ff9b::7f00:1]',
      '[2002:7f00:1::]',
      '0.0.0.0',
      '0',
      '[::]',
      'inside.example',
      'user:password@127.0.0.1',
    ]
    for (const host of hosts)
      for (const trust of ['dynamic', 'operator'] as const) {
        const url = `https://${host}:${sink.port}/`
        await expect(fetch(ask(url, { trust })), `${trust} ${url}`).rejects.toBeInstanceOf(OutboundBlocked)
      }
    for (const url of [
      'http://169.254.169.254/',
      'https://169.254.169.254/',
      'https://[fe80::1]/',
      `http://127.0.0.1:${sink.port}/`,
      `http://inside.example:${sink.port}/`,
      'file:///etc/passwd',
      'gopher://x/',
      'ftp://x/',
      'data:text/plain,x',
      'javascript:alert(1)',
      '//x/',
      'x',
      '',
      'https://',
      'https://[::1',
    ])
      for (const trust of ['dynamic', 'operator'] as const)
        await expect(fetch(ask(url, { trust })), `${trust} ${url}`).rejects.toBeInstanceOf(OutboundBlocked)
    expect(sink.connections()).toBe(0)
    // What is an address already is asked of nobody.
    expect(new Set(asked)).toEqual(new Set(['inside.example', 'localhost.']))
  })

  it('SEC-044 what anybody may register is https, on port 443 or one of LINTEL_OUTBOUND_PORTS', async () => {
    const { port } = await startSite((_, response) => response.end('ok'))
    const allow = addressList(['127.0.0.1'])
    const { resolve } = leadingTo('127.0.0.1')
    const fetch = makeOutbound({ ...local, allow }, resolve)
    for (const url of [
      `https://app.example:${port}/`,
      'https://app.example:22/',
      'https://app.example:8443/',
    ])
      await expect(fetch(ask(url, { trust: 'dynamic' })), url).rejects.toThrow(/LINTEL_OUTBOUND_PORTS/)
    await expect(fetch(ask(`http://app.example:${port}/`, { trust: 'dynamic' }))).rejects.toThrow(/https/)
    // The operator's own, where the issuer is loopback, may be plain http at any port.
    expect((await fetch(ask(`http://app.example:${port}/`))).status).toBe(200)
    await expect(
      makeOutbound({ ...production, allow }, resolve)(ask(`http://app.example:${port}/`)),
    ).rejects.toBeInstanceOf(OutboundBlocked)
  })
})

describe('names', () => {
  it('SEC-045 are asked once a connection, and what was judged is what is connected to', async () => {
    const { port, requests } = await startSite((_, response) => response.end('ok'))
    const answers = [['127.0.0.1'], ['10.0.0.5'], ['169.254.169.254'], ['127.0.0.1']]
    let asked = 0
    const rebinding: ResolveHost = (_, __, answer) =>
      answer(
        null,
        (answers[asked++] ?? []).map(address => ({ address, family: 4 })),
      )
    // As if loopback were public: only it may be reached.
    const fetch = makeOutbound({ ...local, allow: addressList(['127.0.0.1']) }, rebinding)
    const url = `http://rebind.example:${port}/`
    expect((await fetch(ask(url))).status).toBe(200)
    expect(asked).toBe(1)
    const blocked = makeOutbound(
      { ...local, allow: addressList(['127.0.0.1']), ports: [String(port)] },
      rebinding,
    )
    const later = blocked(ask(`https://rebind.example:${port}/`, { trust: 'dynamic' }))
    await expect(later).rejects.toBeInstanceOf(OutboundBlocked)
    await expect(fetch(ask(url))).rejects.toBeInstanceOf(OutboundBlocked)
    expect((await fetch(ask(url))).status).toBe(200)
    expect(asked).toBe(4)
    expect(requests).toHaveLength(2)
  })

  it('SEC-045 that lead to private addresses only are refused; of several the private ones are left out', async () => {
    const { port, requests } = await startSite((_, response) => response.end('ok'))
    const cases: [string[], boolean][] = [
      [['10.0.0.5'], false],
      [['fd00::5'], false],
      [['10.0.0.5', '192.168.0.1', 'fe80::1'], false],
      [['::ffff:10.0.0.5'], false],
      [[], false],
      [['10.0.0.5', '127.0.0.1'], true],
      [['127.0.0.1', '10.0.0.5', 'fd00::5'], true],
    ]
    for (const [addresses, reached] of cases) {
      const { resolve } = leadingTo(...addresses)
      const rules: OutboundRules = { ...production, allow: addressList(['127.0.0.1']), ports: [String(port)] }
      const attempt = makeOutbound(
        rules,
        resolve,
      )(ask(`https://mixed.example:${port}/`, { trust: 'dynamic' }))
      // The plain-http server cannot finish a TLS handshake: that it was asked to says that it was reached.
      await expect(attempt, addresses.join()).rejects.toBeInstanceOf(
        reached ? OutboundFailed : OutboundBlocked,
      )
    }
    expect(requests).toHaveLength(0)
  })

  it('that nobody knows, or nobody answers for, are a failure and no refusal', async () => {
    const unknown: ResolveHost = (_, __, answer) =>
      answer(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), [])
    await expect(makeOutbound(production, unknown)(ask('https://x.example/'))).rejects.toBeInstanceOf(
      OutboundFailed,
    )
    const silent: ResolveHost = () => undefined
    const startedAt = performance.now()
    await expect(makeOutbound(production, silent)(ask('https://x.example/'))).rejects.toThrow(/within 2 s/)
    expect(performance.now() - startedAt).toBeLessThan(4000)
  })
})

describe('answers', () => {
  it('SEC-046 a redirect is not followed', async () => {
    const sink = await startSink()
    for (const status of [301, 302, 303, 307, 308]) {
      const { port } = await startSite((_, response) =>
        response.writeHead(status, { location: `http://127.0.0.1:${sink.port}/` }).end(),
      )
      const answer = await makeOutbound(local)(ask(`http://localhost:${port}/`))
      expect(answer.status).toBe(status)
    }
    expect(sink.connections()).toBe(0)
  })

  it('SEC-047 over the limit, told or not, packed or in pieces, are a failure', async () => {
    const cases: Record<string, http.RequestListener> = {
      told: (_, response) =>
        response.writeHead(200, { 'content-length': 100_000_000 }).write('x'.repeat(70_000)),
      'in one piece': (_, response) => response.end('x'.repeat(65_537)),
      'in pieces for ever': (_, response) => {
        response.writeHead(200)
        const timer = setInterval(() => response.write('x'.repeat(10_000)), 5)
        response.on('close', () => clearInterval(timer))
      },
    }
    for (const [what, answer] of Object.entries(cases)) {
      const { port } = await startSite(answer)
      const before = process.memoryUsage().rss
      const startedAt = performance.now()
      const attempt = makeOutbound(local)(ask(`http://localhost:${port}/`))
      await expect(attempt, what).rejects.toThrow(/larger than 65536 bytes/)
      expect(performance.now() - startedAt, what).toBeLessThan(4000)
      expect(process.memoryUsage().rss - before, what).toBeLessThan(50 * 1024 * 1024)
    }
    const { port } = await startSite((_, response) => response.end('x'.repeat(65_536)))
    expect((await makeOutbound(local)(ask(`http://localhost:${port}/`))).body).toHaveLength(65_536)
  })

  it('SEC-047 that are packed stay packed: a bomb is as large as it came', async () => {
    const bomb = gzipSync(Buffer.alloc(20_000_000))
    const { port, requests } = await startSite((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
    )
    const answer = await makeOutbound(local)(ask(`http://localhost:${port}/`))
    expect(answer.body).toHaveLength(bomb.length)
    expect(requests[0]?.headers['accept-encoding']).toBeUndefined()
  })

  it('SEC-047 that drip a byte a second, or never come, end after 5 seconds in all', async () => {
    const drip = await startSite((_, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write('x'), 500)
      response.on('close', () => clearInterval(timer))
    })
    const never = await startSite(() => undefined)
    const half = await startSite((_, response) =>
      response.writeHead(200, { 'content-length': 10 }).write('x'),
    )
    const fetch = makeOutbound(local)
    const startedAt = performance.now()
    await Promise.all(
      [drip, never, half].map(({ port }) =>
        expect(fetch(ask(`http://localhost:${port}/`))).rejects.toThrow(/no answer within 5 s/),
      ),
    )
    const took = performance.now() - startedAt
    expect(took).toBeGreaterThan(4_500)
    expect(took).toBeLessThan(8_000)
  }, 15_000)

  it('that break off, or are no HTTP, are a failure that says why', async () => {
    const cut = await startSite((_, response) => {
      response.writeHead(200, { 'content-length': 10 }).write('x')
      setTimeout(() => response.destroy(), 20)
    })
    const garbage = await listening(net.createServer(socket => socket.end('SSH-2.0-OpenSSH_9.9\r\n')))
    const closed = await startSink()
    for (const port of [cut.port, garbage, closed.port, 1]) {
      const failure = await makeOutbound(local)(ask(`http://localhost:${port}/`)).catch(error => error)
      expect(failure).toBeInstanceOf(OutboundFailed)
      expect(failure.message, String(port)).not.toBe('')
    }
  })

  it('carry no cookie to the next request, and requests tell nothing of us but a name', async () => {
    const { port, requests } = await startSite((_, response) =>
      response.writeHead(200, { 'set-cookie': 'a=b' }).end('ok'),
    )
    const fetch = makeOutbound(local)
    for (let round = 0; round < 2; round++)
      await fetch(
        ask(`http://localhost:${port}/x?y=1`, { method: 'POST', body: 'a=é', headers: { 'X-A': 'b' } }),
      )
    const [, second] = requests
    expect(second?.headers).toEqual({
      host: `localhost:${port}`,
      'user-agent': 'Lintel',
      accept: 'application/json',
      'x-a': 'b',
      'content-length': '4',
      connection: 'close',
    })
    expect([second?.method, second?.url]).toEqual(['POST', '/x?y=1'])
  })
})

describe('the crowd', () => {
  it('two at once to one host, twenty in all; the others wait their turn', async () => {
    let now = 0
    let most = 0
    const busy = await Promise.all(
      Array.from({ length: 12 }, () =>
        startSite(async (_, response) => {
          now += 1
          most = Math.max(most, now)
          await wait(50)
          now -= 1
          response.end('ok')
        }),
      ),
    )
    const fetch = makeOutbound(local)
    const [first] = busy
    await Promise.all(Array.from({ length: 10 }, () => fetch(ask(`http://localhost:${first?.port}/`))))
    expect(most).toBe(2)
    await Promise.all(
      busy.flatMap(({ port }) => Array.from({ length: 4 }, () => fetch(ask(`http://localhost:${port}/`)))),
    )
    expect(most).toBe(20)
  })

  it('a host that hangs holds up nobody but itself, and a refusal takes no place', async () => {
    const hanging = await startSite(() => undefined)
    const good = await startSite((_, response) => response.end('ok'))
    const fetch = makeOutbound(local)
    const stuck = Array.from({ length: 6 }, () =>
      fetch(ask(`http://localhost:${hanging.port}/`)).catch((error: Error) => error),
    )
    for (let round = 0; round < 30; round++)
      await expect(fetch(ask('https://169.254.169.254/'))).rejects.toBeInstanceOf(OutboundBlocked)
    const startedAt = performance.now()
    expect((await fetch(ask(`http://localhost:${good.port}/`))).status).toBe(200)
    expect(performance.now() - startedAt).toBeLessThan(1500)
    closing.splice(0).forEach(close => {
      close()
    })
    await Promise.all(stuck)
  }, 20_000)
})

describe('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lintel-ca-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const authority = makeAuthority()
  const another = makeAuthority('Another authority')
  const fileOf = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }
  const caFile = fileOf('ca.pem', authority.cert)
  const year = 365 * 86_400_000

  const get = async (
    certificate: { cert: string; key: string },
    rules: Partial<OutboundRules>,
  ): Promise<number> => {
    const { port } = await startSite((_, response) => response.end('ok'), certificate)
    const { resolve } = leadingTo('127.0.0.1')
    return (await makeOutbound({ ...local, ...rules }, resolve)(ask(`https://app.example:${port}/`))).status
  }

  it('SEC-049 a certificate of its own, an expired one, one of another host or authority is refused', async () => {
    const hosts = ['app.example']
    const refused: Record<string, { cert: string; key: string }> = {
      'by itself': makeServerCertificate(hosts),
      expired: makeServerCertificate(hosts, authority, {
        from: new Date(Date.now() - year),
        to: new Date(Date.now() - 1000),
      }),
      'not yet': makeServerCertificate(hosts, authority, { from: new Date(Date.now() + year / 2) }),
      'another host': makeServerCertificate(['other.example', '*.other.example'], authority),
      'a host below': makeServerCertificate(['x.app.example', '*.app.example'], authority),
      'another authority': makeServerCertificate(hosts, another),
    }
    for (const [what, certificate] of Object.entries(refused))
      await expect(get(certificate, { caFile }), what).rejects.toBeInstanceOf(OutboundFailed)
  })

  it('SEC-049 one of an authority that the operator named is accepted, and only then', async () => {
    const certificate = makeServerCertificate(['app.example'], authority)
    expect(await get(certificate, { caFile })).toBe(200)
    await expect(get(certificate, {})).rejects.toBeInstanceOf(OutboundFailed)
    await expect(get(certificate, { caFile: fileOf('another.pem', another.cert) })).rejects.toBeInstanceOf(
      OutboundFailed,
    )
    // NODE_EXTRA_CA_CERTS counts beside it.
    expect(await get(certificate, { caFile: join(folder, 'another.pem'), extraCaFile: caFile })).toBe(200)
    await expect(
      get(certificate, { caFile: join(folder, 'another.pem'), extraCaFile: join(folder, 'nothing.pem') }),
    ).rejects.toBeInstanceOf(OutboundFailed)
  })

  it('SEC-049 a production server does not start with certificate checks switched off', () => {
    const environment = { LINTEL_ISSUER: 'https://op.test', LINTEL_MASTER_KEY: testMasterKey }
    expect(() => readConfig({ ...environment, NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toThrow(
      /NODE_TLS_REJECT_UNAUTHORIZED/,
    )
    expect(readConfig(environment).loopback).toBe(false)
  })
})
