/** What administrators do in their rooms, over HTTP. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { headingOf, openAs, userinfo } from '../account/support.ts'
import type { Answer, Browser } from '../support/browser.ts'
import { authorizeUrl, claimsIn, getCode, pkcePair, redeem } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let browser: Browser
beforeEach(async () => {
  server = await startServer()
  browser = server.browser()
  await openAs(browser, await server.createUser({ username: 'grace', role: 'admin' }), '/admin')
})
afterEach(() => server.stop())

const told = async (event: string) => (await server.audit()).filter(row => row.event === event)

/** What a block of code with this title holds. */
const codeTitled = (page: Answer, title: string): string =>
  new RegExp(`<figcaption class="fine">${title}</figcaption>\\s*<pre[^>]*><code>([^<]*)`).exec(
    page.body,
  )?.[1] ?? ''

const web = { client_name: 'Wiki', redirect_uris: 'https://wiki.test/cb\r\n https://wiki.test/other ' }

describe('apps', () => {
  it('what was typed and refused is there again, with the reason at its field', async () => {
    const form = await browser.open('/admin/new/app?kind=server')
    const typed = { ...web, redirect_uris: 'https://wiki.test/cb#x' }
    const refused = await browser.submit(form, typed)
    expect(refused.status).toBe(422)
    expect(refused.body).toContain('value="Wiki"')
    expect(refused.body).toMatch(
      /<textarea id="redirect_uris"[^>]*aria-invalid="true"[^>]*>\s*https:\/\/wiki.test\/cb#x</,
    )
    expect(await told('client.rejected')).toHaveLength(1)
    expect((await told('client.created')).length).toBe(0)
  })

  it('a new one signs people in with what its page says; the secret is shown once, and the form sent twice makes one', async () => {
    const form = await browser.open('/admin/new/app?kind=server')
    const created = await browser.submit(form, web)
    const [id, secret] = [codeTitled(created, 'client_id'), codeTitled(created, 'client_secret')]
    const client = { id, secret, redirectUri: 'https://wiki.test/other', metadata: {} }
    const alice = await server.createUser()
    const tokens = await redeem(server, client, await getCode(server.browser(), client, alice))
    expect(claimsIn(tokens.json['id_token'])['aud']).toBe(id)
    const again = await browser.submit(form, web)
    expect(again.url).toBe(`${server.issuer}/admin/apps/${id}`)
    expect(again.body).not.toContain(secret)
    expect(again.body).toContain(`${server.issuer}/.well-known/openid-configuration`)
    expect(again.body).toContain('Auth.js')
    expect(await told('client.created')).toHaveLength(1)
  })

  it('a changed address is told before and after; a new secret works beside the old one; a deleted app is gone', async () => {
    const app = await server.createClient({ client_id: 'wiki', client_uri: 'https://wiki.test/' })
    const edit = await browser.open('/admin/apps/wiki/edit')
    const saved = await browser.submit(edit, { client_name: 'Wiki', redirect_uris: 'https://wiki.test/new' })
    expect(saved.body).toContain('Your changes are saved.')
    const [changed] = await told('admin.changed')
    expect(JSON.parse(changed?.detail ?? '')).toMatchObject({
      before: { redirect_uris: ['https://web.test/cb'] },
      after: { redirect_uris: ['https://wiki.test/new'], client_uri: null },
    })
    const rotated = await browser.submit(saved, { action: 'rotate_secret' })
    const alice = await server.createUser()
    for (const secret of [app.secret, codeTitled(rotated, 'client_secret')]) {
      const client = { ...app, secret, redirectUri: 'https://wiki.test/new' }
      const tokens = await redeem(server, client, await getCode(server.browser(), client, alice))
      expect(tokens.status).toBe(200)
    }
    const asked = await browser.open('/admin/apps/wiki/delete')
    expect(headingOf(asked)).toBe('Delete Wiki?')
    const list = await browser.submit(asked, { decision: 'yes' })
    expect(list.body).toContain('No apps yet')
    expect((await browser.send('/admin/apps/wiki')).status).toBe(404)
  })
})

describe('a test sign-in', () => {
  it('shows what the app would get, and nothing that could be used', async () => {
    const app = await server.createClient({
      client_id: 'wiki',
      grant_types: ['authorization_code', 'refresh_token'],
    })
    const before = await server.counts()
    const form = await browser.open('/admin/apps/wiki/test')
    const shown = await browser.submit(form, { wanted_scope: 'openid' })
    const payload = codeTitled(shown, 'access_token – Claims').replaceAll('&quot;', '"')
    const { jti, sub } = JSON.parse(payload)
    expect(sub).toBeTruthy()
    expect(shown.body, 'no signature, no token').not.toMatch(/eyJ[\w-]+\.[\w-]+/)
    expect(shown.body).toContain('you would be asked whether the app may see your account')
    const [authorization] = await server.services.store.search<{ id: string; revoked_at: number | null }>(
      knex => knex('authorization').select('id', 'revoked_at'),
    )
    expect(jti).toContain(authorization?.id)
    expect(authorization?.revoked_at).not.toBeNull()
    const after = await server.counts()
    expect(after['session_client'], 'no app to be told at sign-out').toBe(before['session_client'])
    expect(after['consent'], 'nothing is remembered').toBe(before['consent'])
    expect((await told('authorization.granted')).map(({ reason, client_id }) => [reason, client_id])).toEqual(
      [['test_sign_in', app.id]],
    )
    expect(await told('grant.revoked')).toHaveLength(1)
  })

  it('makes no redirect URI of ours good for the app, nor one that it has not registered', async () => {
    const app = await server.createClient({ client_id: 'wiki' })
    const form = await browser.open('/admin/apps/wiki/test')
    const refused = await browser.submit(form, { wanted_scope: 'openid', redirect_uri: 'https://evil.test/' })
    expect(refused.body).toContain('redirect_uri is not registered for this client')
    const ours = `${server.issuer}/admin/apps/wiki/test`
    const pkce = { code_challenge: pkcePair().challenge, code_challenge_method: 'S256' }
    const answer = await browser.send(authorizeUrl({ ...app, redirectUri: ours }, pkce))
    expect(answer.status).toBe(400)
    expect(await told('authorization.granted')).toEqual([])
  })

  it('of a machine shows the token of its API, which is denied', async () => {
    await server.createResource()
    await server.createClient({
      client_id: 'job',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      scope: 'api:read',
    })
    const form = await browser.open('/admin/apps/job/test')
    const shown = await browser.submit(form, { wanted_scope: 'api:read' })
    const { aud, jti } = JSON.parse(codeTitled(shown, 'access_token – Claims').replaceAll('&quot;', '"'))
    expect(aud).toBe('https://api.test')
    const denied = await server.services.store.search<{ jti: string }>(knex =>
      knex('revoked_access_token').select('jti'),
    )
    expect(denied).toEqual([{ jti }])
  })
})

describe('users', () => {
  it('a new one sets a password by a link that is shown and works once, and is signed in', async () => {
    const form = await browser.open('/admin/new/user')
    const created = await browser.submit(form, {
      username: 'carol',
      name: 'Carol Reed',
      email: 'carol@corp.test',
    })
    const link = codeTitled(created, 'For carol')
    expect(link).toMatch(`${server.issuer}/set-password?token=`)
    const carols = server.browser()
    const page = await carols.open(link)
    expect(headingOf(page)).toBe('Choose a password')
    expect((await carols.submit(page, { new_password: 'short' })).status).toBe(422)
    const home = await carols.submit(page, { new_password: 'three unrelated words' })
    expect(headingOf(home)).toBe('Hello, Carol Reed')
    for (const again of [carols, server.browser()])
      expect((await again.open(link)).body).toContain('data-error="invalid_link"')
    const elsewhere = await openAs(server.browser(), { username: 'carol', password: 'three unrelated words' })
    expect(headingOf(elsewhere)).toBe('Carol Reed')
  })

  it('a link given anew makes the earlier one nothing, and a password set by it ends what was allowed before', async () => {
    const bob = await server.createUser({ username: 'bob' })
    const app = await server.createClient({ first_party: true })
    const bobs = server.browser()
    const tokens = await redeem(server, app, await getCode(bobs, app, bob))
    const page = await browser.open(`/admin/users/${bob.id}`)
    const first = codeTitled(await browser.submit(page, { action: 'password_link' }), 'For bob')
    const second = codeTitled(await browser.submit(page, { action: 'password_link' }), 'For bob')
    expect((await server.browser().open(first)).status).toBe(400)
    const anywhere = server.browser()
    await anywhere.submit(await anywhere.open(second), { new_password: 'three unrelated words' })
    expect(headingOf(await bobs.open('/account'))).toBe('Sign in')
    expect((await userinfo(server, String(tokens.json['access_token']))).status).toBe(401)
  })

  it('a name that is taken is said at its field; disabling signs out; the last administrator stays', async () => {
    const bob = await server.createUser({ username: 'bob' })
    const taken = await browser.submit(await browser.open('/admin/new/user'), {
      username: 'BOB',
      name: 'Other',
    })
    expect(taken.status).toBe(422)
    expect(taken.body).toContain('Somebody has this already.')
    expect(taken.body).toContain('value="Other"')
    const bobs = server.browser()
    await openAs(bobs, bob)
    await browser.submit(await browser.open(`/admin/users/${bob.id}`), { action: 'disable' })
    expect(headingOf(await bobs.open('/account'))).toBe('Sign in')
    const list = await browser.open('/admin/users?q=grace')
    const own = /\/admin\/users\/(\w+)"><bdi>grace/.exec(list.body)?.[1] ?? ''
    for (const [path, fields] of [
      [`/admin/users/${own}`, { action: 'disable' }],
      [`/admin/users/${own}/delete`, { decision: 'yes' }],
      [`/admin/users/${own}/edit`, { username: 'grace' }],
    ] as [string, Record<string, string>][]) {
      const answer = await browser.submit(await browser.open(path), fields)
      expect([409, 422], path).toContain(answer.status)
      expect(answer.body, path).toContain('is the last administrator')
    }
  })
})

it('a refused redirect URI stands among the refusals with what is registered and the nearest match', async () => {
  await server.createClient({ client_id: 'wiki', redirect_uris: ['https://wiki.test/callback'] })
  await browser.send('/authorize?client_id=wiki&response_type=code&redirect_uri=https://wiki.test/calback')
  const { body } = await browser.open('/admin/refusals')
  expect(body).toContain('<dt>Received</dt><dd><code>https://wiki.test/calback</code>')
  expect(body).toContain('<dt>Comes nearest</dt><dd><code>https://wiki.test/callback</code>')
})

it('keys are rotated and taken out of use by an administrator, who is told of', async () => {
  await browser.submit(await browser.open('/admin/keys'), { rotate: 'now' })
  const { body } = await browser.open('/admin/keys')
  const kid = /\/admin\/keys\/([\w-]+)\/compromise/.exec(body)?.[1] ?? ''
  const after = await browser.submit(await browser.open(`/admin/keys/${kid}/compromise`), { decision: 'yes' })
  expect(after.body).toContain('The key is gone.')
  expect(after.body).not.toContain(`${kid}/compromise`)
  const reasons = (await told('admin.changed')).map(({ reason }) => reason)
  expect(reasons).toContain('key.revoked compromised')
  expect(reasons.filter(reason => reason === 'key.retired')).toHaveLength(2)
})

it('groups and APIs are made and deleted', async () => {
  const groups = await browser.submit(await browser.open('/admin/groups'), { name: 'on-call' })
  expect(groups.body).toContain('<bdi>on-call</bdi>')
  const id = /name="delete" value="(\w+)"/.exec(groups.body)?.[1] ?? ''
  expect((await browser.submit(groups, { name: 'ON-CALL' })).status).toBe(422)
  expect((await browser.submit(groups, { delete: id })).body).toContain('No groups yet')
  const wanted = { name: 'Orders', identifier: 'https://orders.test', scopes: 'orders:read, orders:write' }
  const apis = await browser.submit(await browser.open('/admin/apis'), wanted)
  expect(apis.body).toContain('<code>orders:read orders:write</code>')
  expect((await browser.submit(apis, wanted)).status).toBe(422)
})
