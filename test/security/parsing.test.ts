import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withoutNonce } from '../support/browser.ts'
import { answerOf, authorizeUrl, basic, getCode, pkcePair, post, redeem } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { makeSpa, makeWeb } from './fixtures.ts'
import {
  expectClientRefused,
  expectErrorPage,
  expectErrorRedirect,
  expectTokenError,
  unchanged,
} from './outcomes.ts'
import { type RawAnswer, rawForm, rawHeader, rawRequest, sendRaw } from './raw-bytes.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const challenged = () => ({ code_challenge: pkcePair().challenge, code_challenge_method: 'S256' })

const jsonIn = (answer: RawAnswer): Record<string, unknown> => {
  // A chunked body is one chunk here: JSON has no line break in it.
  const text = /\{.*\}/s.exec(answer.body)?.[0] ?? answer.body
  return JSON.parse(text) as Record<string, unknown>
}

const expectRawError = (answer: RawAnswer, status: number, error: string, what: string): void => {
  expect(answer.status, `${what}\n${answer.head}`).toBe(status)
  expect(rawHeader(answer, 'content-type'), what).toMatch(/^application\/json/)
  expect(rawHeader(answer, 'cache-control'), what).toBe('no-store')
  expect(rawHeader(answer, 'set-cookie'), what).toBeUndefined()
  expect(jsonIn(answer)['error'], what).toBe(error)
}

describe('parameters', () => {
  it('SEC-108 sent twice at the authorization endpoint are invalid_request: on a page before the redirect URI is sure, at the app after', async () => {
    const web = await makeWeb(server)
    const browser = server.browser()
    await getCode(browser, web, await server.createUser())
    const url = authorizeUrl(web, { ...challenged(), nonce: 'n', prompt: 'none', max_age: '100' })
    const redirectUri = web.redirectUri
    for (const name of ['client_id', 'redirect_uri'])
      for (const value of [
        new URL(url, server.issuer).searchParams.get(name) ?? '',
        'x',
        'https://evil.test/cb',
      ]) {
        const more = `&${new URLSearchParams({ [name]: value })}`
        for (const method of ['GET', 'POST']) {
          const answer = await unchanged(server, () =>
            method === 'GET'
              ? browser.send(url + more)
              : browser.send('/authorize', { method, body: url.slice('/authorize?'.length) + more }),
          )
          expectErrorPage(answer, 'invalid_request', `${method} ${name}`)
        }
      }
    const others = [
      ...['nonce', 'scope', 'response_type', 'response_mode', 'prompt', 'max_age', 'code_challenge'],
      ...['code_challenge_method', 'ui_locales', 'login_hint', 'id_token_hint', 'claims', 'unheard_of'],
    ]
    for (const name of others) {
      const answer = await unchanged(server, () => browser.send(`${url}&${name}=query&${name}=query`))
      expectErrorRedirect(answer, 'invalid_request', { server, redirectUri }, name)
    }
    const state = await unchanged(server, () => browser.send(`${url}&state=other`))
    expectErrorRedirect(state, 'invalid_request', { server, redirectUri, state: null })
    const odd = await browser.send(`${url}&%22%3E%3Cscript%3E=1&%22%3E%3Cscript%3E=2`)
    expectErrorRedirect(odd, 'invalid_request', { server, redirectUri })
  })

  it('SEC-108 without a value count as not sent, and do not make others double', async () => {
    const web = await makeWeb(server)
    const browser = server.browser()
    await getCode(browser, web, await server.createUser())
    const answer = await browser.send(
      `${authorizeUrl(web, challenged())}&client_id=&redirect_uri=&prompt=&state=`,
    )
    expect(answerOf(answer).get('code')).toEqual(expect.any(String))
  })

  it('SEC-108 with brackets in their names are other parameters', async () => {
    const web = await makeWeb(server)
    const browser = server.browser()
    await getCode(browser, web, await server.createUser())
    for (const name of ['client_id', 'redirect_uri'])
      for (const brackets of ['[]', '[0]', '[$ne]']) {
        const url = authorizeUrl(web, { ...challenged(), [name]: undefined, [name + brackets]: 'web' })
        expectErrorPage(await unchanged(server, () => browser.send(url)), 'invalid_request', name + brackets)
      }
    const answer = await browser.send(
      `${authorizeUrl(web, challenged())}&scope[$ne]=1&scope[]=phone&prompt[]=none`,
    )
    expect(answerOf(answer).get('code')).toEqual(expect.any(String))
  })

  it('SEC-108 of an authorization request by POST are read from the body alone', async () => {
    const web = await makeWeb(server)
    const browser = server.browser()
    await getCode(browser, web, await server.createUser())
    const body = authorizeUrl(web, challenged()).slice('/authorize?'.length)
    const misleading = new URLSearchParams({
      client_id: 'nope',
      redirect_uri: 'https://evil.test/cb',
      state: 'other',
      prompt: 'login',
    })
    const answer = await browser.send(`/authorize?${misleading}`, { method: 'POST', body })
    expect(answer.location?.startsWith(`${web.redirectUri}?`)).toBe(true)
    expect(answerOf(answer).get('state')).toBe('state-1')
    const empty = await browser.send(`/authorize?${body}`, { method: 'POST', body: '' })
    expectErrorPage(empty, 'invalid_request')
    const json = await browser.send('/authorize', {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    })
    expectErrorPage(json, 'invalid_request')
  })

  it('SEC-108 sent twice at the token endpoint are invalid_request, before anything is authenticated or taken', async () => {
    const web = await makeWeb(server)
    const { code, verifier } = await getCode(server.browser(), web, await server.createUser())
    const good = new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      redirect_uri: web.redirectUri,
      code_verifier: verifier,
      client_id: web.id,
    })
    for (const name of [
      ...good.keys(),
      'client_secret',
      'client_assertion',
      'client_assertion_type',
      'scope',
      'unheard_of',
    ]) {
      const fields = new URLSearchParams(good)
      if (!fields.has(name)) fields.append(name, 'x')
      fields.append(name, fields.get(name) ?? '')
      const answer = await unchanged(server, () => post(server, '/token', fields, basic(web)))
      expectTokenError(answer, 'invalid_request', name)
    }
    expect((await post(server, '/token', good, basic(web))).status).toBe(200)
  })

  it('SEC-108 in the query of the token endpoint are not read: neither a code nor a secret', async () => {
    const web = await makeWeb(server)
    const { code, verifier } = await getCode(server.browser(), web, await server.createUser())
    const good = {
      grant_type: 'authorization_code',
      code,
      redirect_uri: web.redirectUri,
      code_verifier: verifier,
    }
    const secret = { client_id: web.id, client_secret: String(web.secret) }
    const inQuery = (values: Record<string, string>, body: Record<string, string>, headers = {}) =>
      unchanged(server, () => post(server, `/token?${new URLSearchParams(values)}`, body, headers))
    expectTokenError(await inQuery(good, {}, basic(web)), 'invalid_request')
    expectTokenError(
      await inQuery({ code }, { grant_type: 'authorization_code' }, basic(web)),
      'invalid_request',
    )
    expectTokenError(await inQuery(secret, good), 'invalid_request')
    expectTokenError(await inQuery({ ...good, ...secret }, {}), 'invalid_request')
    const [withId, onlySecret] = [{ ...good, client_id: web.id }, { client_secret: String(web.secret) }]
    expectClientRefused(await inQuery(onlySecret, withId), false)
    // Nor can they make what stands in the body double.
    const answer = await post(server, `/token?${new URLSearchParams(good)}`, good, basic(web))
    expect(answer.status).toBe(200)
  })

  it('SEC-108 a request may authenticate in one way only', async () => {
    const web = await makeWeb(server)
    const fields = { grant_type: 'authorization_code', code: 'x', client_id: web.id }
    const secret = { client_secret: String(web.secret) }
    for (const more of [
      secret,
      { client_secret: 'wrong' },
      { client_assertion: 'x.y.z', client_assertion_type: 'x' },
    ]) {
      const answer = await unchanged(server, () => post(server, '/token', { ...fields, ...more }, basic(web)))
      expectTokenError(answer, 'invalid_request', Object.keys(more).join())
    }
    const other = await post(server, '/token', { ...fields, client_id: 'other' }, basic(web))
    expectTokenError(other, 'invalid_request')
  })
})

describe('bodies', () => {
  it('SEC-109 that are no form in UTF-8 are invalid_request at the token endpoint', async () => {
    const spa = await makeSpa(server)
    const form = `grant_type=authorization_code&client_id=${spa.id}&code=x`
    const types = [
      'application/json',
      'multipart/form-data; boundary=x',
      'text/plain',
      'application/x-www-form-urlencoded; charset=utf-16',
      'application/x-www-form-urlencoded; charset=iso-8859-1',
      'application/x-www-form-urlencoded-not',
      'x/application/x-www-form-urlencoded',
      '',
      ';',
      ';;;charset',
      undefined,
    ]
    const bodies = [
      form,
      JSON.stringify({ grant_type: 'authorization_code', client_id: 'spa', code: 'x' }),
      '[]',
      'null',
      '"x"',
      '',
    ]
    for (const type of types)
      for (const body of bodies) {
        const headers = [
          ...(type === undefined ? [] : [`Content-Type: ${type}`]),
          'Accept: application/json',
          `Content-Length: ${Buffer.byteLength(body)}`,
        ]
        const answer = await unchanged(server, () =>
          sendRaw(server, rawRequest(server, 'POST /token HTTP/1.1', headers, body)),
        )
        expectRawError(answer, 400, 'invalid_request', `${type} ${body}`)
      }
    for (const type of [
      'application/x-www-form-urlencoded',
      'APPLICATION/X-WWW-FORM-URLENCODED',
      'application/x-www-form-urlencoded;charset=UTF-8',
      'application/x-www-form-urlencoded; charset="utf-8"',
    ]) {
      const headers = [`Content-Type: ${type}`, 'Accept: application/json', `Content-Length: ${form.length}`]
      const answer = await sendRaw(server, rawRequest(server, 'POST /token HTTP/1.1', headers, form))
      expectRawError(answer, 400, 'invalid_grant', type)
    }
  })

  it('SEC-110 with __proto__ or constructor change nothing, for nobody', async () => {
    const web = await makeWeb(server)
    const browser = server.browser()
    await getCode(browser, web, await server.createUser())
    const ordinary = async () => ({
      token: (await post(server, '/token', { grant_type: 'x' }, basic(web))).json,
      page: withoutNonce((await browser.send('/')).body),
      discovery: (await browser.send('/.well-known/openid-configuration')).body,
    })
    const before = await ordinary()
    const evil = [
      '__proto__=1',
      '__proto__[isAdmin]=1',
      '__proto__.isAdmin=1',
      'constructor.prototype.isAdmin=1',
      'constructor[prototype][isAdmin]=1',
      'constructor=1&prototype=2&hasOwnProperty=3&toString=4&then=5',
      '{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}}',
    ]
    for (const body of evil)
      for (const path of [
        '/token',
        '/authorize',
        '/userinfo',
        '/logout',
        '/introspect',
        '/revoke',
        '/sign-in/x',
        '/consent/x',
        '/accounts/x',
        '/setup',
      ])
        for (const type of ['application/x-www-form-urlencoded', 'application/json']) {
          const headers = { 'content-type': type, accept: 'application/json', ...basic(web) }
          const posted = await browser.send(path, { method: 'POST', body, headers })
          expect(posted.status, `${path} ${body}`).toBeLessThan(500)
          const got = await browser.send(`${path}?${encodeURI(body)}`)
          expect(got.status, `${path} ${body}`).toBeLessThan(500)
        }
    for (const scope of ['openid __proto__', 'openid constructor', 'openid toString hasOwnProperty']) {
      const answer = await browser.send(authorizeUrl(web, { ...challenged(), scope }))
      expect(answerOf(answer).get('code'), scope).toEqual(expect.any(String))
    }
    for (const grant_type of ['__proto__', 'constructor', 'toString'])
      expectTokenError(await post(server, '/token', { grant_type }, basic(web)), 'unsupported_grant_type')
    expect(({} as Record<string, unknown>)['isAdmin']).toBeUndefined()
    expect(await ordinary()).toEqual(before)
  })
})

describe('sizes', () => {
  const paths = ['/token', '/authorize', '/userinfo', '/introspect', '/revoke', '/logout']

  it('SEC-111 a form of 10 MB is 413 within a second, told its length or not', async () => {
    const web = await makeWeb(server)
    const megabytes = Buffer.alloc(10 * 1024 * 1024, 'a')
    for (const path of paths)
      for (const length of [`Content-Length: ${megabytes.length}`, 'Transfer-Encoding: chunked']) {
        const headers = [
          'Content-Type: application/x-www-form-urlencoded',
          'Accept: application/json',
          `Authorization: ${basic(web)['authorization']}`,
          length,
        ]
        const body = length.startsWith('Content')
          ? megabytes
          : Buffer.concat([
              Buffer.from(`${megabytes.length.toString(16)}\r\n`),
              megabytes,
              Buffer.from('\r\n0\r\n\r\n'),
            ])
        const bytes = rawRequest(server, `POST ${path} HTTP/1.1`, headers, body)
        const answer = await unchanged(server, () => sendRaw(server, bytes))
        expect(answer.status, `${path} ${length}`).toBe(413)
        expect(answer.took, `${path} ${length}`).toBeLessThan(1000)
      }
  })

  it('SEC-111 a length that is a lie is no way around the limit', async () => {
    const form = ['Content-Type: application/x-www-form-urlencoded', 'Accept: application/json']
    const lies = [
      'Content-Length: -1',
      'Content-Length: 1e9',
      'Content-Length: 5, 6',
      'Content-Length: 0x10',
      'Content-Length: 5\r\nTransfer-Encoding: chunked',
    ]
    for (const lie of lies) {
      const answer = await sendRaw(
        server,
        rawRequest(server, 'POST /token HTTP/1.1', [...form, lie], 'a=b&c'),
      )
      expect(answer.status, lie).toBe(400)
    }
    const huge = await sendRaw(
      server,
      rawRequest(server, 'POST /token HTTP/1.1', [...form, 'Content-Length: 9007199254740993']),
    )
    expect(huge.status).toBe(413)
  })

  it('SEC-111 more than 100 fields are refused; so are 100,000', async () => {
    const web = await makeWeb(server)
    const fields = (count: number) => Array.from({ length: count }, (_, index) => `a${index}=1`).join('&')
    const many = await post(server, '/token', new URLSearchParams(fields(101)), basic(web))
    expectTokenError(many, 'invalid_request')
    const enough = await post(server, '/token', new URLSearchParams(`grant_type=x&${fields(99)}`), basic(web))
    expectTokenError(enough, 'unsupported_grant_type')
    const far = await sendRaw(server, rawForm(server, '/token', fields(100_000)))
    expect(far.status).toBe(413)
    const asked = await server.browser().send(`/authorize?${fields(101)}`)
    expectErrorPage(asked, 'invalid_request')
  })

  it('SEC-111 a long URL is 414 or 431, a long header 431, within a second', async () => {
    const web = await makeWeb(server)
    for (const [length, statuses] of [
      [8 * 1024 + 1, [414]],
      [12 * 1024, [414]],
      [64 * 1024, [414, 431]],
    ] as const)
      for (const path of ['/authorize', '/token', '/logout', '/nowhere']) {
        const line = `GET ${path}?client_id=${web.id}&state=`
        const bytes = rawRequest(server, `${line.padEnd(length + 4, 'a')} HTTP/1.1`)
        const answer = await unchanged(server, () => sendRaw(server, bytes))
        expect(statuses, `${length} ${path}`).toContain(answer.status)
        expect(answer.took).toBeLessThan(1000)
      }
    for (const name of [
      'X-Anything',
      'Cookie',
      'Authorization',
      'User-Agent',
      'Accept-Language',
      'X-Forwarded-For',
    ])
      for (const size of [20 * 1024, 1024 * 1024]) {
        const answer = await sendRaw(
          server,
          rawRequest(server, 'GET /authorize HTTP/1.1', [`${name}: ${'a'.repeat(size)}`]),
        )
        expect(answer.status, `${name} ${size}`).toBe(431)
        expect(answer.took).toBeLessThan(1000)
      }
    expect((await server.browser().send('/')).status).toBe(200)
  })

  it('SEC-111 a body that never ends holds nobody else up', async () => {
    const headers = ['Content-Type: application/x-www-form-urlencoded', 'Content-Length: 1000']
    const open = Array.from({ length: 20 }, () =>
      sendRaw(server, rawRequest(server, 'POST /token HTTP/1.1', headers, 'a='), 1500).catch(() => 'waiting'),
    )
    const startedAt = performance.now()
    expect((await server.browser().send('/jwks')).status).toBe(200)
    expect(performance.now() - startedAt).toBeLessThan(1000)
    expect(await Promise.all(open)).toEqual(Array(20).fill('waiting'))
  })
})

describe('texts that cost time', () => {
  /** The shortest of several tries: what a regular expression costs it costs every time, other noise it does not. */
  const quickest = async (run: () => Promise<number>): Promise<number> => {
    let best = Number.POSITIVE_INFINITY
    for (let tries = 0; tries < 6; tries++) best = Math.min(best, await run())
    return best
  }

  it('SEC-112 headers and parameters at their limits are looked at in under 20 ms', async () => {
    const web = await makeWeb(server)
    const spaces = ' '.repeat(7000)
    const header = (name: string, value: string) =>
      rawRequest(server, 'GET / HTTP/1.1', [`${name}: ${value}`])
    const parameter = (name: string, value: string) =>
      rawRequest(
        server,
        `GET ${authorizeUrl(web, { ...challenged(), prompt: 'none', [name]: value })} HTTP/1.1`,
      )
    const sends: Record<string, Buffer> = {
      'X-Forwarded-Host': header('X-Forwarded-Host', `a${spaces}b`),
      'X-Forwarded-Proto': header('X-Forwarded-Proto', `http,${spaces},https`),
      'X-Forwarded-For': header('X-Forwarded-For', '1.1.1.1,'.repeat(1000)),
      Forwarded: header('Forwarded', 'for=1;'.repeat(1000)),
      'Accept-Language': header('Accept-Language', ','.repeat(8000)),
      'Accept-Language with weights': header('Accept-Language', 'a;q=0.1,'.repeat(1000)),
      'Accept-Language deep': header('Accept-Language', 'a-'.repeat(4000)),
      Accept: header('Accept', 'a/b;q=0.1,'.repeat(800)),
      'User-Agent': header('User-Agent', `${'('.repeat(4000)}${')'.repeat(4000)}`),
      Cookie: header('Cookie', 'a=b; '.repeat(1500)),
      'Cookie of spaces': header('Cookie', `${spaces}=${spaces}`),
      'Content-Type': header('Content-Type', `${';'.repeat(4000)}${spaces}`),
      'If-None-Match': header('If-None-Match', '"a",'.repeat(2000)),
      Authorization: rawRequest(server, 'GET /userinfo HTTP/1.1', [
        `Authorization: Bearer ${'a='.repeat(4000)}!`,
      ]),
      'Authorization spaces': rawRequest(server, 'GET /userinfo HTTP/1.1', [
        `Authorization: Bearer${spaces}!`,
      ]),
      scope: parameter('scope', '+ '.repeat(1500)),
      redirect_uri: parameter('redirect_uri', `http://127.0.0.1:${'1'.repeat(4000)}/`),
      login_hint: parameter('login_hint', 'a@'.repeat(1500)),
      ui_locales: parameter('ui_locales', 'a-'.repeat(2500)),
      prompt: parameter('prompt', ' '.repeat(1500)),
      max_age: parameter('max_age', '9'.repeat(6000)),
      id_token_hint: parameter('id_token_hint', '.'.repeat(6000)),
      code_challenge: parameter('code_challenge', '_'.repeat(6000)),
      claims: parameter('claims', '{"a":'.repeat(700)),
    }
    for (const [what, bytes] of Object.entries(sends)) {
      let status = 0
      const took = await quickest(async () => {
        const answer = await sendRaw(server, bytes)
        status = answer.status
        return answer.took
      })
      expect(took, what).toBeLessThan(20)
      expect(status, what).toBeLessThan(500)
      expect(status, what).toBeGreaterThan(0)
    }
  })

  it('SEC-112 a language that does not exist, or is a path, is the default language', async () => {
    const web = await makeWeb(server)
    const odd = [
      '../../etc/passwd',
      '..%2f..%2fetc%2fpasswd',
      '/etc/passwd',
      'en/../../x',
      '__proto__',
      'constructor',
      '\0',
      '*',
      'xx-XX',
    ]
    for (const ui_locales of odd) {
      const page = await server.browser().open(authorizeUrl(web, { ...challenged(), ui_locales }))
      expect(page.status, ui_locales).toBe(200)
      expect(page.headers['content-language'], ui_locales).toBe('en')
      const asked = { headers: { 'accept-language': ui_locales.replace('\0', '') } }
      const home = await server.browser().send('/', asked)
      expect(home.headers['content-language'], ui_locales).toBe('en')
    }
  })
})

describe('the Authorization header', () => {
  const body = 'grant_type=authorization_code&code=x'
  const encoded = (text: string): string => Buffer.from(text).toString('base64')

  it('SEC-113 that cannot be read is 400 or 401 as JSON, never a 500', async () => {
    const web = await makeWeb(server)
    const good = String(basic(web)['authorization'])
    const odd: [string, string[]][] = [
      ['nothing', ['Authorization:']],
      ['Basic alone', ['Authorization: Basic']],
      ['Basic and a space', ['Authorization: Basic ']],
      ['no base64', ['Authorization: Basic ####']],
      ['no colon', [`Authorization: Basic ${encoded('web')}`]],
      ['a colon alone', [`Authorization: Basic ${encoded(':')}`]],
      ['no client', [`Authorization: Basic ${encoded(':secret')}`]],
      ['bad percent', [`Authorization: Basic ${encoded('%zz:%zz')}`]],
      ['NUL', [`Authorization: Basic ${encoded('web\0:x')}`]],
      ['no UTF-8', [`Authorization: Basic ${Buffer.from([0xff, 0xfe, 0x3a, 0xff]).toString('base64')}`]],
      ['bytes', ['Authorization: Basic \xff\xfe']],
      ['a long client', [`Authorization: Basic ${encoded(`${'x'.repeat(5000)}:x`)}`]],
      ['a long secret', [`Authorization: Basic ${encoded(`web:${'x'.repeat(5000)}`)}`]],
      ['Bearer', ['Authorization: Bearer']],
      ['Bearer x', ['Authorization: Bearer x']],
      ['Digest', ['Authorization: Digest username="web"']],
      ['no space', [`Authorization: Basic${encoded('web:x')}`]],
      ['two of them', [`Authorization: ${good}`, 'Authorization: Basic eDp4']],
      ['the same twice', [`Authorization: ${good}`, `Authorization: ${good}`]],
      ['a bad one first', ['Authorization: Basic eDp4', `Authorization: ${good}`]],
      ['two in one line', [`Authorization: ${good}, ${good}`]],
    ]
    for (const path of ['/token', '/introspect', '/revoke'])
      for (const [what, headers] of odd) {
        server.sleep(61)
        const answer = await unchanged(server, () => sendRaw(server, rawForm(server, path, body, headers)))
        expect([400, 401], `${path} ${what}\n${answer.head}`).toContain(answer.status)
        expect(['invalid_client', 'invalid_request'], `${path} ${what}`).toContain(jsonIn(answer)['error'])
        if (answer.status === 401) expect(rawHeader(answer, 'www-authenticate'), what).toMatch(/^Basic /)
        expect(rawHeader(answer, 'cache-control')).toBe('no-store')
      }
    const long = await sendRaw(
      server,
      rawForm(server, '/token', body, [`Authorization: Basic ${'A'.repeat(1024 * 1024)}`]),
    )
    expect(long.status).toBe(431)
    const fine = await sendRaw(server, rawForm(server, '/token', body, [`Authorization: ${good}`]))
    expectRawError(fine, 400, 'invalid_grant', 'the good one')
  })

  it('SEC-113 a secret with %, +, : and é works encoded once, by whichever method; twice it does not', async () => {
    const secret = 'p%2B+c:d é&=/?%-and-32-bytes-of-it'
    const client = await makeWeb(server, { client_id: 'odd:client', client_secret: secret })
    const formEncoded = (text: string): string => new URLSearchParams({ a: text }).toString().slice(2)
    const fields = { grant_type: 'authorization_code', code: 'x' }
    const byBasic = (id: string, value: string) =>
      post(server, '/token', fields, { authorization: `Basic ${encoded(`${id}:${value}`)}` })
    const id = formEncoded(client.id)
    expectTokenError(await byBasic(id, formEncoded(secret)), 'invalid_grant', 'form-encoded')
    expectTokenError(await byBasic(id, encodeURIComponent(secret)), 'invalid_grant', 'percent-encoded')
    expectTokenError(
      await post(server, '/token', { ...fields, client_id: client.id, client_secret: secret }),
      'invalid_grant',
    )
    const wrong = [
      formEncoded(formEncoded(secret)),
      encodeURIComponent(encodeURIComponent(secret)),
      secret.slice(1),
      `${secret} `,
      secret.toLowerCase().replace('é', 'e'),
      secret.normalize('NFD'),
      '',
    ]
    for (const value of wrong) expectClientRefused(await byBasic(id, value), true, value)
    const twice = { ...fields, client_id: client.id, client_secret: formEncoded(secret) }
    expectClientRefused(await post(server, '/token', twice), false)
  })

  it('SEC-113 an empty password is no password: it names a public client, and no other', async () => {
    const [web, spa] = [await makeWeb(server), await makeSpa(server)]
    const alice = await server.createUser()
    const { code, verifier } = await getCode(server.browser(), spa, alice)
    const fields = {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: spa.redirectUri,
    }
    const byBasic = (text: string) =>
      post(server, '/token', fields, { authorization: `Basic ${encoded(text)}` })
    expectClientRefused(await byBasic(`${web.id}:`), true)
    expectClientRefused(await byBasic(`${spa.id}:x`), true)
    expect((await byBasic(`${spa.id}:`)).status).toBe(200)
    const own = await getCode(server.browser(), web, alice)
    expectClientRefused(await redeem(server, { ...web, secret: undefined }, own), false)
    expectClientRefused(await redeem(server, { ...web, secret: '' }, own), true)
    expect((await redeem(server, web, own)).status).toBe(200)
  })
})
