import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, generateKeyPair, type JSONWebKeySet, jwtVerify, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endSessions, sessionsOfUser } from '../../src/identity/session.ts'
import { listOutbox, type OutboxRow } from '../../src/store/outbox.ts'
import { until } from '../store/support.ts'
import type { Answer, Browser } from '../support/browser.ts'
import { fromOutside, sized } from '../support/databases.ts'
import { claimsIn, getCode, redeem } from '../support/flow.ts'
import { eventually, startServer, type TestClient, type TestServer } from '../support/server.ts'
import { slowStore } from './faults.ts'
import { disableClient } from './fixtures.ts'
import { expectAudited, expectErrorPage, unchanged } from './outcomes.ts'
import { accountsOn, addPerson, makePerson, openRequest, type Person, postForm, silently } from './people.ts'

let server: TestServer
let alice: Person
const closing: (() => void)[] = []
let slow: ReturnType<typeof slowStore>
beforeEach(async () => {
  slow = slowStore()
  server = await startServer({ wrapStore: slow.wrapStore })
  alice = await makePerson(server)
})
afterEach(async () => {
  await server.stop()
  for (const close of closing.splice(0)) close()
})

/** An app's end of back-channel logout: a real server on loopback that keeps what came. */
type Receiver = { uri: string; tokens: string[]; requests: { request: IncomingMessage; body: string }[] }

const startReceiver = async (
  answer: (
    count: number,
  ) => { status: number; headers?: Record<string, string> } | 'hang' | 'stream' = () => ({
    status: 200,
  }),
): Promise<Receiver> => {
  const receiver: Receiver = { uri: '', tokens: [], requests: [] }
  const site: Server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    receiver.requests.push({ request, body })
    receiver.tokens.push(new URLSearchParams(body).get('logout_token') ?? '')
    const said = answer(receiver.requests.length)
    if (said === 'stream') {
      const drip = setInterval(() => response.write('.'), 100)
      response.on('close', () => clearInterval(drip))
    } else if (said !== 'hang') response.writeHead(said.status, said.headers).end()
  })
  await new Promise<void>(resolve => site.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    site.close()
    site.closeAllConnections()
  })
  receiver.uri = `http://localhost:${(site.address() as AddressInfo).port}/backchannel`
  return receiver
}

const bye = 'https://app.test/bye'
const makeApp = (more: Record<string, unknown> = {}): Promise<TestClient> =>
  server.createClient({
    client_id: 'app',
    client_name: 'App',
    client_uri: 'https://app.test/',
    redirect_uris: ['https://app.test/cb'],
    post_logout_redirect_uris: [bye, 'https://app.test/bye?from=op'],
    ...more,
  })

/** Somebody who is signed in for an app, with the ID token the app has. */
const signedIn = async (client: TestClient, person = alice): Promise<{ browser: Browser; hint: string }> => {
  const browser = server.browser()
  return { browser, hint: await hintOf(browser, client, person) }
}
const hintOf = async (browser: Browser, client: TestClient, person = alice): Promise<string> => {
  const { code, verifier } = await getCode(browser, client, person)
  return String((await redeem(server, client, { code, verifier })).json['id_token'])
}

const logoutUrl = (parameters: Record<string, string>): string => `/logout?${new URLSearchParams(parameters)}`

const isIn = async (browser: Browser, client: TestClient): Promise<boolean> =>
  (await silently(browser, client)).has('code')

const expectQuestion = (answer: Answer, what = ''): void => {
  expect(answer.status, what).toBe(200)
  expect(answer.body, what).toContain('value="yes"')
  expect(answer.location, what).toBeUndefined()
}
const expectSignedOutPage = (answer: Answer, what = ''): void => {
  expect(answer.status, what).toBe(200)
  expect(answer.body, what).toContain('<h1>You’re signed out</h1>')
  expect(answer.body, what).not.toContain('name="decision"')
  expect(answer.location, what).toBeUndefined()
}

const outbox = (): Promise<OutboxRow[]> => listOutbox(server.services.store, { limit: 100 })

describe('a logout with a valid hint', () => {
  it('ends the session at once and goes back with state, and nothing else (RP-Initiated Logout §2, §3)', async () => {
    const app = await makeApp()
    const state = 'aZ09-._~ +&=%"\\é😀#?/'.padEnd(128, 's')
    const cases: [Record<string, string>, string][] = [
      [{ post_logout_redirect_uri: bye }, bye],
      [{ post_logout_redirect_uri: bye, state: 'x' }, `${bye}?state=x`],
      [{ post_logout_redirect_uri: bye, client_id: 'app', state: 'x y' }, `${bye}?state=x+y`],
      [{ post_logout_redirect_uri: `${bye}?from=op`, state: 'x' }, `${bye}?from=op&state=x`],
      [{ post_logout_redirect_uri: `${bye}?from=op` }, `${bye}?from=op`],
    ]
    for (const [parameters, expected] of cases)
      for (const method of ['GET', 'POST']) {
        const { browser, hint } = await signedIn(app)
        const all = { id_token_hint: hint, ...parameters }
        const answer =
          method === 'GET'
            ? await browser.send(logoutUrl(all))
            : await browser.send('/logout', { method, body: new URLSearchParams(all).toString() })
        expect(answer.status).toBe(303)
        expect(answer.location).toBe(expected)
        expect(answer.body).toBe('')
        expect((await silently(browser, app)).get('error')).toBe('login_required')
        await expectAudited(server, answer, 'session.ended', { reason: 'signed_out' })
      }
    const { browser, hint } = await signedIn(app)
    const answer = await browser.send(
      logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: bye, state }),
    )
    expect(new URL(answer.location ?? '').searchParams.get('state')).toBe(state)
  })

  it('is honoured after the ID token has expired (§4)', async () => {
    const app = await makeApp()
    const { browser, hint } = await signedIn(app)
    for (const minutes of [40, 40]) {
      server.sleep(minutes * 60)
      expect(await isIn(browser, app)).toBe(true)
    }
    expect(Number(claimsIn(hint)['exp'])).toBeLessThan(server.services.now().getTime() / 1000)
    const answer = await browser.send(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: bye }))
    expect(answer.location).toBe(bye)
    expect(await isIn(browser, app)).toBe(false)
  })

  it('without an address to go back to stays with us: signed out', async () => {
    const app = await makeApp()
    for (const parameters of [{}, { state: 'only' }] as Record<string, string>[]) {
      const { browser, hint } = await signedIn(app)
      expectSignedOutPage(await browser.send(logoutUrl({ id_token_hint: hint, ...parameters })))
      expect(await isIn(browser, app)).toBe(false)
    }
  })

  it('SEC-029 an address that is not registered ends the session, and goes nowhere', async () => {
    const app = await makeApp()
    for (const uri of [
      'https://evil.test/',
      `${bye}?x=1`,
      `${bye}/`,
      `${bye}#f`,
      'https://APP.test/bye',
      'https://app.test/cb',
      '//evil.test',
      'javascript:alert(1)',
      `${bye}\r\nX: y`,
      '/',
      'x'.repeat(3000),
    ]) {
      const { browser, hint } = await signedIn(app)
      const answer = await browser.send(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: uri }))
      expectSignedOutPage(answer, uri)
      expect(answer.body, uri).not.toContain('evil.test')
      expect(await isIn(browser, app), uri).toBe(false)
    }
  })

  it('when the session has ended already goes back without a question', async () => {
    const app = await makeApp()
    const { browser, hint } = await signedIn(app)
    await browser.send(logoutUrl({ id_token_hint: hint }))
    const again = await unchanged(server, () =>
      browser.send(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: bye })),
    )
    expect(again.location).toBe(bye)
    const stranger = await server
      .browser()
      .send(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: bye }))
    expect(stranger.location).toBe(bye)
    expect(stranger.headers['set-cookie']).toBeUndefined()
  })

  it('of somebody else than who is signed in asks, and says who it is about', async () => {
    const app = await makeApp()
    const bob = await makePerson(server, { username: 'bob' })
    const { browser } = await signedIn(app)
    const other = await signedIn(app, bob)
    const answer = await unchanged(server, () =>
      browser.send(logoutUrl({ id_token_hint: other.hint, post_logout_redirect_uri: bye })),
    )
    expectQuestion(answer)
    expect(answer.body).toContain('<bdi>alice</bdi>')
    expect(await isIn(browser, app)).toBe(true)
    expect(await isIn(other.browser, app)).toBe(true)
  })

  it('in another browser, of the same person, ends nothing there without a question', async () => {
    const app = await makeApp()
    const { hint } = await signedIn(app)
    const { browser } = await signedIn(app)
    expectQuestion(await unchanged(server, () => browser.send(logoutUrl({ id_token_hint: hint }))))
    expect(await isIn(browser, app)).toBe(true)
  })

  it('ends that one person’s session: the others in the browser stay', async () => {
    const app = await makeApp()
    const bob = await makePerson(server, { username: 'bob' })
    const { browser, hint } = await signedIn(app)
    await addPerson(browser, app, bob)
    expect(await isIn(browser, app)).toBe(true)
    const answer = await browser.send(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: bye }))
    expect(answer.location).toBe(bye)
    // bob is active, and still is.
    expect(claimsIn(await hintOf(browser, app, bob))['sub']).not.toBe(claimsIn(hint)['sub'])
    const chooser = await openRequest(browser, app, { prompt: 'select_account' })
    expect([...accountsOn(chooser).keys()]).toEqual(['bob'])
  })
})

describe('a logout posted without cookies', () => {
  it('with a valid hint ends the session that its sid names (contracts.md section 6)', async () => {
    const app = await makeApp()
    const { browser, hint } = await signedIn(app)
    const other = await signedIn(app)
    const body = new URLSearchParams({
      id_token_hint: hint,
      post_logout_redirect_uri: bye,
      state: 's',
    }).toString()
    const headers = { origin: 'https://app.test', 'sec-fetch-site': 'cross-site' }
    const answer = await server.browser().send('/logout', { method: 'POST', body, headers })
    expect(answer.location).toBe(`${bye}?state=s`)
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(await isIn(browser, app)).toBe(false)
    expect(await isIn(other.browser, app)).toBe(true)
    // Once more: it has ended.
    const again = await unchanged(server, () =>
      server.browser().send('/logout', { method: 'POST', body, headers }),
    )
    expect(again.location).toBe(`${bye}?state=s`)
  })

  it('but by GET ends nothing: a picture on any page could do that', async () => {
    const app = await makeApp()
    const { browser, hint } = await signedIn(app)
    await unchanged(server, () => server.browser().send(logoutUrl({ id_token_hint: hint })))
    expect(await isIn(browser, app)).toBe(true)
  })

  it('with no hint, or one that is not ours, ends nothing', async () => {
    const app = await makeApp()
    const { browser, hint } = await signedIn(app)
    for (const fields of [
      {},
      { client_id: 'app' },
      { id_token_hint: `${hint}x` },
      { id_token_hint: 'x' },
    ] as Record<string, string>[])
      expectSignedOutPage(
        await unchanged(server, () =>
          server.browser().send('/logout', { method: 'POST', body: new URLSearchParams(fields).toString() }),
        ),
      )
    expect(await isIn(browser, app)).toBe(true)
  })
})

describe('a hint that is not good', () => {
  it('ends nothing and leads nowhere: signed by another, changed, unsigned, of another kind, of another client', async () => {
    const app = await makeApp()
    await server.createClient({ client_id: 'other', post_logout_redirect_uris: ['https://other.test/bye'] })
    const { browser, hint } = await signedIn(app)
    const { code, verifier } = await getCode(browser, app, alice)
    const accessToken = String((await redeem(server, app, { code, verifier })).json['access_token'])
    const [head = '', body = '', signature = ''] = hint.split('.')
    const claims = claimsIn(hint)
    const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as { alg: string; kid: string }
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const { privateKey } = await generateKeyPair('RS256')
    const foreign = await new SignJWT(claims)
      .setProtectedHeader({ ...header, alg: 'RS256', typ: 'JWT' })
      .sign(privateKey)
    const hints: Record<string, string> = {
      foreign,
      'alg none': `${encode({ alg: 'none', kid: header.kid })}.${body}.`,
      'alg none with a signature': `${encode({ alg: 'none', typ: 'JWT', kid: header.kid })}.${body}.${signature}`,
      changed: `${head}.${encode({ ...claims, extra: 1 })}.${signature}`,
      'no signature': `${head}.${body}.`,
      'an access token': accessToken,
      nonsense: 'nonsense',
      long: `${head}.${'x'.repeat(5000)}.${signature}`,
    }
    const tries: Record<string, string>[] = [
      ...Object.values(hints).map(id_token_hint => ({ id_token_hint, post_logout_redirect_uri: bye })),
      ...Object.values(hints).map(id_token_hint => ({
        id_token_hint,
        client_id: 'app',
        post_logout_redirect_uri: bye,
      })),
      { id_token_hint: hint, client_id: 'other', post_logout_redirect_uri: bye },
      { id_token_hint: hint, client_id: 'other', post_logout_redirect_uri: 'https://other.test/bye' },
      { id_token_hint: hint, client_id: 'nope', post_logout_redirect_uri: bye },
      { id_token_hint: hint, client_id: 'a\0b', post_logout_redirect_uri: bye },
    ]
    for (const parameters of tries) {
      const what = JSON.stringify(parameters).slice(0, 200)
      const answer = await unchanged(server, () => browser.send(logoutUrl(parameters)), what)
      expectQuestion(answer, what)
      expect(await isIn(browser, app), what).toBe(true)
    }
    // Confirmed by the person it signs out, and still goes nowhere.
    const question = await browser.send(logoutUrl({ id_token_hint: foreign, post_logout_redirect_uri: bye }))
    expectSignedOutPage(await browser.submit(question, { decision: 'yes' }))
    expect(await isIn(browser, app)).toBe(false)
  })

  it('sent twice, or with any other parameter twice, is an error page', async () => {
    const app = await makeApp()
    const { browser, hint } = await signedIn(app)
    for (const name of ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state', 'ui_locales']) {
      const query = new URLSearchParams({ id_token_hint: hint, client_id: 'app', [name]: hint })
      query.append(name, 'x')
      const answer = await unchanged(server, () => browser.send(`/logout?${query}`))
      expectErrorPage(answer, 'invalid_request', name)
    }
    expect(await isIn(browser, app)).toBe(true)
  })
})

describe('a logout without a hint', () => {
  it('asks; `yes` signs out and stays, `no` changes nothing', async () => {
    const app = await makeApp()
    const { browser } = await signedIn(app)
    const question = await unchanged(server, () => browser.send('/logout'))
    expectQuestion(question)
    expect(question.body).toContain('<bdi>alice</bdi>')
    const stayed = await unchanged(server, () => browser.submit(question, { decision: 'no' }))
    expect(stayed.status).toBe(200)
    expect(stayed.headers['set-cookie']).toBeUndefined()
    expect(await isIn(browser, app)).toBe(true)
    expectQuestion(await unchanged(server, () => browser.submit(question, { decision: 'perhaps' })))
    expectSignedOutPage(await browser.submit(question, { decision: 'yes' }))
    expect(await isIn(browser, app)).toBe(false)
    expectSignedOutPage(await browser.send('/logout'))
  })

  it('with client_id asks, and goes back after yes; `no` links to the app, and keeps nobody from staying', async () => {
    const app = await makeApp()
    const { browser } = await signedIn(app)
    const state = 'a"b<c>\u202ed\u0007&amp;'
    const url = logoutUrl({ client_id: 'app', post_logout_redirect_uri: bye, state })
    const question = await browser.send(url)
    expectQuestion(question)
    const stayed = await browser.submit(question, { decision: 'no' })
    expect(stayed.location).toBeUndefined()
    expect(stayed.body).toContain('href="https://app.test/"')
    expect(stayed.body).not.toContain(bye)
    const back = await browser.submit(question, { decision: 'yes' })
    expect(new URL(back.location ?? '').searchParams.get('state')).toBe(state)
  })

  it('SEC-029 with neither client nor hint goes back only where exactly one client registered it', async () => {
    const app = await makeApp()
    const { browser } = await signedIn(app)
    const url = logoutUrl({ post_logout_redirect_uri: bye, state: 's' })
    const question = await unchanged(server, () => browser.send(url))
    expectQuestion(question)
    expect((await browser.submit(question, { decision: 'yes' })).location).toBe(`${bye}?state=s`)
    const again = await signedIn(app)
    await server.createClient({ client_id: 'second', post_logout_redirect_uris: [bye] })
    expectSignedOutPage(await again.browser.submit(await again.browser.send(url), { decision: 'yes' }))
    for (const uri of [
      'https://evil.test/',
      'https://app.test/',
      'https://app.test/cb',
      '',
      '%',
      `${bye}%`,
    ]) {
      const { browser } = await signedIn(app)
      const asked = await browser.send(logoutUrl({ post_logout_redirect_uri: uri }))
      expectQuestion(asked, uri)
      expectSignedOutPage(await browser.submit(asked, { decision: 'yes' }), uri)
    }
  })

  it('SEC-029 an address registered by another client than the one that is named is none', async () => {
    const app = await makeApp()
    await server.createClient({ client_id: 'other', post_logout_redirect_uris: ['https://other.test/bye'] })
    for (const client_id of ['other', 'nope', '\0', 'x'.repeat(600)]) {
      const { browser } = await signedIn(app)
      const question = await browser.send(logoutUrl({ client_id, post_logout_redirect_uri: bye }))
      expectQuestion(question, client_id)
      expectSignedOutPage(await browser.submit(question, { decision: 'yes' }), client_id)
    }
  })

  it('a client that was disabled is no way back', async () => {
    const app = await makeApp()
    const { browser, hint } = await signedIn(app)
    await disableClient(server, app)
    for (const parameters of [{ client_id: 'app' }, {}, { id_token_hint: hint }] as Record<
      string,
      string
    >[]) {
      const answer = await server.browser().send(logoutUrl({ ...parameters, post_logout_redirect_uri: bye }))
      expectSignedOutPage(answer, JSON.stringify(parameters))
    }
    const answer = await browser.send(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: bye }))
    expectSignedOutPage(answer)
  })
})

describe('several sign-outs at once', () => {
  it('of two people in one browser end both sessions, whoever is first', async () => {
    const receiver = await startReceiver()
    const app = await makeApp({ backchannel_logout_uri: receiver.uri })
    const bob = await makePerson(server, { username: 'bob' })
    for (let round = 0; round < 5; round++) {
      const { browser, hint } = await signedIn(app)
      await addPerson(browser, app, bob)
      const bobHint = await hintOf(browser, app, bob)
      // Both have read before one writes.
      slow.holdCommits(100)
      const answers = await Promise.all(
        [hint, bobHint].map(id_token_hint =>
          browser.send(logoutUrl({ id_token_hint, post_logout_redirect_uri: bye })),
        ),
      )
      slow.holdCommits(0)
      expect(answers.map(answer => answer.location)).toEqual([bye, bye])
      const alive = await server.services.store.search(knex =>
        knex('session').select('id').whereNull('ended_at'),
      )
      expect(alive, `round ${round}`).toEqual([])
    }
    expect(await outbox()).toHaveLength(10)
  })

  it('20 of one person are one: one event, one notice an app', async () => {
    const receiver = await startReceiver()
    const app = await makeApp({ backchannel_logout_uri: receiver.uri })
    const { browser, hint } = await signedIn(app)
    const url = logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: bye })
    slow.holdCommits(100)
    const answers = await Promise.all(Array.from({ length: 20 }, () => browser.send(url)))
    expect(answers.map(answer => answer.location)).toEqual(answers.map(() => bye))
    expect((await server.audit()).filter(row => row.event === 'session.ended')).toHaveLength(1)
    expect(await outbox()).toHaveLength(1)
  })
})

describe('the apps of a session are told', () => {
  it('SEC-144 by a logout token that says whose session it was, and nothing that makes it an ID token', async () => {
    const receiver = await startReceiver()
    const app = await makeApp({ backchannel_logout_uri: receiver.uri })
    const { browser, hint } = await signedIn(app)
    await browser.send(logoutUrl({ id_token_hint: hint }))
    await eventually(() => receiver.requests.length === 1, 'the app is told')
    const [{ request, body } = { request: undefined, body: '' }] = receiver.requests
    expect(request?.method).toBe('POST')
    expect(request?.headers['content-type']).toBe('application/x-www-form-urlencoded')
    expect(request?.headers['cookie']).toBeUndefined()
    expect(request?.headers['authorization']).toBeUndefined()
    expect([...new URLSearchParams(body).keys()]).toEqual(['logout_token'])
    const jwks = JSON.parse((await server.browser().send('/jwks')).body) as JSONWebKeySet
    const { payload, protectedHeader } = await jwtVerify(receiver.tokens[0] ?? '', createLocalJWKSet(jwks), {
      issuer: server.issuer,
      audience: 'app',
    })
    expect(protectedHeader).toMatchObject({ alg: 'RS256', typ: 'logout+jwt', kid: expect.any(String) })
    const { sub, sid } = claimsIn(hint)
    expect(payload).toEqual({
      iss: server.issuer,
      aud: 'app',
      sub,
      sid,
      iat: expect.any(Number),
      exp: expect.any(Number),
      jti: expect.stringMatching(/^[0-9a-z]{20,}$/),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    })
    expect(Number(payload.exp) - Number(payload.iat)).toBe(120)
    expect(Number(payload.iat)).toBeLessThanOrEqual(Math.floor(server.services.now().getTime() / 1000))
    // It is no key to anything of ours.
    for (const authorization of [`Bearer ${receiver.tokens[0]}`])
      expect((await server.browser().send('/userinfo', { headers: { authorization } })).status).toBe(401)
    expectQuestion(
      await (await signedIn(app)).browser.send(logoutUrl({ id_token_hint: receiver.tokens[0] ?? '' })),
    )
  })

  it('all of them, the second app at once, and only those that were used', async () => {
    const receivers = await Promise.all([startReceiver(), startReceiver(), startReceiver()])
    const [one, two] = await Promise.all(
      receivers.map((receiver, index) =>
        server.createClient({ client_id: `app${index}`, backchannel_logout_uri: receiver.uri }),
      ),
    )
    const without = await server.createClient({ client_id: 'without' })
    if (!one || !two) throw new Error('unreachable')
    const { browser, hint } = await signedIn(one)
    for (const client of [two, without]) await getCode(browser, client, alice)
    // Another session of the same person is none of it.
    const other = await signedIn(one)
    const startedAt = performance.now()
    const page = await browser.send(logoutUrl({ id_token_hint: hint }))
    expect(page.status).toBe(200)
    await eventually(
      () => receivers[0]?.tokens.length === 1 && receivers[1]?.tokens.length === 1,
      'both are told',
    )
    expect(performance.now() - startedAt).toBeLessThan(2000)
    expect(receivers[2]?.tokens).toEqual([])
    const claims = receivers.slice(0, 2).map(receiver => claimsIn(receiver.tokens[0]))
    expect(claims.map(one => one['aud'])).toEqual(['app0', 'app1'])
    expect(new Set(claims.map(one => one['jti'])).size).toBe(2)
    expect(new Set(claims.map(one => one['sid']))).toEqual(new Set([claimsIn(hint)['sid']]))
    await eventually(async () => (await outbox()).every(row => row.state === 'delivered'), 'delivered')
    expect((await outbox()).map(row => row.client_id).sort()).toEqual(['app0', 'app1'])
    expect(await isIn(other.browser, one)).toBe(true)
  })

  it('in the commit that ends the session: where a notice cannot be written, nothing has ended', async () => {
    const receiver = await startReceiver()
    const app = await makeApp({ backchannel_logout_uri: receiver.uri })
    const { browser, hint } = await signedIn(app)
    await (server.database.kind === 'sqlite'
      ? fromOutside(
          server.database,
          "create trigger broken before insert on outbox begin select raise(abort, 'broken'); end",
        )
      : fromOutside(
          server.database,
          "create function broken() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$",
          'create trigger broken before insert on outbox for each row execute function broken()',
        ))
    const answer = await unchanged(server, () => browser.send(logoutUrl({ id_token_hint: hint })))
    expect(answer.status).toBe(503)
    expect(await isIn(browser, app)).toBe(true)
    expect((await server.audit()).filter(row => row.event === 'session.ended')).toEqual([])
    await fromOutside(
      server.database,
      server.database.kind === 'sqlite' ? 'drop trigger broken' : 'drop trigger broken on outbox',
    )
    expectSignedOutPage(await browser.send(logoutUrl({ id_token_hint: hint })))
    await eventually(() => receiver.tokens.length === 1, 'the app is told')
  })

  it('REL-33 though another app hangs or fails: the person waits for nobody, and it is tried again', async () => {
    const hanging = await startReceiver(() => 'hang')
    const failing = await startReceiver(count => ({ status: count === 1 ? 500 : 204 }))
    const elsewhere = await startReceiver()
    const redirecting = await startReceiver(() => ({ status: 302, headers: { location: elsewhere.uri } }))
    const good = await startReceiver()
    const clients: TestClient[] = []
    for (const [index, { uri }] of [hanging, failing, redirecting, good].entries())
      clients.push(await server.createClient({ client_id: `app${index}`, backchannel_logout_uri: uri }))
    const dead = await server.createClient({
      client_id: 'dead',
      backchannel_logout_uri: 'http://localhost:1/',
    })
    const [first] = clients
    if (!first) throw new Error('unreachable')
    const { browser, hint } = await signedIn(first)
    for (const client of [...clients.slice(1), dead]) await getCode(browser, client, alice)
    const startedAt = performance.now()
    const page = await browser.send(logoutUrl({ id_token_hint: hint }))
    expect(performance.now() - startedAt).toBeLessThan(1000)
    expectSignedOutPage(page)
    await eventually(() => good.tokens.length === 1, 'the good app is told')
    expect(performance.now() - startedAt).toBeLessThan(2000)
    await eventually(() => failing.tokens.length === 2, 'the failing app is told again')
    expect(new Set(failing.tokens.map(token => claimsIn(token)['jti'])).size).toBe(2)
    const errorFor = async (clientId: string): Promise<string> =>
      (await outbox()).find(row => row.client_id === clientId)?.last_error ?? ''
    await eventually(async () => (await errorFor('dead')) !== '', 'the dead one shows why')
    expect(await errorFor('dead')).toMatch(/ECONNREFUSED/)
    await eventually(async () => (await errorFor('app2')) !== '', 'the redirecting one shows why')
    expect(await errorFor('app2')).toContain('302')
    expect(elsewhere.requests).toHaveLength(0)
    for (const row of await outbox()) expect(row.last_error ?? '').not.toContain('eyJ')
  })

  it('REL-33 fifty apps, half of them in trouble: the good ones are told at once, the others in three tries and visibly', async () => {
    const kinds: ['good' | 'hang' | 'stream' | 'failing' | 'dead', number][] = [
      ['hang', 10],
      ['stream', 5],
      ['failing', 5],
      ['dead', 5],
      ['good', 25],
    ]
    const receivers = new Map<string, Receiver>()
    const clients: TestClient[] = []
    for (const [kind, count] of kinds)
      for (let n = 0; n < count; n++) {
        const receiver =
          kind === 'dead'
            ? { uri: 'http://localhost:1/', tokens: [], requests: [] }
            : await startReceiver(() =>
                kind === 'hang' || kind === 'stream' ? kind : { status: kind === 'good' ? 200 : 500 },
              )
        receivers.set(`${kind}${n}`, receiver)
        clients.push(
          await server.createClient({
            client_id: `${kind}${n}`,
            first_party: true,
            backchannel_logout_uri: receiver.uri,
          }),
        )
      }
    const [first] = clients
    if (!first) throw new Error('unreachable')
    const { browser, hint } = await signedIn(first)
    for (const client of clients.slice(1)) await getCode(browser, client, alice)
    expectSignedOutPage(await browser.send(logoutUrl({ id_token_hint: hint })))
    const named = (kind: string) => [...receivers].filter(([id]) => id.startsWith(kind))
    // While others hang.
    await until(async () => named('good').every(([, { tokens }]) => tokens.length > 0))
    const rows = async (kind: string): Promise<OutboxRow[]> =>
      (await outbox()).filter(row => row.client_id?.startsWith(kind))
    // Each try of one that hangs or streams is cut off, and shows why; nobody is tried more than three times.
    const tries = sized(1, 3)
    for (const kind of ['failing', 'dead', 'hang', 'stream'])
      await until(
        async () => (await rows(kind)).every(row => row.last_error !== null && row.attempts >= tries),
        90_000,
      )
    if (tries === 3)
      for (const kind of ['failing', 'dead', 'hang', 'stream']) {
        await until(async () => (await rows(kind)).every(row => row.state === 'failed'), 90_000)
        for (const row of await rows(kind)) expect(row.attempts).toBe(3)
        for (const [id, { tokens }] of named(kind)) if (kind !== 'dead') expect(tokens, id).toHaveLength(3)
      }
    for (const row of await rows('good')) expect(row.state).toBe('delivered')
  }, 240_000)

  it('SEC-045 at an address that may not be reached they are not, and operators see why; the person is signed out', async () => {
    const app = await makeApp({ backchannel_logout_uri: 'https://169.254.169.254/backchannel' })
    const { browser, hint } = await signedIn(app)
    const answer = await browser.send(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: bye }))
    expect(answer.location).toBe(bye)
    expect(await isIn(browser, app)).toBe(false)
    await eventually(async () => (await outbox())[0]?.last_error !== null, 'it was tried')
    expect((await outbox())[0]?.last_error).toMatch(/169\.254\.169\.254 may not be reached/)
    const blocked = (await server.audit()).filter(row => row.event === 'outbound.blocked')
    expect(blocked.length).toBe((await outbox())[0]?.attempts)
    expect(blocked[0]).toMatchObject({ client_id: 'app', reason: 'backchannel_logout_uri' })
  })

  it('of a session that ended by age, without anybody asking', async () => {
    const receiver = await startReceiver()
    const app = await makeApp({ backchannel_logout_uri: receiver.uri })
    const { browser, hint } = await signedIn(app)
    for (let hour = 0; hour < 12; hour++) {
      server.sleep(59 * 60)
      expect(await isIn(browser, app)).toBe(true)
    }
    expect(receiver.tokens).toEqual([])
    server.sleep(13 * 60)
    await eventually(() => receiver.tokens.length === 1, 'the app is told')
    expect(claimsIn(receiver.tokens[0])['sid']).toBe(claimsIn(hint)['sid'])
    const ended = (await server.audit()).filter(row => row.event === 'session.ended')
    expect(ended.map(row => row.reason)).toEqual(['expired'])
  })

  it('of one that ended by idleness only when they ask for it', async () => {
    const quiet = await startReceiver()
    const asking = await startReceiver()
    const one = await server.createClient({ client_id: 'one', backchannel_logout_uri: quiet.uri })
    const two = await server.createClient({
      client_id: 'two',
      backchannel_logout_uri: asking.uri,
      backchannel_logout_on_idle: true,
    })
    const { browser } = await signedIn(one)
    await getCode(browser, two, alice)
    server.sleep(3601)
    await eventually(() => asking.tokens.length === 1, 'the app that asks is told')
    expect(quiet.tokens).toEqual([])
    expect((await outbox()).map(row => row.client_id)).toEqual(['two'])
    const ended = (await server.audit()).filter(row => row.event === 'session.ended')
    expect(ended.map(row => row.reason)).toEqual(['idle'])
  })

  it('of sessions that an administrator ends, in every browser', async () => {
    const receiver = await startReceiver()
    const app = await makeApp({ backchannel_logout_uri: receiver.uri })
    const sessions = [await signedIn(app), await signedIn(app), await signedIn(app)]
    const { store } = server.services
    const [user] = await store.search<{ id: string }>(knex => knex('user').select('id'))
    const alive = await sessionsOfUser(store, user?.id ?? '')
    await store.commit(await endSessions(server.services, alive, 'revoked'))
    server.services.wakeOutbox()
    await eventually(() => receiver.tokens.length === 3, 'the app is told of each')
    expect(new Set(receiver.tokens.map(token => claimsIn(token)['sid']))).toEqual(
      new Set(sessions.map(({ hint }) => claimsIn(hint)['sid'])),
    )
    expect((await server.audit()).filter(row => row.event === 'session.revoked')).toHaveLength(3)
  })

  it('once, when the question is answered twice', async () => {
    const receiver = await startReceiver()
    const app = await makeApp({ backchannel_logout_uri: receiver.uri })
    const { browser } = await signedIn(app)
    const question = await browser.send('/logout')
    slow.holdCommits(100)
    await Promise.all(Array.from({ length: 20 }, () => postForm(browser, question, { decision: 'yes' })))
    expect(await outbox()).toHaveLength(1)
  })
})
