import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { addressList } from '../../src/config/addresses.ts'
import { askHeader, askingProof } from '../../src/http/arrival.ts'
import { makeOutbound } from '../../src/http/outbound.ts'
import { openServerKey } from '../../src/keys/server-key.ts'
import { publicAddressOf } from '../../src/main.ts'
import { lookAtPublicAddress } from '../../src/observe/public-address.ts'
import { makeServerCertificate } from '../support/certificates.ts'
import { freshDatabase } from '../support/databases.ts'
import {
  addsAddress,
  certificateFor,
  type ProxyHabits,
  type ReverseProxy,
  startReverseProxy,
} from '../support/reverse-proxy.ts'
import { freePort, startServer, type TestServer } from '../support/server.ts'

const host = 'op.test'
let proxy: ReverseProxy
let target = 0
let certificate: ReturnType<typeof certificateFor>
let directory: string

beforeEach(async () => {
  certificate = certificateFor(host)
  directory = mkdtempSync(join(tmpdir(), 'lintel-proxy-'))
  writeFileSync(join(directory, 'ca.pem'), certificate.authority)
  proxy = await startReverseProxy(() => ({ port: target }), certificate)
  return async () => {
    await proxy.close()
    rmSync(directory, { recursive: true })
  }
})

type Setup = { trusted?: string; path?: string; issuer?: string; knowsAuthority?: boolean; allow?: string }

/** A server behind the proxy, and the way out that knows the name. */
const begin = async ({
  trusted = '127.0.0.1',
  path = '',
  issuer = `https://${host}:${proxy.port}${path}`,
  knowsAuthority = true,
  allow = '127.0.0.1',
}: Setup = {}) => {
  const server = await startServer({
    issuer,
    settings: trusted === '' ? {} : { LINTEL_TRUSTED_PROXIES: trusted },
    fetch: makeOutbound(
      {
        loopbackIssuer: false,
        allow: addressList(allow === '' ? [] : [allow]),
        ports: [],
        caFile: knowsAuthority ? join(directory, 'ca.pem') : undefined,
      },
      (_, __, answer) => answer(null, [{ address: '127.0.0.1', family: 4 }]),
    ),
  })
  onTestFinished(() => server.stop())
  target = Number(new URL(server.origin).port)
  return { server, codes: () => codesOf(server, issuer, path) }
}

const troublesOf = (server: TestServer, issuer: string, path: string) =>
  lookAtPublicAddress(
    publicAddressOf(server.services, {
      issuer,
      basePath: path,
      listen: { host: '127.0.0.1', port: target },
      tls: { cert: undefined, key: undefined },
    }),
  )

const codesOf = async (server: TestServer, issuer: string, path: string): Promise<string[]> =>
  (await troublesOf(server, issuer, path)).map(({ code }) => code)

const proofOf = async ({ services }: TestServer) =>
  askingProof(await openServerKey(services.store, services.box, 'self-check', services.now()), services.now())

it('finds nothing where nothing is wrong', async () => {
  const { codes } = await begin()
  expect(await codes()).toEqual([])
})

describe('the usual mistakes of a proxy, each by its name', () => {
  const plain = Buffer.from('{"issuer":"https://other.test"}').toString()
  const cases: [code: string, what: string, habits: ProxyHabits][] = [
    ['bad_gateway', 'it does not reach us', { answer: () => ({ status: 502 }) }],
    ['forbidden', 'it wants a password', { answer: () => ({ status: 401, body: '<h1>Sign in</h1>' }) }],
    ['something_else', 'a page of its own', { answer: () => ({ status: 200, body: '<h1>It works</h1>' }) }],
    ['something_else', 'it does not forward this path', { answer: () => ({ status: 404 }) }],
    [
      'redirected',
      'it sends visitors to another name',
      { answer: url => ({ status: 301, headers: { location: `https://www.op.test${url}` } }) },
    ],
    ['other_issuer', 'it leads to another provider', { answer: () => ({ status: 200, body: plain }) }],
    [
      'no_forwarded_for',
      'it takes X-Forwarded-For away and adds none',
      { headers: ({ 'x-forwarded-for': _, ...headers }) => headers },
    ],
    ['forged_forwarded_for', 'it passes on what a visitor sent', { headers: headers => headers }],
    [
      'forwarded_http',
      'something before it ends TLS',
      { headers: (headers, from) => ({ ...addsAddress(headers, from), 'x-forwarded-proto': 'http' }) },
    ],
    ['query_changed', 'it drops the query', { url: url => url.replace(/\?.*/, '') }],
    ['path_changed', 'it adds to the path', { url: url => `/app${url}` }],
    ['long_urls', 'it takes short URLs only', { longestUrl: 4000 }],
    ['large_answers', 'it takes small answers only', { largestAnswerHeader: 4096 }],
  ]
  for (const [code, what, habits] of cases)
    it(`${code}: ${what}`, async () => {
      const { codes } = await begin()
      proxy.behave(habits)
      expect(await codes()).toEqual([code])
    })

  it('untrusted_proxy: LINTEL_TRUSTED_PROXIES does not name it', async () => {
    const { server } = await begin({ trusted: '' })
    const [trouble, ...others] = await troublesOf(server, server.issuer, '')
    expect(others).toEqual([])
    expect(trouble).toMatchObject({
      code: 'untrusted_proxy',
      message: expect.stringContaining('LINTEL_TRUSTED_PROXIES=127.0.0.1'),
    })
  })

  it('path_stripped: it takes the path of the issuer off', async () => {
    const { codes } = await begin({ path: '/sso' })
    expect(await codes()).toEqual([])
    proxy.behave({ url: url => url.replace(/^\/sso/, '') })
    expect(await codes()).toEqual(['path_stripped'])
  })

  it('well_known_elsewhere: only what is under the path of the issuer leads here (RFC 8414 section 3.1)', async () => {
    const { codes } = await begin({ path: '/sso' })
    proxy.behave({ answer: url => (url.startsWith('/sso/') ? undefined : { status: 404 }) })
    expect(await codes()).toEqual(['well_known_elsewhere'])
  })

  it('cached: it answers from a store that does not tell queries apart', async () => {
    const { server, codes } = await begin()
    let kept: { status: number; headers: Record<string, string>; body: string } | undefined
    proxy.behave({ answer: () => kept })
    const { nonce, proof } = await proofOf(server)
    const url = `/.well-known/openid-configuration?self-check=${nonce}`
    const first = await server.browser().send(url, { headers: { [askHeader]: proof } })
    kept = {
      status: 200,
      headers: { 'lintel-arrival': String(first.headers['lintel-arrival']) },
      body: first.body,
    }
    expect(await codes()).toContain('cached')
  })

  it('other_server: the issuer is the same, the keys are not', async () => {
    const { server, codes } = await begin()
    const database = await freshDatabase('sqlite', 'empty')
    const other = await startServer({ issuer: server.issuer, database })
    onTestFinished(() => other.stop())
    target = Number(new URL(other.origin).port)
    expect(await codes()).toEqual(['other_server'])
  })
})

describe('an address that cannot be reached', () => {
  it('refused: nothing listens there', async () => {
    const { codes } = await begin({ issuer: `https://${host}:${await freePort()}` })
    expect(await codes()).toEqual(['refused'])
  })

  it('certificate_chain: nobody here knows who signed the certificate', async () => {
    const { codes } = await begin({ knowsAuthority: false })
    expect(await codes()).toEqual(['certificate_chain'])
  })

  it('certificate_name and certificate_ended', async () => {
    const day = 86_400_000
    const past = { from: new Date(Date.now() - 2 * day), to: new Date(Date.now() - day) }
    for (const [code, made] of [
      ['certificate_name', makeServerCertificate(['elsewhere.test'])],
      ['certificate_ended', makeServerCertificate([host], undefined, past)],
      ['certificate_authority', makeServerCertificate([host])],
    ] as const) {
      // Its own authority, so that nothing but the one mistake is seen.
      if (code !== 'certificate_authority') writeFileSync(join(directory, 'ca.pem'), made.cert)
      const site = https.createServer(made, (_, response) => response.end('{}'))
      await new Promise<void>(resolve => site.listen(0, '127.0.0.1', resolve))
      const { port } = site.address() as { port: number }
      const { codes } = await begin({ issuer: `https://${host}:${port}` })
      expect(await codes(), code).toEqual([code])
      site.close()
      site.closeAllConnections()
    }
  })

  it('not_https: plain http where https should be', async () => {
    const { server } = await begin()
    const { port } = new URL(server.origin)
    const { codes } = await begin({ issuer: `https://${host}:${port}` })
    expect(await codes()).toEqual(['not_https'])
  })

  it('not_looked: the name leads to an address that outgoing requests may not reach', async () => {
    const { server } = await begin({ allow: '' })
    const [trouble] = await troublesOf(server, server.issuer, '')
    expect(trouble).toMatchObject({
      code: 'not_looked',
      message: expect.stringContaining('LINTEL_OUTBOUND_ALLOW'),
    })
  })
})

describe('how a request arrived', () => {
  it('is told to nobody without proof, or with one that is old, altered or of another key', async () => {
    const { server } = await begin()
    const { nonce, proof } = await proofOf(server)
    const ask = async (value: string): Promise<unknown> =>
      (await server.browser().send('/livez', { headers: { [askHeader]: value } })).headers['lintel-arrival']
    for (const odd of [
      '',
      'x',
      '..',
      `1.${nonce}.${proof.split('.')[2]}`,
      proof.slice(0, -2),
      `${proof}x`,
      'NaN.a.b',
    ])
      expect(await ask(odd), odd).toBeUndefined()
    expect(await ask(proof)).toBeDefined()
    server.sleep(120)
    expect(await ask(proof)).toBeUndefined()
  })
})
