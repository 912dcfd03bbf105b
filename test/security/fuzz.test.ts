/** SEC-114: valid requests, bent by grammar and by bytes. Nothing may crash, hang, or be answered with a 5xx. */
import { randomInt } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import type { Browser } from '../support/browser.ts'
import { sized } from '../support/databases.ts'
import { authorizeUrl, basic, claimsIn, getCode, pkcePair, redeem } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { makeSpa, makeWeb } from './fixtures.ts'
import { rawRequest, sendRaw } from './raw-bytes.ts'

let server: TestServer
afterEach(() => server.stop())

const atOnce = 16

type Random = {
  below: (limit: number) => number
  of: <T>(values: readonly T[]) => T
  chance: (part: number) => boolean
}

/** The same run again for the same seed (mulberry32). */
const randomFrom = (seed: number): Random => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    below,
    of: values => values[below(values.length)] as (typeof values)[number],
    chance: part => next() < part,
  }
}

const texts = [
  ...[
    '',
    ' ',
    '\0',
    '\r\n',
    '\t',
    '%',
    '%00',
    '%zz',
    '%0d%0aX:1',
    '+',
    '&',
    '=',
    '#',
    '?',
    ';',
    '"',
    "'",
    '\\',
    '/',
  ],
  ...[
    '<svg onload=alert(1)>',
    '<%= 1 %>',
    '{{1}}',
    '#{1}',
    '__proto__',
    'constructor',
    'toString',
    'null',
    'undefined',
  ],
  ...[
    'NaN',
    '-1',
    '0',
    '1e309',
    '9'.repeat(30),
    '1.5',
    'true',
    '[]',
    '{}',
    '[object Object]',
    '../../etc/passwd',
  ],
  ...[
    'é',
    '𝄞',
    '\ud800',
    '\u202e',
    '\ufeff',
    '\u0000\u0000',
    'A'.repeat(300),
    'A'.repeat(3000),
    ' '.repeat(500),
  ],
  ...[
    "' or 1=1--",
    '; drop table user',
    '*',
    '%_',
    '$ne',
    'javascript:alert(1)',
    'https://evil.test/',
    '//evil.test',
  ],
  ...[
    'none',
    'login',
    'consent',
    'select_account',
    'none login',
    'openid',
    'offline_access',
    'code',
    'token',
    'id_token',
  ],
  ...[
    'query',
    'fragment',
    'form_post',
    'jwt',
    'S256',
    'plain',
    'client_credentials',
    'refresh_token',
    'password',
  ],
  ...[
    'eyJhbGciOiJub25lIn0.e30.',
    '..',
    'x.y.z',
    'lnc',
    `lnc${'0'.repeat(72)}`,
    'Basic ',
    'Bearer ',
    'Basic Og==',
  ],
]

const names = [
  ...[
    'client_id',
    'redirect_uri',
    'response_type',
    'response_mode',
    'scope',
    'state',
    'nonce',
    'prompt',
    'max_age',
  ],
  ...[
    'code_challenge',
    'code_challenge_method',
    'code_verifier',
    'id_token_hint',
    'login_hint',
    'ui_locales',
  ],
  ...[
    'claims',
    'request',
    'request_uri',
    'registration',
    'resource',
    'audience',
    'acr_values',
    'display',
    'dpop_jkt',
  ],
  ...[
    'grant_type',
    'code',
    'refresh_token',
    'client_secret',
    'client_assertion',
    'client_assertion_type',
    'token',
  ],
  ...[
    'access_token',
    'username',
    'password',
    'form_token',
    'decision',
    'account',
    'remember',
    'token_type_hint',
  ],
  ...['post_logout_redirect_uri', '__proto__', 'constructor', 'a[]', 'a[b]', ''],
]

type Message = {
  method: string
  path: string
  query: [string, string][]
  headers: string[]
  form: [string, string][] | undefined
}

/** One change of the grammar: a value, a name, one more, one less, another order. */
const bendFields = (fields: [string, string][], random: Random): [string, string][] => {
  const bent = fields.map(([name, value]): [string, string] => [name, value])
  const at = random.below(bent.length + 1)
  const one = bent[at]
  switch (random.below(7)) {
    case 0:
      bent.splice(at, 1)
      break
    case 1:
      bent.splice(at, 0, [random.of(names), random.of(texts)])
      break
    case 2:
      if (one) bent.splice(at, 0, [...one])
      break
    case 3:
      if (one) one[0] = random.of(names)
      break
    case 4:
      if (one)
        one[1] =
          one[1].slice(0, random.below(one[1].length + 1)) +
          random.of(texts) +
          one[1].slice(random.below(one[1].length + 1))
      break
    case 5:
      bent.sort(() => random.below(3) - 1)
      break
    default:
      if (one) one[1] = random.of(texts)
  }
  return bent
}

const oddHeaders = [
  'Accept: */*;q=x',
  'Accept: application/json',
  'Accept-Language: ,,;q=,de-;*',
  'Accept-Encoding: gzip, br, x',
  'Authorization: Basic ####',
  'Authorization: Bearer x',
  'Authorization: Basic OjpbXQ==',
  'Content-Type: application/json',
  'Content-Type: multipart/form-data; boundary=',
  'Content-Type: application/x-www-form-urlencoded; charset=',
  'Content-Encoding: gzip',
  'Cookie: lintel=x; lintel=y',
  'Cookie: =; ;; ===',
  'Expect: 100-continue',
  'Expect: nonsense',
  'If-None-Match: *',
  'Origin: null',
  'Origin: https://evil.test',
  'Range: bytes=0-0,5-',
  'Referer: javascript:1',
  'Sec-Fetch-Site: cross-site',
  'TE: trailers',
  'Transfer-Encoding: identity',
  'Upgrade: websocket',
  'Via: 1.1 x',
  'X-Forwarded-For: ,,1.2.3,[::',
  'X-Forwarded-Proto: javascript',
  'X-HTTP-Method-Override: DELETE',
  'X-Request-Id: \x80\xff',
]

/** A path or a header that is not what it was. */
const bendAround = (message: Message, random: Random): Message => {
  const { path, headers } = message
  switch (random.below(4)) {
    case 0:
      return { ...message, headers: [...headers, random.of(oddHeaders)] }
    case 1:
      return {
        ...message,
        method: random.of([
          'GET',
          'POST',
          'HEAD',
          'PUT',
          'PATCH',
          'DELETE',
          'OPTIONS',
          'TRACE',
          'PROPFIND',
          'get',
        ]),
      }
    case 2:
      return {
        ...message,
        path:
          path +
          random.of([
            '/',
            '//',
            '/.',
            '/..',
            '%2f',
            '%00',
            '%ff',
            ';x',
            '\x80',
            `/${'a'.repeat(500)}`,
            ':',
            '%',
            '/__proto__',
            '*',
          ]),
      }
    default:
      return { ...message, headers: headers.filter(() => !random.chance(0.3)) }
  }
}

const encode = (fields: [string, string][]): string => new URLSearchParams(fields).toString()

const toBytes = ({ method, path, query, headers, form }: Message): Buffer => {
  const target = query.length > 0 ? `${path}?${encode(query)}` : path
  const body = form === undefined ? '' : encode(form)
  const own =
    form === undefined
      ? []
      : ['Content-Type: application/x-www-form-urlencoded', `Content-Length: ${body.length}`]
  return rawRequest(server, `${method} ${target} HTTP/1.1`, [...own, ...headers], body)
}

/** A few bytes changed, put in, taken out or doubled, anywhere in the request. */
const bendBytes = (bytes: Buffer, random: Random): Buffer => {
  let bent = bytes
  for (let changes = random.below(4) + 1; changes > 0; changes--) {
    const at = random.below(bent.length + 1)
    const to = Math.min(bent.length, at + random.below(20))
    const put = random.of([
      Buffer.from([random.below(256)]),
      Buffer.from([random.below(256), random.below(256), random.below(256)]),
      bent.subarray(at, to),
      Buffer.from(random.of(['\r\n', '\r', '\n', ' ', ':', '%', '\0', '&', '=', '\xff', '\r\n\r\n'])),
      Buffer.alloc(0),
    ])
    bent = Buffer.concat([bent.subarray(0, at), put, bent.subarray(random.chance(0.5) ? at : to)])
  }
  return bent
}

const bend = (message: Message, random: Random): Buffer => {
  let bent = message
  for (let changes = random.below(3) + 1; changes > 0; changes--)
    if (random.chance(0.25)) bent = bendAround(bent, random)
    else if (bent.form && random.chance(0.8)) bent = { ...bent, form: bendFields(bent.form, random) }
    else bent = { ...bent, query: bendFields(bent.query, random) }
  const bytes = toBytes(bent)
  return random.chance(0.35) ? bendBytes(bytes, random) : bytes
}

type World = {
  web: TestClient
  spa: TestClient
  browser: Browser
  code: string
  verifier: string
  tokens: Record<string, unknown>
}

/** People, clients and tokens as they are in the middle of everything. */
const makeWorld = async (): Promise<World> => {
  const web = await makeWeb(server, {
    grant_types: ['authorization_code', 'refresh_token'],
    post_logout_redirect_uris: ['https://web.test/bye'],
  })
  const spa = await makeSpa(server)
  await server.createUser({ email: 'alice@web.test' })
  return { web, spa, browser: server.browser(), code: '', verifier: '', tokens: {} }
}

/** Signs in again and gets what has ended meanwhile: the clock is moved ahead of the throttles. */
const renew = async (world: World): Promise<void> => {
  server.sleep(1801)
  world.browser = server.browser()
  const alice = { username: 'alice', password: 'correct horse battery staple' }
  world.tokens = (await redeem(server, world.web, await getCode(world.browser, world.web, alice))).json
  const { code, verifier } = await getCode(world.browser, world.web, alice)
  Object.assign(world, { code, verifier })
}

const cookieOf = (world: World): string =>
  `Cookie: ${[...world.browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')}`
const authorizationOf = (world: World): string => `Authorization: ${basic(world.web)['authorization']}`

const requestFields = (world: World): [string, string][] => {
  const url = authorizeUrl(world.web, {
    code_challenge: pkcePair().challenge,
    code_challenge_method: 'S256',
    nonce: 'n-1',
    prompt: 'none',
    max_age: '1000000',
    login_hint: 'alice',
    ui_locales: 'de en',
    id_token_hint: String(world.tokens['id_token']),
  })
  return [...new URLSearchParams(url.slice('/authorize?'.length))]
}

/** A page of ours on its way, with the fields that its form has. */
const pageForm = async (
  world: World,
  kind: 'sign-in' | 'consent' | 'accounts',
  more: [string, string][],
): Promise<Message> => {
  const prompt = { 'sign-in': 'login', consent: 'consent', accounts: 'select_account' }[kind]
  const pkce = { code_challenge: pkcePair().challenge, code_challenge_method: 'S256' }
  const page = await world.browser.open(authorizeUrl(world.web, { ...pkce, prompt }))
  const token = /name="form_token" value="([^"]*)"/.exec(page.body)?.[1] ?? ''
  return {
    method: 'POST',
    path: new URL(page.url).pathname,
    query: [],
    headers: [cookieOf(world), `Origin: ${server.issuer}`],
    form: [['form_token', token], ...more],
  }
}

const get = (path: string, query: [string, string][], headers: string[] = []): Message => ({
  method: 'GET',
  path,
  query,
  headers,
  form: undefined,
})
const form = (path: string, fields: [string, string][], headers: string[] = []): Message => ({
  method: 'POST',
  path,
  query: [],
  headers,
  form: fields,
})

const endpoints: [string, (world: World) => Message | Promise<Message>][] = [
  ['GET /authorize', world => get('/authorize', requestFields(world), [cookieOf(world)])],
  ['POST /authorize', world => form('/authorize', requestFields(world), [cookieOf(world)])],
  [
    'POST /token with a code',
    world =>
      form(
        '/token',
        [
          ['grant_type', 'authorization_code'],
          ['code', world.code],
          ['redirect_uri', world.web.redirectUri],
          ['code_verifier', world.verifier],
        ],
        [authorizationOf(world)],
      ),
  ],
  [
    'POST /token with a refresh token',
    world =>
      form('/token', [
        ['grant_type', 'refresh_token'],
        ['refresh_token', String(world.tokens['refresh_token'])],
        ['client_id', world.web.id],
        ['client_secret', String(world.web.secret)],
      ]),
  ],
  ['GET /userinfo', world => get('/userinfo', [], [`Authorization: Bearer ${world.tokens['access_token']}`])],
  ['POST /userinfo', world => form('/userinfo', [['access_token', String(world.tokens['access_token'])]])],
  [
    'POST /introspect',
    world => form('/introspect', [['token', String(world.tokens['access_token'])]], [authorizationOf(world)]),
  ],
  [
    'POST /revoke',
    world => form('/revoke', [['token', `${world.tokens['access_token']}x`]], [authorizationOf(world)]),
  ],
  [
    'GET /logout',
    world =>
      get('/logout', [
        ['id_token_hint', String(world.tokens['id_token'])],
        ['post_logout_redirect_uri', 'https://web.test/bye'],
        ['state', 's'],
      ]),
  ],
  [
    'POST /logout',
    world =>
      form(
        '/logout',
        [
          ['client_id', 'web'],
          ['decision', 'yes'],
          ['form_token', 'x'],
        ],
        [cookieOf(world)],
      ),
  ],
  [
    'POST /sign-in',
    world =>
      pageForm(world, 'sign-in', [
        ['username', 'alice'],
        ['password', 'correct horse battery staple'],
      ]),
  ],
  ['POST /consent', world => pageForm(world, 'consent', [['decision', 'allow']])],
  [
    'POST /accounts',
    world => pageForm(world, 'accounts', [['account', String(claimsIn(world.tokens['id_token'])['sid'])]]),
  ],
  ['GET /setup', () => get('/setup', [['token', `lnu${'0'.repeat(72)}`]])],
  ['GET documents', () => get('/.well-known/openid-configuration', [], ['If-None-Match: "x"'])],
]

describe('SEC-114', () => {
  it.each(endpoints)(
    'SEC-114 %s: whatever is sent, no crash, no hang, no answer of 500 or above',
    async (_, valid) => {
      server = await startServer()
      const seed = Number(process.env['LINTEL_TEST_SEED'] ?? sized(20_261_125, randomInt(2 ** 31)))
      const random = randomFrom(seed)
      const world = await makeWorld()
      const before = process.memoryUsage().rss
      const failures: string[] = []
      const statuses = new Map<number, number>()
      let message = get('/', [])
      // The full 10^4 need LINTEL_TEST_LONG.
      const perEndpoint = sized(80, 10_000, 'mutations of each endpoint')
      for (let sent = 0; sent < perEndpoint; sent += atOnce) {
        // Often enough that what is bent is still good by itself, and no throttle answers for the rest.
        if (sent % (atOnce * 2) === 0) {
          await renew(world)
          message = await valid(world)
        }
        const batch = Array.from({ length: atOnce }, () => bend(message, random))
        const answers = await Promise.all(batch.map(async bytes => ({ bytes, ...(await send(bytes)) })))
        for (const { bytes, status, took } of answers) {
          statuses.set(status, (statuses.get(status) ?? 0) + 1)
          const fault = await faultOf(bytes, { status, took })
          if (fault !== undefined)
            failures.push(`seed ${seed}: ${fault}\n${bytes.toString('latin1').slice(0, 3000)}`)
        }
      }
      expect(failures.slice(0, 3)).toEqual([])
      expect(server.logged.filter(line => line.includes('"request.failed"')).slice(0, 3)).toEqual([])
      expect((await server.browser().send('/jwks')).status).toBe(200)
      // What is sent reaches the endpoint: not everything is refused by the parser in front of it.
      expect([...statuses.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(
        perEndpoint,
      )
      expect((statuses.get(400) ?? 0) / perEndpoint).toBeLessThan(0.98)
      global.gc?.()
      expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
    },
    sized(60_000, 3_600_000),
  )
})

/** What a request still lacks, so that the server need not wait for it: the end of its head, the rest of its body. */
const completed = (bytes: Buffer): Buffer => {
  const whole = bytes.includes('\r\n\r\n') ? bytes : Buffer.concat([bytes, Buffer.from('\r\n\r\n')])
  const end = whole.indexOf('\r\n\r\n')
  const head = whole.subarray(0, end + 2).toString('latin1')
  const length = Number(/\ncontent-length: *(\d{1,6})\r/i.exec(head)?.[1] ?? 0)
  return Buffer.concat([whole, Buffer.alloc(Math.max(0, length - (whole.length - end - 4)), 'x')])
}

type Outcome = { status: number; took: number }

const send = async (bytes: Buffer): Promise<Outcome> =>
  sendRaw(server, completed(bytes), 2000).catch(() => ({ status: -1, took: 2000 }))

const isTooSlow = ({ took }: Outcome): boolean => took > 1000

/**
 * What is wrong with an answer, or undefined. One that came late, or was turned away because passwords are being
 * hashed for others, is asked for again with nobody beside it: a hang is there every time.
 */
const faultOf = async (bytes: Buffer, first: Outcome): Promise<string | undefined> => {
  const outcome = isTooSlow(first) || first.status === 503 ? await send(bytes) : first
  if (outcome.status >= 500) return `status ${outcome.status}`
  return isTooSlow(outcome) ? `nothing for ${Math.round(outcome.took)} ms` : undefined
}
