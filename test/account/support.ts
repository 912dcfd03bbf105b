/** People in their account, at small browsers. */
import type { OutboundFetch, OutboundRequest } from '../../src/http/outbound.ts'
import { listOutbox, type OutboxRow } from '../../src/store/outbox.ts'
import type { Answer, Browser } from '../support/browser.ts'
import { claimsIn, getCode, getWithToken, type JsonAnswer, redeem } from '../support/flow.ts'
import type { TestClient, TestServer } from '../support/server.ts'

export type Person = { username: string; password: string }

/** Opens a page of the account, and signs in when it wants that. */
export const openAs = async (browser: Browser, person: Person, path = '/account'): Promise<Answer> => {
  const page = await browser.open(path)
  return page.body.includes('name="password"')
    ? browser.submit(page, { username: person.username, password: person.password })
    : page
}

export type Opened = {
  accessToken: string
  refreshToken: string
  /** The session's id, as apps see it. */
  sid: string
}

/** Opens an app, as its person. */
export const openApp = async (
  server: TestServer,
  browser: Browser,
  client: TestClient,
  person: Person,
  scope = 'openid profile',
): Promise<Opened> => {
  const tokens = await redeem(server, client, await getCode(browser, client, person, { scope }))
  return {
    accessToken: String(tokens.json['access_token']),
    refreshToken: String(tokens.json['refresh_token']),
    sid: String(claimsIn(tokens.json['id_token'])['sid']),
  }
}

export const userinfo = (server: TestServer, accessToken: string): Promise<JsonAnswer> =>
  getWithToken(server, '/userinfo', accessToken)

/** The values of the buttons that take something back. */
export const revocable = (page: Answer): string[] =>
  [...page.body.matchAll(/<button[^>]*name="revoke" value="([^"]*)"/g)].map(([, value = '']) => value)

/** Where a browser is left standing: the page's heading. */
export const headingOf = (page: Answer): string | undefined =>
  /<h1>(.*?)<\/h1>/s.exec(page.body)?.[1]?.replace(/<[^>]*>/g, '')

/** The outside world: it takes every notice, and remembers it. */
export const noticeTaker = (): { fetch: OutboundFetch; taken: OutboundRequest[] } => {
  const taken: OutboundRequest[] = []
  return {
    taken,
    fetch: async request => {
      taken.push(request)
      return { status: 204, headers: {}, body: Buffer.alloc(0) }
    },
  }
}

export const outbox = ({ services }: TestServer): Promise<OutboxRow[]> =>
  listOutbox(services.store, { limit: 100 })

/** An app that wants to be told of every end. */
export const listeningApp = (server: TestServer, name: string, more: Record<string, unknown> = {}) =>
  server.createClient({
    client_name: name,
    grant_types: ['authorization_code', 'refresh_token'],
    backchannel_logout_uri: `https://${name.toLowerCase()}.test/backchannel`,
    redirect_uris: [`https://${name.toLowerCase()}.test/cb`],
    ...more,
  })
