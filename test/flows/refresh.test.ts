import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deleteUser, disableUser, enableUser, newUser, updateUser } from '../../src/identity/user.ts'
import { deleteResource, updateResource } from '../../src/oauth/client/resource-server.ts'
import { expectAudited, expectTokenError, expectTokenRefused, unchanged } from '../security/outcomes.ts'
import { change, changeClient, withdraw } from '../support/changes.ts'
import {
  authorizeUrl,
  claimsIn,
  getCode,
  getWithToken,
  passPages,
  pkcePair,
  redeem,
} from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { introspect, obtain, refresh, tokensIn } from '../support/tokens.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const grantTypes = ['authorization_code', 'refresh_token']
const minute = 60
const hour = 60 * minute
const day = 24 * hour

const makeConfidential = (more: Record<string, unknown> = {}): Promise<TestClient> =>
  server.createClient({ client_id: 'web', grant_types: grantTypes, ...more })
const makePublic = (more: Record<string, unknown> = {}): Promise<TestClient> =>
  server.createClient({
    client_id: 'spa',
    grant_types: grantTypes,
    token_endpoint_auth_method: 'none',
    redirect_uris: ['https://spa.test/cb'],
    ...more,
  })

/** First party: `offline_access` needs no page then. */
const trusted = { first_party: true }
const offline = { scope: 'openid offline_access' }

const userinfo = (token: unknown) => getWithToken(server, '/userinfo', String(token))

/** The jobs look once a second: where they were first, an aged session was ended by them, an old row is gone. */
const afterJobs: Record<string, string> = {
  session_idle: 'session_ended',
  session_expired: 'session_ended',
  refresh_expired: 'unknown_refresh_token',
}

const expectEnded = async (client: TestClient, token: string, reason: string): Promise<void> => {
  const answer = await refresh(server, client, token)
  expectTokenError(answer, 'invalid_grant')
  const told = await expectAudited(server, answer, 'token.rejected', { client })
  expect([reason, afterJobs[reason]]).toContain(told.reason)
}

describe('rotation', () => {
  it('a public client gets the same successor again for 10 seconds, and a new access token each time', async () => {
    const spa = await makePublic()
    const first = await obtain(server, spa, await server.createUser())
    const second = tokensIn(await refresh(server, spa, first.refresh_token))
    expect(second.refresh_token).not.toBe(first.refresh_token)
    server.sleep(8)
    const again = tokensIn(await refresh(server, spa, first.refresh_token))
    expect(again.refresh_token).toBe(second.refresh_token)
    expect(again.access_token).not.toBe(second.access_token)
    for (const { access_token } of [second, again]) expect((await userinfo(access_token)).status).toBe(200)
    // A repetition does not start the ten seconds anew.
    server.sleep(4)
    expectTokenError(await refresh(server, spa, first.refresh_token), 'invalid_grant')
    for (const { access_token } of [second, again]) expectTokenRefused(await userinfo(access_token))
    expectTokenError(await refresh(server, spa, second.refresh_token), 'invalid_grant')
  })

  it('a public client that uses the successor within the 10 seconds goes on with it', async () => {
    const spa = await makePublic()
    const first = await obtain(server, spa, await server.createUser())
    let token = first.refresh_token
    const given = new Set([token])
    for (let use = 0; use < 20; use++) {
      token = tokensIn(await refresh(server, spa, token)).refresh_token
      given.add(token)
    }
    expect(given.size).toBe(21)
  })

  it('for a client that authenticates the previous token gives the successor until the successor is used', async () => {
    const web = await makeConfidential(trusted)
    const first = await obtain(server, web, await server.createUser(), offline)
    const second = tokensIn(await refresh(server, web, first.refresh_token))
    for (const pause of [1, 11, hour, 13 * day]) {
      server.sleep(pause)
      const again = tokensIn(await refresh(server, web, first.refresh_token))
      expect(again.refresh_token).toBe(second.refresh_token)
      expect(again.access_token).not.toBe(second.access_token)
    }
    const third = tokensIn(await refresh(server, web, second.refresh_token))
    // Now the second is the previous one, and the first is reuse.
    expect(tokensIn(await refresh(server, web, second.refresh_token)).refresh_token).toBe(third.refresh_token)
    expectTokenError(await refresh(server, web, first.refresh_token), 'invalid_grant')
    expectTokenError(await refresh(server, web, third.refresh_token), 'invalid_grant')
  })

  it('a token has a prefix of its own, letters and digits, and at least 256 bits of secret', async () => {
    const web = await makeConfidential()
    const { refresh_token: token } = await obtain(server, web, await server.createUser())
    expect(token).toMatch(/^lnr[0-9a-z]{90}$/)
    const rows = await server.services.store.search(knex => knex('refresh_family').select('*'))
    expect(JSON.stringify(rows)).not.toContain(token.slice(-64))
  })

  it('the answer is not stored by anybody, and says type, life and scope', async () => {
    const web = await makeConfidential()
    const first = await obtain(server, web, await server.createUser())
    const answer = await refresh(server, web, first.refresh_token)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.headers['content-type']).toMatch(/^application\/json/)
    expect(answer.json).toMatchObject({ token_type: 'Bearer', expires_in: 900, scope: 'openid' })
    expect(Object.keys(answer.json).sort()).toEqual(
      ['access_token', 'expires_in', 'id_token', 'refresh_token', 'scope', 'token_type'].sort(),
    )
  })
})

describe('the life of a refresh token', () => {
  it('ends when it is not used for 14 days; each use starts them anew', async () => {
    const web = await makeConfidential(trusted)
    const first = await obtain(server, web, await server.createUser(), offline)
    server.sleep(14 * day - minute)
    const second = tokensIn(await refresh(server, web, first.refresh_token))
    server.sleep(14 * day - minute)
    const third = tokensIn(await refresh(server, web, second.refresh_token))
    expect((await introspect(server, web, third.refresh_token)).json['active']).toBe(true)

    const other = await obtain(
      server,
      web,
      { username: 'alice', password: 'correct horse battery staple' },
      offline,
    )
    server.sleep(14 * day + 1)
    expect((await introspect(server, web, other.refresh_token)).json).toEqual({ active: false })
    await expectEnded(web, other.refresh_token, 'refresh_idle')
  })

  it('ends 30 days after it was first given, however often it is used', async () => {
    const web = await makeConfidential(trusted)
    let { refresh_token: token } = await obtain(server, web, await server.createUser(), offline)
    for (let use = 0; use < 3; use++) {
      server.sleep(10 * day - minute)
      token = tokensIn(await refresh(server, web, token)).refresh_token
    }
    server.sleep(3 * minute + 1)
    expect((await introspect(server, web, token)).json).toEqual({ active: false })
    await expectEnded(web, token, 'refresh_expired')
  })

  it('repeating a successor is no use: the 14 days are not moved by it', async () => {
    const web = await makeConfidential(trusted)
    const first = await obtain(server, web, await server.createUser(), offline)
    tokensIn(await refresh(server, web, first.refresh_token))
    server.sleep(13 * day)
    tokensIn(await refresh(server, web, first.refresh_token))
    server.sleep(day + 1)
    await expectEnded(web, first.refresh_token, 'refresh_idle')
  })

  it('is as the operator sets it', async () => {
    await server.stop()
    server = await startServer({
      settings: { LINTEL_TOKENS_REFRESH_TTL: '2h', LINTEL_TOKENS_REFRESH_IDLE_TTL: '30m' },
    })
    const web = await makeConfidential(trusted)
    const alice = await server.createUser()
    const idle = await obtain(server, web, alice, offline)
    let { refresh_token: token } = await obtain(server, web, alice, offline)
    for (let use = 0; use < 5; use++) {
      server.sleep(20 * minute)
      token = tokensIn(await refresh(server, web, token)).refresh_token
    }
    await expectEnded(web, idle.refresh_token, 'refresh_idle')
    server.sleep(20 * minute + 5)
    await expectEnded(web, token, 'refresh_expired')
  })
})

describe('a refresh token without offline_access ends with the browser session', () => {
  it('when nobody was there for an hour', async () => {
    const web = await makeConfidential()
    const { refresh_token: token } = await obtain(server, web, await server.createUser())
    server.sleep(hour + 1)
    await expectEnded(web, token, 'session_idle')
  })

  it('a refresh is activity: it keeps the session alive, and single sign-on with it, up to 12 hours', async () => {
    const web = await makeConfidential(trusted)
    const alice = await server.createUser()
    const browser = server.browser()
    const first = await obtain(server, web, alice, {}, browser)
    let token = first.refresh_token
    for (let use = 0; use < 12; use++) {
      server.sleep(59 * minute)
      token = tokensIn(await refresh(server, web, token)).refresh_token
    }
    const { challenge } = pkcePair()
    const silent = await browser.open(
      authorizeUrl(web, { code_challenge: challenge, code_challenge_method: 'S256', prompt: 'none' }),
    )
    expect(new URL(String(silent.location)).searchParams.get('code')).toBeTruthy()
    server.sleep(12 * minute + 5)
    await expectEnded(web, token, 'session_expired')
  })

  it('repeating a successor is activity of the person all the same', async () => {
    const web = await makeConfidential()
    const first = await obtain(server, web, await server.createUser())
    tokensIn(await refresh(server, web, first.refresh_token))
    for (let use = 0; use < 3; use++) {
      server.sleep(50 * minute)
      tokensIn(await refresh(server, web, first.refresh_token))
    }
  })

  it('a refusal is no activity', async () => {
    const web = await makeConfidential()
    const { refresh_token: token } = await obtain(server, web, await server.createUser())
    server.sleep(50 * minute)
    expectTokenError(await refresh(server, web, token, { scope: 'openid email' }), 'invalid_scope')
    server.sleep(11 * minute)
    await expectEnded(web, token, 'session_idle')
  })

  it('with offline_access it outlives the session, and is no activity of it', async () => {
    const web = await makeConfidential(trusted)
    const alice = await server.createUser()
    const browser = server.browser()
    const first = await obtain(server, web, alice, offline, browser)
    server.sleep(50 * minute)
    const second = tokensIn(await refresh(server, web, first.refresh_token))
    server.sleep(11 * minute)
    const { challenge } = pkcePair()
    const silent = await browser.open(
      authorizeUrl(web, { code_challenge: challenge, code_challenge_method: 'S256', prompt: 'none' }),
    )
    expect(new URL(String(silent.location)).searchParams.get('error')).toBe('login_required')
    server.sleep(13 * hour)
    const third = tokensIn(await refresh(server, web, second.refresh_token))
    expect((await userinfo(third.access_token)).json).toEqual({ sub: alice.sub })
    expect(claimsIn(third.id_token)['sid']).toBe(claimsIn(first.id_token)['sid'])
  })
})

describe('offline_access counts', () => {
  it('only where consent was shown now or is remembered for it, or the app is first-party', async () => {
    const web = await makeConfidential()
    const alice = await server.createUser()
    const browser = server.browser()
    expect((await obtain(server, web, alice, {}, browser)).scope).toBe('openid')
    // Consent for openid is remembered, so no page is shown: it is dropped.
    const dropped = await obtain(server, web, alice, offline, browser)
    expect(dropped.scope).toBe('openid')
    expect((await obtain(server, web, alice, { ...offline, prompt: 'consent' }, browser)).scope).toBe(
      'openid offline_access',
    )
    expect((await obtain(server, web, alice, offline, browser)).scope).toBe('openid offline_access')
    // What was dropped may be asked for again, and is dropped again.
    const again = tokensIn(await refresh(server, web, dropped.refresh_token, offline))
    expect(again.scope).toBe('openid')
    server.sleep(hour + 1)
    await expectEnded(web, again.refresh_token, 'session_idle')
  })
})

describe('scope at refresh', () => {
  const wide = { scope: 'openid profile email' }

  it('"MUST NOT include any scope not originally granted" (RFC 6749 §6): invalid_scope, and nothing is used up', async () => {
    const web = await makeConfidential({ scope: 'openid profile email phone' })
    const first = await obtain(server, web, await server.createUser(), wide)
    for (const scope of [
      'openid phone',
      'phone',
      'openid admin',
      'OPENID',
      'openid "',
      'openid\\',
      'openid\u0000',
      'é',
    ]) {
      const answer = await unchanged(
        server,
        () => refresh(server, web, first.refresh_token, { scope }),
        scope,
      )
      expectTokenError(answer, 'invalid_scope', scope)
    }
    expect(tokensIn(await refresh(server, web, first.refresh_token)).scope).toBe('openid profile email')
  })

  it('may be narrowed for one access token; the next may have all again', async () => {
    const web = await makeConfidential()
    const alice = await server.createUser({ email: 'alice@example.com', name: 'Alice' })
    const first = await obtain(server, web, alice, wide)
    const narrow = tokensIn(await refresh(server, web, first.refresh_token, { scope: 'email openid' }))
    expect(narrow.scope).toBe('openid email')
    expect(claimsIn(narrow.access_token)['scope']).toBe('openid email')
    expect(claimsIn(narrow.id_token)).not.toHaveProperty('name')
    expect((await userinfo(narrow.access_token)).json).toEqual({
      sub: alice.sub,
      email: 'alice@example.com',
      email_verified: false,
    })
    const all = tokensIn(await refresh(server, web, narrow.refresh_token))
    expect(all.scope).toBe('openid profile email')
    expect((await userinfo(all.access_token)).json).toMatchObject({ name: 'Alice' })
  })

  it('without openid there is no ID token, and UserInfo refuses', async () => {
    const web = await makeConfidential()
    const first = await obtain(server, web, await server.createUser(), wide)
    const answer = await refresh(server, web, first.refresh_token, { scope: 'profile' })
    expect(answer.json).not.toHaveProperty('id_token')
    expect((await userinfo(answer.json['access_token'])).status).toBe(403)
  })

  it('several clients repeat their first scope: what was ignored or dropped then is dropped again', async () => {
    const web = await makeConfidential()
    const alice = await server.createUser()
    const browser = server.browser()
    await obtain(server, web, alice, wide, browser)
    const scope = 'openid profile email offline_access made-up:scope'
    const first = await obtain(server, web, alice, { scope }, browser)
    expect(first.scope).toBe('openid profile email')
    const next = tokensIn(await refresh(server, web, first.refresh_token, { scope }))
    expect(next.scope).toBe('openid profile email')
    expectTokenError(
      await refresh(server, web, next.refresh_token, { scope: `${scope} other:scope` }),
      'invalid_scope',
    )
  })

  it('a scope given to the client after the authorization is new all the same', async () => {
    const web = await makeConfidential({ scope: 'openid' })
    const first = await obtain(server, web, await server.createUser())
    await changeClient(server, web, { scope: 'openid email' })
    expectTokenError(
      await refresh(server, web, first.refresh_token, { scope: 'openid email' }),
      'invalid_scope',
    )
    expect(tokensIn(await refresh(server, web, first.refresh_token)).scope).toBe('openid')
  })
})

describe('resource at refresh', () => {
  it('may be narrowed to some of what was allowed, and never widened', async () => {
    await server.createResource()
    await server.createResource({ identifier: 'https://other.test', scopes: ['other:read'] })
    const web = await makeConfidential({ scope: 'openid api:read other:read' })
    const alice = await server.createUser()
    const { code, verifier } = await getCode(server.browser(), web, alice, {
      scope: 'openid api:read',
      resource: 'https://api.test',
    })
    const first = tokensIn(await redeem(server, web, { code, verifier }))
    for (const resource of [
      'https://other.test',
      'https://api.test#x',
      'https://unknown.test',
      server.issuer,
      'api',
    ])
      expectTokenError(
        await unchanged(server, () => refresh(server, web, first.refresh_token, { resource }), resource),
        'invalid_target',
        resource,
      )
    const fifty = Array.from({ length: 50 }, (): [string, string] => ['resource', 'https://api.test'])
    expectTokenError(await refresh(server, web, first.refresh_token, fifty), 'invalid_target')
    const named = tokensIn(await refresh(server, web, first.refresh_token, { resource: 'https://api.test/' }))
    expect(claimsIn(named.access_token)['aud']).toBe('https://api.test')
  })

  it('names the API alone where its scopes, and openid, were what was asked for', async () => {
    await server.createResource()
    const web = await makeConfidential({ scope: 'openid api:read' })
    const first = await obtain(server, web, await server.createUser(), { scope: 'openid api:read' })
    expect(claimsIn(first.access_token)['aud']).toEqual(['https://api.test', server.issuer])
    const api = tokensIn(await refresh(server, web, first.refresh_token, { resource: 'https://api.test' }))
    expect(claimsIn(api.access_token)['aud']).toBe('https://api.test')
    const person = tokensIn(await refresh(server, web, api.refresh_token, { scope: 'openid' }))
    expect(claimsIn(person.access_token)['aud']).toBe(server.issuer)
    const both = tokensIn(await refresh(server, web, person.refresh_token))
    expect(claimsIn(both.access_token)['aud']).toEqual(['https://api.test', server.issuer])
  })

  it('an API that was named and is deleted: invalid_grant', async () => {
    const api = await server.createResource()
    const web = await makeConfidential({ scope: 'openid api:read' })
    const first = await obtain(server, web, await server.createUser(), {
      scope: 'openid api:read',
      resource: api.identifier,
    })
    await change(server, ...deleteResource(api.id))
    expectTokenError(await refresh(server, web, first.refresh_token), 'invalid_grant')
  })

  it('an API that is deleted takes its scopes along, and what is left of the person stays', async () => {
    const api = await server.createResource()
    const web = await makeConfidential({ scope: 'openid api:read' })
    const first = await obtain(server, web, await server.createUser(), { scope: 'openid api:read' })
    await change(server, ...deleteResource(api.id))
    const next = tokensIn(await refresh(server, web, first.refresh_token))
    expect(next.scope).toBe('openid')
    expect(claimsIn(next.access_token)).toMatchObject({ aud: server.issuer, scope: 'openid' })
  })

  it('an API that loses a scope: the scope is not in the new token', async () => {
    const api = await server.createResource()
    const web = await makeConfidential({ scope: 'openid api:read api:write' })
    const first = await obtain(server, web, await server.createUser(), { scope: 'openid api:read api:write' })
    await change(server, ...updateResource({ ...api, scopes: ['api:read'] }, server.services.now()))
    expect(tokensIn(await refresh(server, web, first.refresh_token)).scope).toBe('openid api:read')
  })
})

describe('the ID token at refresh (OIDC Core §12.2)', () => {
  it('keeps iss, sub, aud, auth_time and sid, has a new iat, its own at_hash, and no nonce', async () => {
    for (const client of [await makeConfidential(), await makePublic()]) {
      const alice = await server.createUser({ username: client.id })
      const first = await obtain(server, client, alice, { nonce: 'n-1' })
      server.sleep(90)
      const next = tokensIn(await refresh(server, client, first.refresh_token))
      const [before, after] = [claimsIn(first.id_token), claimsIn(next.id_token)]
      for (const name of ['iss', 'sub', 'aud', 'auth_time', 'sid', 'amr', 'acr'])
        expect(after[name], name).toEqual(before[name])
      expect(before['nonce']).toBe('n-1')
      expect(after).not.toHaveProperty('nonce')
      expect(Number(after['iat']) - Number(before['iat'])).toBeGreaterThanOrEqual(90)
      expect(Number(after['exp']) - Number(after['iat'])).toBe(3600)
      expect(after['at_hash']).not.toBe(before['at_hash'])
    }
  })

  it('keeps the auth_time of its own sign-in when the person has signed in again since', async () => {
    const web = await makeConfidential()
    const alice = await server.createUser()
    const browser = server.browser()
    const first = await obtain(server, web, alice, {}, browser)
    server.sleep(100)
    const { challenge } = pkcePair()
    const url = authorizeUrl(web, {
      code_challenge: challenge,
      code_challenge_method: 'S256',
      prompt: 'login',
    })
    await passPages(browser, await browser.open(url), alice)
    const next = tokensIn(await refresh(server, web, first.refresh_token))
    expect(claimsIn(next.id_token)['auth_time']).toBe(claimsIn(first.id_token)['auth_time'])
    expect(claimsIn(next.access_token)['auth_time']).toBe(claimsIn(first.access_token)['auth_time'])
  })

  it('tells of the person as they are now', async () => {
    const web = await makeConfidential()
    const alice = await server.createUser({ email: 'alice@example.com' })
    const first = await obtain(server, web, alice, { scope: 'openid email' })
    await change(server, updateUser({ ...alice, email: 'alice@example.org' }, server.services.now()))
    const next = tokensIn(await refresh(server, web, first.refresh_token))
    expect(claimsIn(next.id_token)['email']).toBe('alice@example.org')
  })
})

describe('what has ended stays so', () => {
  it('a user who is enabled again signs in anew; an old token does not come back', async () => {
    const web = await makeConfidential(trusted)
    const alice = await server.createUser()
    const first = await obtain(server, web, alice, offline)
    await change(server, disableUser(alice.id, server.services.now()))
    await expectEnded(web, first.refresh_token, 'user_disabled')
    server.sleep(2)
    await change(server, enableUser(alice.id, server.services.now()))
    await expectEnded(web, first.refresh_token, 'access_ended')
    expectTokenRefused(await userinfo(first.access_token))
    expect(
      (await refresh(server, web, (await obtain(server, web, alice, offline)).refresh_token)).status,
    ).toBe(200)
  })

  it('consent that is given again is a new authorization', async () => {
    const web = await makeConfidential()
    const alice = await server.createUser()
    const first = await obtain(server, web, alice)
    await withdraw(server, alice, web)
    server.sleep(2)
    const second = await obtain(server, web, alice)
    await expectEnded(web, first.refresh_token, 'consent_withdrawn')
    expect((await refresh(server, web, second.refresh_token)).status).toBe(200)
  })

  it('another person of the same name gets nothing of a deleted one', async () => {
    const web = await makeConfidential(trusted)
    const alice = await server.createUser()
    const first = await obtain(server, web, alice, offline)
    await change(server, deleteUser(alice.id))
    await change(server, newUser({ username: 'alice' }, server.services.now()).write)
    await expectEnded(web, first.refresh_token, 'user_deleted')
  })
})
