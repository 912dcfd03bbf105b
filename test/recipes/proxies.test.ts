/** Every proxy of docs/recipes that a package exists for, with the configuration of the recipe: LINTEL_TEST_LONG=1. */
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { Agent, request } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { publicAddressOf } from '../../src/main.ts'
import { lookAtPublicAddress } from '../../src/observe/public-address.ts'
import { Browser } from '../support/browser.ts'
import { getCode, pkcePair } from '../support/flow.ts'
import { freePort, startServer } from '../support/server.ts'
import { makeProxyPlace, type programs, startProxy } from './programs.ts'

const recipes: [program: keyof typeof programs, recipe: string, path: string][] = [
  ['nginx', 'nginx.conf', ''],
  ['nginx', 'nginx-path.conf', '/sso'],
  ['caddy', 'Caddyfile', ''],
  ['caddy', 'Caddyfile-path', '/sso'],
  ['apache', 'apache.conf', ''],
  ['apache', 'apache-path.conf', '/sso'],
  ['haproxy', 'haproxy.cfg', ''],
]

/** The recipes under a path reach Lintel by a socket file. */
const begin = async (program: keyof typeof programs, recipe: string, path: string) => {
  const usesSocket = path !== ''
  const lintelPort = await freePort()
  const { place, authority, remove } = await makeProxyPlace(directory =>
    usesSocket ? join(directory, 'lintel.sock') : `127.0.0.1:${lintelPort}`,
  )
  onTestFinished(remove)
  // Proxies that give up being root must come to the socket.
  chmodSync(place.directory, 0o755)
  const issuer = `https://localhost:${place.port}${path}`
  const server = await startServer({
    issuer,
    settings: {
      LINTEL_LISTEN: usesSocket ? `unix:${place.lintel}` : place.lintel,
      LINTEL_OUTBOUND_CA: join(place.directory, 'ca.pem'),
      ...(usesSocket ? {} : { LINTEL_TRUSTED_PROXIES: '127.0.0.1' }),
    },
  })
  onTestFinished(() => server.stop())
  if (usesSocket) chmodSync(place.lintel, 0o666)
  const proxy = await startProxy(program, recipe, place)
  onTestFinished(() => proxy.stop())
  // From an address that is no proxy's.
  const visitor = new Agent({ localAddress: '127.0.0.7', connect: { ca: authority } })
  onTestFinished(() => visitor.close())
  const browser = () => new Browser(issuer, new URL(issuer).origin, visitor)
  return { server: { ...server, browser }, proxy, place, issuer, visitor, path }
}

type Begun = Awaited<ReturnType<typeof begin>>

const finds = async ({ issuer, visitor, path }: Begun): Promise<void> => {
  const { origin } = new URL(issuer)
  for (const name of ['openid-configuration', 'oauth-authorization-server'])
    for (const url of [`${issuer}/.well-known/${name}`, `${origin}/.well-known/${name}${path}`]) {
      const answer = await request(url, { dispatcher: visitor })
      expect(answer.statusCode, url).toBe(200)
      expect(await answer.body.json(), url).toMatchObject({ issuer, jwks_uri: `${issuer}/jwks` })
    }
  const change = await request(`${origin}/.well-known/change-password`, { dispatcher: visitor })
  expect(change.statusCode).toBe(303)
  expect(new URL(String(change.headers.location), origin).href).toBe(`${issuer}/account/password`)
  await change.body.dump()
}

const signsIn = async ({ server }: Begun): Promise<void> => {
  const alice = await server.createUser()
  const client = await server.createClient()
  const browser = server.browser()
  // What somebody says of their own address does not count.
  const send = browser.send.bind(browser)
  browser.send = (address, options = {}) =>
    send(address, { ...options, headers: { ...options.headers, 'x-forwarded-for': '203.0.113.9' } })
  const { code, verifier } = await getCode(browser, client, alice)
  const answer = await browser.send('/token', {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: client.redirectUri,
      client_id: client.id,
      client_secret: client.secret ?? '',
    }).toString(),
  })
  expect(answer.status, answer.body).toBe(200)
  expect(browser.setCookies.length).toBeGreaterThan(0)
  for (const cookie of browser.setCookies) expect(cookie).toMatch(/^__Host-lintel=.*; Secure$/)
  const audit = (await server.audit()).filter(({ event }) => event === 'login.succeeded')
  expect(audit.map(({ ip }) => ip)).toEqual(['127.0.0.7'])
}

/** As long as a URL may be: in, and back out in the redirect. */
const carriesLongState = async ({ server }: Begun): Promise<void> => {
  const client = await server.createClient({ client_id: 'long' })
  const state = 's'.repeat(7_000)
  const { challenge } = pkcePair()
  const query = new URLSearchParams({
    client_id: client.id,
    redirect_uri: client.redirectUri,
    response_type: 'code',
    scope: 'openid',
    prompt: 'none',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    state,
  })
  const answer = await server.browser().send(`/authorize?${query}`)
  expect(answer.status, answer.body.slice(0, 500)).toBe(303)
  expect(new URL(answer.location ?? '').searchParams.get('state')).toBe(state)
}

describe.runIf(process.env['LINTEL_TEST_LONG'])('docs/recipes', () => {
  for (const [program, recipe, path] of recipes)
    it(`${recipe}: discovery, a sign-in, addresses, long requests, and the self-check`, async () => {
      const begun = await begin(program, recipe, path)
      const { server, place } = begun
      await finds(begun)
      await signsIn(begun)
      await carriesLongState(begun)
      const troubles = await lookAtPublicAddress(
        publicAddressOf(server.services, {
          issuer: begun.issuer,
          basePath: path,
          listen: { path: place.lintel },
          tls: { cert: undefined, key: undefined },
        }),
      )
      expect(troubles).toEqual([])
      expect(server.logged.filter(line => line.includes('proxy.untrusted'))).toEqual([])
    })
})
