import { afterEach, beforeEach, expect, it } from 'vitest'
import { authorizeUrl, getCode, pkcePair, redeem } from '../support/flow.ts'
import { registered } from '../support/registration.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'

let server: TestServer
let alice: { username: string; password: string }
beforeEach(async () => {
  server = await startServer({
    settings: { LINTEL_REGISTRATION: 'open', LINTEL_REGISTRATION_SCOPES: 'notes:read' },
  })
  await server.createResource({
    identifier: 'https://notes.test',
    name: 'Notes archive',
    scopes: ['notes:read', 'notes:write'],
  })
  alice = await server.createUser()
})
afterEach(() => server.stop())

const begin = async (client: TestClient, scope: string, browser = server.browser()) => {
  const { challenge } = pkcePair()
  const url = authorizeUrl(client, { scope, code_challenge: challenge, code_challenge_method: 'S256' })
  const page = await browser.open(url)
  return {
    browser,
    page: page.body.includes('name="password"')
      ? await browser.submit(page, { username: alice.username, password: alice.password })
      : page,
  }
}

const scopesOn = (body: string): string[] => body.match(/<li>[\s\S]*?<\/li>/g) ?? []

it('SEC-073 API scopes stand under the name of their API, are remembered, and asked again only for what is new', async () => {
  const client = await server.createClient({ scope: 'openid notes:read notes:write' })
  const { browser, page } = await begin(client, 'openid notes:read')
  expect(scopesOn(page.body).join(' ')).toContain('Notes archive: notes:read')
  expect(page.body).not.toContain('notes:write')
  expect((await browser.submit(page, { decision: 'allow' })).location).toContain('code=')
  expect((await begin(client, 'openid notes:read', browser)).page.location).toContain('code=')
  const more = (await begin(client, 'openid notes:read notes:write', browser)).page
  const isNew = scopesOn(more.body).filter(item => item.includes('badge new'))
  expect(isNew).toHaveLength(1)
  expect(isNew[0]).toContain('Notes archive: notes:write')
  expect((await browser.submit(more, { decision: 'allow' })).location).toContain('code=')
  const tokens = await redeem(
    server,
    client,
    await getCode(browser, client, alice, { scope: 'openid notes:read notes:write' }),
  )
  expect(tokens.json['scope']).toBe('openid notes:read notes:write')
})

it('SEC-073 of an API scope that was refused nothing is remembered', async () => {
  const client = await server.createClient({ scope: 'openid notes:read' })
  const { browser, page } = await begin(client, 'openid notes:read')
  expect((await browser.submit(page, { decision: 'deny' })).location).toContain('error=access_denied')
  expect((await begin(client, 'openid notes:read', browser)).page.body).toContain('name="decision"')
  expect((await server.counts())['consent']).toBe(0)
})

it('SEC-073 an app that registered itself always asks, and the page says what it is', async () => {
  const client = await registered(server, { scope: 'openid notes:read', first_party: true })
  const { page } = await begin(client, 'openid notes:read')
  expect(page.status).toBe(200)
  expect(page.body).toContain('This app registered itself')
  expect(page.body).toContain('web.test')
  const byOperator = await server.createClient({ redirect_uris: ['https://other.test/cb'] })
  expect((await begin(byOperator, 'openid')).page.body).not.toContain('registered itself')
})
