import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { newResource } from '../../src/oauth/client/resource-server.ts'
import type { Answer } from '../support/browser.ts'
import { authorizeUrl, getCode, passPages, pkcePair, post } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { makeWeb } from './fixtures.ts'
import { rawHeader, rawRequest, sendRaw } from './raw-bytes.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const challenged = () => ({ code_challenge: pkcePair().challenge, code_challenge_method: 'S256' })

/** Whoever evaluates it says 1787569. */
const sum = '1337*1337'

const scripts = [
  '<img src=x onerror=alert(1)>',
  '</script><script>alert(1)</script>',
  '"><svg onload=alert(1)>',
  "' onfocus=alert(1) autofocus='",
  '<%= process.env.SECRET %>',
  '<%~ it.exact("x") %>',
  `{{${sum}}}#{${sum}}$\{${sum}}<%= ${sum} %>`,
  '{app}{host}{count}',
  '&lt;b&gt;&#60;script&#62;',
  'javascript:alert(1)',
  '<!--',
  ']]>',
  '</title><script>alert(1)</script>',
  '</textarea><script>alert(1)</script>',
]

/** The tags of a page, as a browser would see them: text and attribute values taken out. */
const tagsOf = (page: Answer): string[] =>
  [...page.body.matchAll(/<[a-z/!][^>"']*(?:(?:"[^"]*"|'[^']*')[^>"']*)*>/gi)].map(([tag]) =>
    tag.replace(/"[^"]*"|'[^']*'/g, '""'),
  )

const expectHarmless = (page: Answer, text: string): void => {
  expect(page.headers['content-type'], text).toBe('text/html; charset=utf-8')
  for (const tag of tagsOf(page)) {
    expect(tag, text).not.toMatch(/^<(img|iframe|object|embed|base|form[^>]+onsubmit)/i)
    expect(tag, text).not.toMatch(/\son\w+\s*=/i)
    if (/^<script/i.test(tag)) expect(tag, text).toMatch(/^<script nonce=""( src="" defer)?>$/)
    if (/^<svg/i.test(tag)) expect(tag, text).not.toContain('onload')
  }
  expect(page.body, text).not.toContain('1787569')
  const policy = String(page.headers['content-security-policy'])
  expect(policy).toContain("default-src 'none'")
  expect(policy).not.toMatch(/unsafe-inline|unsafe-eval|\*/)
}

describe('texts of others on our pages', () => {
  it('SEC-105 a client name is text, on every page that shows it', async () => {
    for (const [index, client_name] of scripts.entries()) {
      const username = `user${index}`
      const user = await server.createUser({ username, name: client_name.slice(0, 100) })
      const client = await server.createClient({
        client_name,
        client_uri: 'https://web.test/?a="><svg onload=alert(1)>'.replace(
          '"><svg onload=alert(1)>',
          encodeURIComponent('"><svg onload=alert(1)>'),
        ),
        policy_uri: "https://web.test/'onclick='alert(1)",
        post_logout_redirect_uris: ['https://web.test/bye'],
      })
      const browser = server.browser()
      const signIn = await browser.open(authorizeUrl(client, challenged()))
      const consent = await browser.submit(signIn, { username, password: user.password })
      expect(consent.body).toContain('name="decision"')
      const chooser = await browser.open(authorizeUrl(client, { ...challenged(), prompt: 'select_account' }))
      expect(chooser.body).toContain('name="account"')
      const logout = await browser.open(`/logout?client_id=${client.id}`)
      expect(logout.body).toContain('name="decision"')
      const form = await passPages(
        browser,
        await browser.open(authorizeUrl(client, { ...challenged(), response_mode: 'form_post' })),
        user,
      )
      expect(form.body).toContain('name="code"')
      const error = await browser.open(authorizeUrl(client, { redirect_uri: 'https://evil.test/' }))
      for (const page of [signIn, consent, chooser, logout, form, error, await browser.open('/')])
        expectHarmless({ ...page, body: page.body.replaceAll(username, 'someone') }, client_name)
    }
  })

  it('SEC-105 control characters and marks that turn the direction are refused in a client, and taken off elsewhere', async () => {
    for (const character of [
      '\u0000',
      '\u0007',
      '\n',
      '\r',
      '\u001b',
      '\u0085',
      '\u2028',
      '\u2029',
      '\u202e',
      '\u2066',
      '\u200f',
      '\u061c',
    ])
      for (const member of ['client_name', 'client_uri', 'tos_uri', 'software_id'])
        await expect(
          server.createClient({
            [member]: member.endsWith('_uri') ? `https://web.test/${character}` : `a${character}b`,
          }),
          `${member} ${character.charCodeAt(0)}`,
        ).rejects.toMatchObject({ status: 400, error: 'invalid_client_metadata' })

    const web = await makeWeb(server)
    const page = await server
      .browser()
      .open(authorizeUrl(web, { ...challenged(), login_hint: 'a\u202eb\u0007c\u2066d' }))
    expect(page.body).toContain('value="abcd"')
    const { resource, writes } = newResource(
      {
        identifier: 'https://api.test',
        name: 'A\u202e<b>PI',
        scopes: ['api:<x>'],
        tokenFormat: 'jwt',
        tokenTyp: 'at+jwt',
        alg: 'ES256',
        lifetime: null,
      },
      server.services.now(),
    )
    await server.services.store.commit(writes)
    await server.services.resources.reload()
    const client = await server.createClient({ scope: `openid ${resource.scopes.join(' ')}` })
    const alice = await server.createUser()
    const browser = server.browser()
    const signIn = await browser.open(authorizeUrl(client, { ...challenged(), scope: 'openid api:<x>' }))
    const consent = await browser.submit(signIn, { username: alice.username, password: alice.password })
    expect(consent.body).toContain('A&lt;b&gt;PI: api:&lt;x&gt;')
    expectHarmless(consent, 'an API')
  })

  it('SEC-105 what a request brings is text: as login_hint, in an error, typed and refused', async () => {
    const web = await makeWeb(server)
    for (const text of scripts) {
      const browser = server.browser()
      const page = await browser.open(
        authorizeUrl(web, { ...challenged(), login_hint: text, ui_locales: text }),
      )
      expectHarmless(page, text)
      const refused = await browser.submit(page, { username: text, password: text })
      expect(refused.status).toBe(422)
      expectHarmless(refused, text)
      for (const parameters of [
        { client_id: text },
        { redirect_uri: text },
        { redirect_uri: undefined, state: text },
      ]) {
        const error = await browser.send(authorizeUrl(web, parameters))
        expect(error.status).toBe(400)
        expectHarmless(
          { ...error, body: error.body.replaceAll(String(error.headers['x-request-id']), '') },
          text,
        )
      }
      const form = await browser.send(
        authorizeUrl(web, { state: text, response_mode: 'form_post', scope: 'openid phone' }),
      )
      expect(form.body).toContain('name="state"')
      expectHarmless(form, text)
      const nowhere = await browser.send(`/${encodeURIComponent(text)}`)
      expect(nowhere.status).toBe(404)
      expectHarmless(
        { ...nowhere, body: nowhere.body.replaceAll(String(nowhere.headers['x-request-id']), '') },
        text,
      )
      const logout = await browser.open(
        `/logout?${new URLSearchParams({ state: text, ui_locales: text, client_id: text })}`,
      )
      expectHarmless(logout, text)
    }
  })

  it('SEC-105 an answer in JSON is JSON: it is never shown as a page', async () => {
    const web = await makeWeb(server)
    for (const text of scripts) {
      const answer = await post(server, '/token', { grant_type: text, code: text, client_id: text })
      expect(answer.headers['content-type']).toMatch(/^application\/json/)
      expect(answer.headers['x-content-type-options']).toBe('nosniff')
      expect(JSON.stringify(answer.json)).not.toContain('<')
      const accepts = await server.browser().send('/token', {
        method: 'POST',
        body: `grant_type=${text}&client_id=${web.id}`,
        headers: { accept: 'text/html' },
      })
      expect(accepts.headers['content-type']).toMatch(/^application\/json/)
    }
  })
})

describe('the template engine', () => {
  const options = {
    varName: 'x',
    include: '/etc/passwd',
    includeFile: '/etc/passwd',
    useWith: 'true',
    'settings[view options][client]': 'true',
    'settings[view options][escapeFunction]': 'x',
    autoEscape: 'false',
    autoTrim: 'false',
    layout: '@error',
    body: '<b>x</b>',
    title: 'x',
    error: 'x',
    asker: 'x',
    nonce: 'x',
    basePath: '//evil.test',
    locale: 'x',
    t: 'x',
    it: 'x',
  }
  const query = new URLSearchParams(options).toString()
  /** What changes from one page to the next by itself. */
  const steady = (page: Answer): string =>
    page.body
      .replaceAll(String(page.headers['x-request-id']), 'REQUEST')
      .replace(/name="form_token" value="[^"]*"/g, 'FORM TOKEN')
      .replace(/\/(sign-in|accounts|consent|authorize)\/[0-9a-z]{20}/g, '/$1/ID')
      .replace(/nonce="[^"]*"/g, 'NONCE')
      .replace(/name="code" value="[^"]*"/g, 'CODE')

  it('SEC-106 gets no option from a request: every page is the same with them and without', async () => {
    const web = await makeWeb(server)
    const walk = async (
      username: string,
      more: string,
      fields: Record<string, string>,
    ): Promise<string[]> => {
      const { password } = await server.createUser({ username })
      const browser = server.browser()
      const pages: Answer[] = []
      const keep = (page: Answer): Answer => {
        pages.push(page)
        return page
      }
      const signIn = keep(
        await browser.open(
          `${authorizeUrl(web, { ...challenged(), response_mode: 'form_post', prompt: 'consent' })}${more}`,
        ),
      )
      const refused = keep(await browser.submit(signIn, { username, password: 'wrong', ...fields }))
      const consent = keep(await browser.submit(refused, { username, password, ...fields }))
      keep(await browser.submit(consent, { decision: 'allow', ...fields }))
      for (const path of ['/?', '/nowhere?', '/logout?', '/authorize?', '/setup?'])
        keep(await browser.send(path + more))
      const logout = await browser.send('/logout')
      keep(await browser.submit(logout, { decision: 'no', ...fields }))
      return pages.map(page => steady(page).replaceAll(username, 'SOMEBODY'))
    }
    const plain = await walk('somebody', '', {})
    expect(await walk('somebodyelse', `&${query}`, options)).toEqual(plain)
    expect(plain.join()).not.toContain('root:')
  })
})

describe('line breaks', () => {
  const breaks = [
    '\r\nSet-Cookie: a=b',
    '\nSet-Cookie: a=b',
    '\rSet-Cookie: a=b',
    '%0d%0aSet-Cookie: a=b',
    '\r\n\r\n<script>',
    '\u0085x',
    '\u2028x',
    '\u560d\u560aSet-Cookie: a=b',
  ]

  it('SEC-107 in a parameter make no header, anywhere it may come back', async () => {
    const web = await makeWeb(server, { post_logout_redirect_uris: ['https://web.test/bye'] })
    const browser = server.browser()
    const alice = await server.createUser()
    await getCode(browser, web, alice)
    const names = [
      'redirect_uri',
      'state',
      'scope',
      'login_hint',
      'nonce',
      'ui_locales',
      'response_mode',
      'prompt',
      'client_id',
      'resource',
      'acr_values',
      'display',
    ]
    for (const text of breaks) {
      for (const name of names)
        for (const response_mode of ['query', 'fragment', 'form_post']) {
          const parameters = { ...challenged(), response_mode, [name]: `x${text}` }
          const answer = await browser.send(authorizeUrl(web, parameters))
          const what = `${name} ${JSON.stringify(text)}`
          expect(answer.status, what).toBeLessThan(500)
          expect(answer.headers['set-cookie'], what).toBeUndefined()
          expect(answer.location ?? '', what).toMatch(/^[\x21-\x7e]*$/)
        }
      for (const name of ['post_logout_redirect_uri', 'state', 'ui_locales', 'client_id']) {
        const fields = {
          client_id: web.id,
          post_logout_redirect_uri: 'https://web.test/bye',
          [name]: `x${text}`,
        }
        const answer = await server.browser().send(`/logout?${new URLSearchParams(fields)}`)
        expect(answer.status, name).toBeLessThan(500)
        expect(answer.headers['set-cookie'], name).toBeUndefined()
        expect(answer.location ?? '', name).toMatch(/^[\x21-\x7e]*$/)
      }
      for (const name of ['grant_type', 'code', 'client_id', 'scope']) {
        const answer = await post(server, '/token', {
          grant_type: 'authorization_code',
          client_id: 'web',
          [name]: text,
        })
        expect(answer.status, name).toBeLessThan(500)
        expect(answer.headers['set-cookie'], name).toBeUndefined()
      }
      await expect(
        server.createClient({ redirect_uris: [`https://web.test/${text}`] }),
      ).rejects.toMatchObject({ status: 400 })
      await expect(server.createClient({ client_name: `x${text}\u0000` })).rejects.toMatchObject({
        status: 400,
      })
    }
  })

  it('SEC-107 in a path or a header of the request itself are 400, or not understood', async () => {
    for (const path of [
      '/sign-in/%0d%0aSet-Cookie:a=b',
      '/authorize/%0d%0aX:1',
      '/consent/%0aX:1',
      '/%0d%0aSet-Cookie:a=b',
      '/sign-in/\x85',
      '/sign-in/\xff\xfe',
      '/sign-in/%ff',
      '/sign-in/%',
      '/sign-in/%zz',
      '/assets/%00',
      '/assets/..%2f..%2fpackage.json',
    ]) {
      const answer = await sendRaw(server, rawRequest(server, `GET ${path} HTTP/1.1`))
      expect([400, 404], path).toContain(answer.status)
      expect(rawHeader(answer, 'set-cookie'), path).toBeUndefined()
      expect(rawHeader(answer, 'location'), path).toBeUndefined()
    }
    for (const header of ['Cookie: a=b\rSet-Cookie: c=d', 'User-Agent: a\x00b', 'Accept-Language: a\x0bb']) {
      const answer = await sendRaw(server, rawRequest(server, 'GET / HTTP/1.1', [header]))
      expect([200, 400], header).toContain(answer.status)
      expect(rawHeader(answer, 'set-cookie'), header).toBeUndefined()
    }
  })

  it('SEC-107 in a name that is logged stay one line', async () => {
    const line = 'alice\n{"event":"login.succeeded","user":"admin"}'
    const web = await makeWeb(server)
    const browser = server.browser()
    const page = await browser.open(authorizeUrl(web, challenged()))
    await browser.submit(page, { username: line, password: 'x' })
    await browser.send(authorizeUrl(web, { redirect_uri: line, client_id: web.id }))
    await browser.send(authorizeUrl(web, { client_id: line }))
    await post(server, '/token', { client_id: line, grant_type: line })
    for (const one of server.logged) {
      expect(one.trimEnd()).not.toContain('\n')
      expect((JSON.parse(one) as { event: string }).event).not.toBe('login.succeeded')
      expect(one.length).toBeLessThan(5000)
    }
    for (const row of await server.audit()) expect(row.event).not.toBe('login.succeeded')
  })
})
