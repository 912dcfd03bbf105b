import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Koa from 'koa'
import { describe, expect, it, onTestFinished } from 'vitest'
import { loadAssets } from '../../src/http/assets.ts'
import { languageChoice } from '../../src/http/language.ts'
import { loadCatalogues } from '../../src/http/locale.ts'
import { makePage, makeRender, type ViewName, type Views } from '../../src/http/page.ts'
import { adminSamples } from './admin-samples.ts'

const root = join(import.meta.dirname, '../..')
const viewsDir = join(root, 'views')
const catalogues = loadCatalogues(join(root, 'locales'))
const assets = loadAssets(join(root, 'public'), '/id')
const options = { viewsDir, catalogues, assets, basePath: '/id' }
const page = makePage({ ...options, language: languageChoice('https://id.example', ['de', 'en']) })

const form = { action: '/id/here', formToken: 'b.token' }
const asker = {
  name: 'Field Notes',
  uri: 'https://notes.example',
  policyUri: 'https://notes.example/privacy',
  tosUri: 'https://notes.example/terms',
}

const now = 1_760_000_000
const longName = 'Bartholomäus-Maximilian.von-und-zu-Hohenlohe-Langenburg.the-third@subsidiary.example.com'
const device = { browser: 'Firefox', system: 'Linux', kind: 'computer' as const }

/** Every page as people may meet it. */
const samples: { [Name in ViewName]: [title: string, data: Views[Name]][] } = {
  ...adminSamples,
  'set-password': [
    ['fresh', { ...form, username: 'alice', minLength: 8 }],
    ['refused', { ...form, username: 'alice', minLength: 8, fault: 'too_short' }],
  ],
  'sign-in': [
    ['plain', form],
    ['for an app', { ...form, asker, offerRemember: true, chooserUrl: '/id/choose' }],
    ['refused', { ...form, asker, username: 'alice', error: 'invalid_credentials' }],
    ['throttled', { ...form, username: 'alice', error: 'too_many_attempts', retryAfter: 61 }],
    ['throttled without end', { ...form, username: 'alice', error: 'too_many_attempts' }],
    ['empty', { ...form, error: 'missing' }],
    ['again', { ...form, username: 'alice', reason: 'again', chooserUrl: '/id/choose' }],
    ['expired', { ...form, asker: { name: 'Atlas', logo: '/id/logo/atlas' }, reason: 'expired' }],
  ],
  consent: [
    [
      'first',
      {
        ...form,
        client: { ...asker, redirectHost: 'notes.example', isLocal: false },
        user: { username: 'alice', name: 'Alice Example' },
        scopes: [
          { name: 'openid', title: 'openid', isNew: true },
          { name: 'email', title: 'email', isNew: true, data: ['alice@example.com'] },
          { name: 'notes:write', title: 'Write notes', description: 'Create and change notes', isNew: true },
          { name: 'notes:read', title: 'Read notes', isNew: true },
          { name: 'offline_access', title: 'offline_access', isNew: true },
        ],
        switchUrl: '/id/choose',
        offline: true,
      },
    ],
    [
      'more, on this device',
      {
        ...form,
        client: { name: 'tool', redirectHost: '127.0.0.1', isLocal: true },
        user: { username: 'alice' },
        scopes: [{ name: 'notes:write', title: 'Write notes', isNew: true }],
        rememberedScopes: ['openid', 'notes:read'],
        offline: false,
      },
    ],
  ],
  'account-chooser': [
    [
      'two accounts',
      {
        ...form,
        asker,
        accounts: [
          { value: 's1', username: 'alice', name: 'Alice Example' },
          { value: 's2', username: 'bob' },
        ],
      },
    ],
    ['none', { ...form, accounts: [] }],
  ],
  logout: [
    ['plain', { ...form, fields: [] }],
    [
      'asked by an app',
      { ...form, fields: [['state', 's']], user: { username: 'alice' }, asker, returnName: 'Field Notes' },
    ],
  ],
  'signed-out': [
    ['nothing else', { apps: [] }],
    ['still signed in', { apps: [], stillSignedIn: true }],
    [
      'apps in every state',
      {
        returnTo: { url: 'https://notes.example/', name: 'Field Notes' },
        apps: [
          { name: 'Field Notes', told: 'told' },
          { name: 'Atlas', told: 'telling' },
          { name: 'Shelf', told: 'not-told' },
        ],
      },
    ],
  ],
  'set-up': [
    ['fresh', { ...form, issuer: 'https://id.example.com' }],
    [
      'refused',
      {
        ...form,
        issuer: 'https://id.example.com',
        username: 'alice',
        email: 'alice',
        errors: [
          { field: 'email', reason: 'email_form' },
          { field: 'password', reason: 'never heard of' },
        ],
      },
    ],
  ],
  error: [
    [
      'known',
      { error: 'invalid_client', description: 'client_id is not registered', requestId: 'r1', status: 400 },
    ],
    [
      'known by its reason',
      {
        error: 'invalid_request',
        reason: 'redirect_mismatch',
        description: 'no',
        requestId: 'r1',
        status: 400,
      },
    ],
    ['unknown', { error: '__proto__', reason: 'toString', description: 'no', requestId: 'r2', status: 400 }],
    [
      'with a way on',
      {
        error: 'expired',
        description: 'gone',
        requestId: 'r3',
        status: 400,
        app: { name: 'Field Notes', url: 'https://notes.example/login', linkKind: 'sign-in' },
        hint: 'Something to know.',
      },
    ],
  ],
  'form-post': [
    [
      'an answer',
      {
        action: 'https://notes.example/callback',
        fields: [
          ['code', 'abc'],
          ['state', '"><script>\u202e'],
        ],
        appName: 'Field Notes',
      },
    ],
  ],
  home: [
    ['a visitor', { issuer: 'https://id.example.com', links: { discovery: '/d', setUp: true } }],
    [
      'an administrator',
      {
        issuer: 'https://id.example.com',
        user: { username: 'alice' },
        links: { discovery: '/d', account: '/id/account', admin: '/id/admin' },
      },
    ],
  ],
  account: [
    [
      'with everything',
      {
        user: { username: 'alice', name: 'Alice Example', email: 'alice@example.com', emailVerified: true },
        now,
        done: 'password',
        signedInAt: now - 30,
        sessions: 3,
        apps: 1,
        isAdmin: true,
        passwordChangedAt: now - 86_400 * 100,
      },
    ],
    [
      'with little',
      {
        user: { username: longName, emailVerified: false },
        now,
        done: '__proto__',
        signedInAt: now,
        sessions: 1,
        apps: 0,
        isAdmin: true,
      },
    ],
  ],
  'own-sessions': [
    [
      'this one alone',
      {
        ...form,
        user: { username: 'alice' },
        now,
        sessions: [
          { id: 's1', ...device, ip: '127.0.0.1', createdAt: now, seenAt: now, apps: [], isThis: true },
        ],
      },
    ],
    [
      'many',
      {
        ...form,
        user: { username: longName },
        now,
        done: 'one',
        sessions: [
          {
            id: 's1',
            ...device,
            ip: '2001:db8:1234:5678:9abc:def0:1234:5678',
            createdAt: now - 7200,
            seenAt: now - 20,
            apps: ['Field Notes', 'Atlas', longName],
            isThis: true,
          },
          {
            id: 's2',
            browser: 'Safari',
            system: 'iPhone',
            kind: 'phone',
            ip: '192.0.2.7',
            createdAt: now - 86_400 * 2,
            seenAt: now - 600,
            apps: ['Atlas'],
            isThis: false,
          },
          { id: 's3', kind: 'computer', createdAt: now - 60, seenAt: now - 60, apps: [], isThis: false },
          {
            id: 's4',
            browser: 'curl',
            kind: 'computer',
            ip: '192.0.2.7',
            createdAt: now - 4000,
            seenAt: now - 3500,
            apps: [],
            isThis: false,
          },
        ],
      },
    ],
  ],
  'own-apps': [
    ['none', { ...form, user: { username: 'alice' }, now, apps: [] }],
    [
      'of every kind',
      {
        ...form,
        user: { username: 'alice' },
        now,
        done: 'one',
        apps: [
          {
            ...asker,
            id: 'c1',
            isFirstParty: false,
            scopes: [
              { name: 'profile', title: 'profile' },
              { name: 'email', title: 'email' },
              { name: 'notes:write', title: 'Notes: notes:write' },
              { name: 'offline_access', title: 'offline_access' },
            ],
            since: now - 86_400 * 40,
            sessions: 2,
          },
          { name: 'Wiki', id: 'c2', isFirstParty: true, scopes: [], since: now - 60, sessions: 1 },
          { name: longName, id: 'c3', isFirstParty: false, scopes: [], since: now - 3600, sessions: 0 },
        ],
      },
    ],
  ],
  'own-password': [
    ['plain', { ...form, user: { username: 'alice' }, minLength: 8, errors: [] }],
    [
      'wrong',
      { ...form, user: { username: 'alice' }, minLength: 8, error: 'invalid_credentials', errors: [] },
    ],
    [
      'throttled',
      {
        ...form,
        user: { username: 'alice' },
        minLength: 8,
        error: 'too_many_attempts',
        retryAfter: 900,
        errors: [],
      },
    ],
    [
      'refused',
      {
        ...form,
        user: { username: 'root' },
        minLength: 15,
        errors: [
          { field: 'current_password', reason: 'required' },
          { field: 'new_password', reason: 'too_short_admin' },
        ],
      },
    ],
  ],
}

const withoutScripts = makeRender(options)
const render = (view: string, locale: string, data: object): string =>
  withoutScripts(view, locale, { ...data, nonce: 'n0nce' })
const everyPage = Object.entries(samples).flatMap(([view, cases]) =>
  cases.map(([title, data]): [string, string] => [`${view}, ${title}`, render(view, 'en', data)]),
)

describe.each(everyPage)('%s', (_, html) => {
  it('is one whole document in its language', () => {
    expect(html).toMatch(/^<!doctype html>\n<html lang="en" dir="ltr">/)
    expect(html).toMatch(/<title>[^<{}]+<\/title>/)
    expect(html.match(/<h1>/g)).toHaveLength(1)
    expect(html.match(/<main\b/g)).toHaveLength(1)
    expect(html).not.toMatch(/undefined|\[object|\{\w+\}/)
  })

  it('closes what it opens', () => {
    expect(unclosed(html)).toEqual([])
  })

  it('needs no script and nothing that the content security policy blocks', () => {
    expect(html).not.toMatch(/\sstyle=|<style|data:|\son\w+=|javascript:/)
    for (const [tag] of html.matchAll(/<script[^>]*>/g)) expect(tag).toContain(`nonce="n0nce"`)
  })

  it('labels every field it shows, and points only at what is there', () => {
    for (const [, id] of html.matchAll(/<input id="([^"]+)"/g)) expect(html).toContain(`<label for="${id}"`)
    for (const [, ids] of html.matchAll(/aria-(?:describedby|labelledby)="([^"]+)"/g)) {
      for (const id of (ids ?? '').split(' ')) expect(html).toContain(`id="${id}"`)
    }
  })

  it('sends the token of the form with each of our forms', () => {
    for (const [part] of html.matchAll(/<form\b.*?<\/form>/gs)) {
      // A search only looks.
      if (part.includes('role="search"')) continue
      expect(part).toContain('method="post"')
      if (!html.includes('n0nce'))
        expect(part).toContain('<input type="hidden" name="form_token" value="b.token">')
    }
  })
})

describe('hooks that scripts rely on (contracts, section 5)', () => {
  it('sign-in has both fields, and says why it refused', () => {
    const html = sample('sign-in', 'refused')
    expect(html).toMatch(/<input[^>]*name="username"[^>]*value="alice"[^>]*autocomplete="username"/s)
    expect(html).toMatch(/<input[^>]*name="password"[^>]*value=""[^>]*autocomplete="current-password"/s)
    expect(html).toContain('data-error="invalid_credentials"')
    expect(html).toContain('<title>Error: Sign in</title>')
  })

  it('a throttled sign-in says how long to wait', () => {
    const html = sample('sign-in', 'throttled')
    expect(html).toContain('data-error="too_many_attempts"')
    expect(html).toContain('Try again in 2 minutes.')
  })

  it('who is asked again changes the name only through another account', () => {
    const html = sample('sign-in', 'again')
    expect(html).toMatch(/<input[^>]*name="username"[^>]*readonly/s)
    expect(html).toContain('href="/id/choose"')
    const alone = render('sign-in', 'en', { ...form, username: 'alice', reason: 'again' })
    expect(alone, 'no other way to change it').not.toMatch(/\sreadonly/)
  })

  it('consent asks for a decision, and the first button allows', () => {
    const buttons = sample('consent', 'first').match(/<button[^>]*>/g)
    expect(buttons?.[0]).toContain('name="decision" value="allow"')
    expect(buttons?.[1]).toContain('name="decision" value="deny"')
    expect(sample('consent', 'first')).not.toContain('autofocus')
  })

  it('the account chooser has a button an account, with the username as its text', () => {
    const html = sample('account-chooser', 'two accounts')
    expect(html).toMatch(/<button name="account" value="s1"[^>]*><bdi>alice<\/bdi><\/button>/)
    expect(html).toMatch(/<button[^>]*name="account" value="other"/)
  })

  it('logout asks yes or no', () => {
    const buttons = sample('logout', 'plain').match(/<button[^>]*>/g)
    expect(buttons?.[0]).toContain('name="decision" value="yes"')
    expect(buttons?.[1]).toContain('name="decision" value="no"')
  })

  it('set-up has its three fields and keeps what was typed', () => {
    const html = sample('set-up', 'refused')
    expect(html).toMatch(/name="username"[^>]*value="alice"/)
    expect(html).toMatch(/name="email"[^>]*value="alice"/)
    expect(html).toMatch(/name="password"[^>]*autocomplete="new-password"/s)
    expect(html).toContain('<a href="#email">')
  })

  it('the password page has both fields, and says why it refused', () => {
    const html = sample('own-password', 'wrong')
    expect(html).toMatch(/name="current_password"[^>]*autocomplete="current-password"/s)
    expect(html).toMatch(/name="new_password"[^>]*autocomplete="new-password"/s)
    expect(html).toContain('data-error="invalid_credentials"')
    expect(sample('own-password', 'throttled')).toContain('data-error="too_many_attempts"')
    expect(sample('own-password', 'refused')).toContain('Use at least 15 characters.')
  })

  it('sessions and apps can be taken back, each by its button', () => {
    const sessions = sample('own-sessions', 'many').match(/<button[^>]*name="revoke"[^>]*>/g) ?? []
    expect(sessions.map(button => /value="([^"]*)"/.exec(button)?.[1])).toEqual(['s1', 's2', 's3', 's4'])
    const apps = sample('own-apps', 'of every kind').match(/<button[^>]*name="revoke"[^>]*>/g) ?? []
    expect(apps.map(button => /value="([^"]*)"/.exec(button)?.[1])).toEqual(['c1', 'c2', 'c3'])
  })

  it('error names the error and the request', () => {
    const html = sample('error', 'known')
    expect(html).toContain('data-error="invalid_client"')
    expect(html).toContain('data-request-id="r1"')
  })

  it('form_post sends its fields as they are, by script or by button', () => {
    const html = sample('form-post', 'an answer')
    expect(html).toContain('<form method="post" action="https://notes.example/callback">')
    expect(html).toContain('<input type="hidden" name="code" value="abc">')
    expect(html).toContain('<input type="hidden" name="state" value="&quot;&gt;&lt;script&gt;\u202e">')
    expect(html).toContain('<script nonce="n0nce">')
    expect(html).toMatch(/<button class="button">/)
  })
})

describe('names that are not names (SEC-105)', () => {
  it.each([
    '<img src=x onerror=alert(1)>',
    '</script><script>alert(1)</script>',
    '<%= process.env.SECRET %>',
    '{{7*7}}',
    '" autofocus onfocus="alert(1)',
    "' x='",
  ])('%s is text on every page', name => {
    const client = { name, redirectHost: name, isLocal: false }
    const pages = [
      render('sign-in', 'en', { ...form, username: name, asker: { name } }),
      render('consent', 'en', {
        ...form,
        client,
        user: { username: name, name },
        scopes: [{ name, title: name, data: [name] }],
      }),
      render('account-chooser', 'en', {
        ...form,
        asker: client,
        accounts: [{ value: name, username: name, name }],
      }),
      render('logout', 'en', {
        ...form,
        fields: [['state', name]],
        asker: client,
        user: { username: name },
        returnName: name,
      }),
      render('signed-out', 'en', { apps: [{ name, told: 'told' }], returnTo: { url: '/', name } }),
      render('error', 'en', {
        error: name,
        description: name,
        requestId: name,
        status: 400,
        app: { name, url: '/' },
      }),
      render('form-post', 'en', { action: '/', fields: [[name, name]], appName: name }),
      render('home', 'en', { issuer: name, user: { username: name }, links: { discovery: '/' } }),
      render('account', 'en', {
        user: { username: name, name, email: name, emailVerified: false },
        now,
        done: name,
        signedInAt: now,
        sessions: 1,
        apps: 1,
        isAdmin: true,
      }),
      render('own-sessions', 'en', {
        ...form,
        user: { username: name },
        now,
        sessions: [
          { id: name, ...device, ip: name, createdAt: now, seenAt: now, apps: [name], isThis: true },
        ],
      }),
      render('own-apps', 'en', {
        ...form,
        user: { username: name },
        now,
        apps: [
          {
            id: name,
            name,
            isFirstParty: false,
            scopes: [{ name, title: name }],
            since: now,
            sessions: 1,
          },
        ],
      }),
      render('own-password', 'en', {
        ...form,
        user: { username: name },
        minLength: 8,
        errors: [{ field: 'new_password', reason: name }],
      }),
    ]
    for (const html of pages) {
      expect(asText(html)).toContain(name)
      expect(html).not.toMatch(/<img src=x|<script>|\bonfocus="|(?<!&#39;) x='/)
      expect(html).not.toContain('49')
      expect(unclosed(html)).toEqual([])
    }
  })

  it('lose control and direction-changing characters', () => {
    const name = 'Bank\u202eelpmaxe\u2066\u0000\u001b\r\u009b'
    for (const html of [
      render('sign-in', 'en', { ...form, asker: { name } }),
      render('signed-out', 'en', { apps: [{ name, told: 'told' }] }),
    ]) {
      expect(html).toContain('Bankelpmaxe<')
    }
  })
})

describe('the answer', () => {
  it('has status, type, language, and says that it depends on the language asked for', async () => {
    const answer = await get('/', 'fr, tlh;q=0.5')
    expect(answer.status).toBe(422)
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('content-language')).toBe('en')
    expect(answer.headers.get('vary')).toBe('Accept-Language')
    expect(await answer.text()).toContain(`href="${assets.url('style.css')}"`)
  })

  it('is the same whatever options a request tries to give the template engine (SEC-106)', async () => {
    const read = async (path: string): Promise<string> =>
      (await (await get(path)).text()).replace(/nonce="[\w-]{24}"/, 'nonce=""')
    const plain = await read('/')
    const tried =
      '/?varName=x&include=layout&includeFile=/etc/passwd&useWith=1&autoEscape=false&settings[view options][client]=1'
    expect(await read(tried)).toBe(plain)
  })
})

it('the parts for rooms to come fit together', () => {
  const dir = mkdtempSync(join(tmpdir(), 'views-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  cpSync(viewsDir, dir, { recursive: true })
  writeFileSync(
    join(dir, 'preview.eta'),
    `<% layout('@parts/room', { title: 'Users', heading: 'Users', nav: [{ href: '/a', text: 'A', current: true }, { href: '/b', text: 'B' }] }) -%>
<%~ include('@parts/table', { caption: 'Users', columns: ['Name', 'State'], rows: [[{ text: 'alice', href: '/u' }, { text: 'Active', badge: 'good' }]] }) %>
<%~ include('@parts/empty', { emptyHeading: 'None', text: 'Nothing yet.', action: { href: '/n', text: 'New' } }) %>
<%~ include('@parts/summary', { errors: [{ field: 'f', label: 'F', text: 'Wrong.' }] }) %>
<%~ include('@parts/field', { name: 'f', label: 'F', fault: 'Wrong.', hint: 'So.' }) %>
<%~ include('@parts/code', { codeTitle: 'Settings', code: 'A=1\\nB=<2>' }) %>
<%~ include('@parts/timeline', { moments: [{ at: '2025-01-01T00:00Z', when: 'Today', text: 'Signed in' }] }) %>
<%~ include('@parts/notice', { kind: 'good', text: 'Saved.' }) %>`,
  )
  const html = makeRender({ ...options, viewsDir: dir })('preview', 'en', { nonce: 'n0nce' })
  expect(unclosed(html)).toEqual([])
  expect(html).toContain('<th scope="row" data-label="Name"><a href="/u"><bdi>alice</bdi></a></th>')
  expect(html).toContain('aria-describedby="f-hint f-fault"')
  expect(html).toContain('A=1\nB=&lt;2&gt;')
  expect(html).toContain('href="/id/"')
  expect(html).not.toMatch(/undefined|\sstyle=/)
})

function sample<Name extends ViewName>(view: Name, title: string): string {
  const found = samples[view].find(([name]) => name === title)
  if (!found) throw new Error(`no sample ${title}`)
  return render(view, 'en', found[1])
}

async function get(path: string, language = 'en'): Promise<Response> {
  const app = new Koa()
  app.use(ctx =>
    page(ctx, 'sign-in', { ...form, error: 'missing' }, { status: 422, locale: '../../etc/passwd' }),
  )
  const server = app.listen(0, '127.0.0.1')
  onTestFinished(() => new Promise(done => server.close(() => done())))
  await new Promise(done => server.once('listening', done))
  const { port } = server.address() as AddressInfo
  return fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { 'accept-language': language, connection: 'close' },
  })
}

const empty = new Set(['meta', 'link', 'input', 'img', 'path', 'circle', 'rect', 'br', '!doctype'])

/** Elements that are left open, or closed in the wrong order. */
function unclosed(html: string): string[] {
  const open: string[] = []
  for (const [, slash, name = ''] of html
    .replace(/<script.*?<\/script>/gs, '')
    .matchAll(/<(\/?)([a-z!][\w-]*)/g)) {
    if (empty.has(name)) continue
    if (!slash) open.push(name)
    else if (open.pop() !== name) return [...open, `/${name}`]
  }
  return open
}

function asText(html: string): string {
  return html
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&')
}
