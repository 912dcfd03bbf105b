import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { deleteUser, disableUser, endAccessOf } from '../../src/identity/user.ts'
import { deleteClient } from '../../src/oauth/client/client.ts'
import { deleteResource } from '../../src/oauth/client/resource-server.ts'
import { randomText } from '../../src/store/text-key.ts'
import { change, changeClient, disable, endSessionOf, withdraw } from '../support/changes.ts'
import { databaseKind, freshDatabase, sized, testMasterKey } from '../support/databases.ts'
import { basic, claimsIn, getCode, getWithToken, redeem } from '../support/flow.ts'
import { eventually, freePort, startServer, type TestClient, type TestServer } from '../support/server.ts'
import {
  type Endpoint,
  endpointAt,
  introspect,
  obtain,
  refresh,
  send,
  type Tokens,
  tokenRequest,
  tokensIn,
} from '../support/tokens.ts'
import { startTwoServers } from '../support/two-servers.ts'
import { makeSpa, makeWeb, makeWeb2 } from './fixtures.ts'
import {
  expectAudited,
  expectClientRefused,
  expectTokenError,
  expectTokenRefused,
  unchanged,
} from './outcomes.ts'

const withRefresh = { grant_types: ['authorization_code', 'refresh_token'] }
const offline = { scope: 'openid offline_access' }

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

type Family = { id: string; generation: number }

const familiesOf = (one: TestServer): Promise<Family[]> =>
  one.services.store.search<Family>(knex => knex('refresh_family').select('id', 'generation'))

const userinfo = (token: unknown, at = server) => getWithToken(at, '/userinfo', String(token))

/** Nothing that the family gave does anything any more. */
const expectAllDead = async (
  at: TestServer,
  client: TestClient,
  { accessTokens, refreshTokens }: { accessTokens: string[]; refreshTokens: string[] },
): Promise<void> => {
  for (const token of accessTokens) {
    expectTokenRefused(await userinfo(token, at))
    if (client.secret !== undefined)
      expect((await introspect(at, client, token)).json).toEqual({ active: false })
  }
  for (const token of refreshTokens) {
    expectTokenError(await refresh(at, client, token), 'invalid_grant')
    if (client.secret !== undefined)
      expect((await introspect(at, client, token)).json).toEqual({ active: false })
  }
}

describe('a refresh token that was used before', () => {
  it('SEC-062 of a public client, after the grace, ends everything its family gave', async () => {
    const spa = await makeSpa(server, withRefresh)
    const first = await obtain(server, spa, await server.createUser())
    const second = tokensIn(await refresh(server, spa, first.refresh_token))
    server.sleep(12)
    const reused = await refresh(server, spa, first.refresh_token)
    expectTokenError(reused, 'invalid_grant')
    await expectAudited(server, reused, 'refresh.reused', { client: spa })
    await expectAudited(server, reused, 'grant.revoked', { client: spa, reason: 'refresh_reused' })
    await expectAllDead(server, spa, {
      accessTokens: [first.access_token, second.access_token],
      refreshTokens: [second.refresh_token, first.refresh_token],
    })
  })

  it('SEC-062 of a client that authenticates, once the successor was used, ends everything too', async () => {
    const web = await makeWeb(server, withRefresh)
    const first = await obtain(server, web, await server.createUser())
    const second = tokensIn(await refresh(server, web, first.refresh_token))
    const third = tokensIn(await refresh(server, web, second.refresh_token))
    const reused = await refresh(server, web, first.refresh_token)
    expectTokenError(reused, 'invalid_grant')
    await expectAudited(server, reused, 'refresh.reused', { client: web })
    await expectAudited(server, reused, 'grant.revoked', { client: web, reason: 'refresh_reused' })
    await expectAllDead(server, web, {
      accessTokens: [first, second, third].map(one => one.access_token),
      refreshTokens: [third, second, first].map(one => one.refresh_token),
    })
  })

  it('SEC-062 ends its own family and no other: a second device goes on', async () => {
    const web = await makeWeb(server, withRefresh)
    const alice = await server.createUser()
    const [phone, laptop] = [await obtain(server, web, alice), await obtain(server, web, alice)]
    const second = tokensIn(await refresh(server, web, phone.refresh_token))
    tokensIn(await refresh(server, web, second.refresh_token))
    expectTokenError(await refresh(server, web, phone.refresh_token), 'invalid_grant')
    expect((await refresh(server, web, laptop.refresh_token)).status).toBe(200)
    expect((await userinfo(laptop.access_token)).status).toBe(200)
  })

  it('SEC-067a a thief who copies a token and rotates twice at once is found out when the owner uses theirs', async () => {
    for (const client of [await makeSpa(server, withRefresh), await makeWeb(server, withRefresh)]) {
      const owner = await obtain(server, client, await server.createUser({ username: client.id }))
      const stolen = tokensIn(await refresh(server, client, owner.refresh_token))
      const thief = tokensIn(await refresh(server, client, stolen.refresh_token))
      // Still within the ten seconds: a token older than the last one is reuse at any time.
      expectTokenError(await refresh(server, client, owner.refresh_token), 'invalid_grant')
      await expectAllDead(server, client, {
        accessTokens: [owner.access_token, stolen.access_token, thief.access_token],
        refreshTokens: [thief.refresh_token],
      })
    }
  })
})

describe('a token that we never gave', () => {
  it('SEC-067a a hundred forged ones change no row, and the owner goes on', async () => {
    const web = await makeWeb(server, withRefresh)
    const spa = await makeSpa(server, withRefresh)
    const alice = await server.createUser()
    const ofWeb = await obtain(server, web, alice)
    const ofSpa = await obtain(server, spa, alice)
    const genuine = ofWeb.refresh_token
    const flip = (at: number): string =>
      genuine.slice(0, at) + (genuine[at] === '0' ? '1' : '0') + genuine.slice(at + 1)
    const [head, id, generation] = [genuine.slice(0, 3), genuine.slice(3, 23), genuine.slice(23, 29)]
    const forged = [
      ...Array.from({ length: 100 }, () => genuine.slice(0, -64) + randomText(64)),
      ...Array.from({ length: 20 }, (_, place) => flip(genuine.length - 64 + place * 3)),
      // Another generation, with the secret of this one; a generation that is no number, or far too large.
      `${head + id}000001${genuine.slice(-64)}`,
      `${head + id}zzzzzz${genuine.slice(-64)}`,
      `${head + id}-00001${genuine.slice(-64)}`,
      head + id + generation + genuine.slice(-64).toUpperCase(),
      // The secret of another family.
      head + id + generation + ofSpa.refresh_token.slice(-64),
      genuine.slice(0, -1),
      `${genuine}0`,
      ` ${genuine}`,
      genuine.replace(/^lnr/, 'lnc'),
      head + '\u0000'.repeat(20) + generation + genuine.slice(-64),
      "' OR 1=1 --",
      'é'.repeat(genuine.length),
      'x',
    ]
    for (const token of forged) {
      const answer = await unchanged(server, () => refresh(server, web, token), token)
      expectTokenError(answer, 'invalid_grant', token)
    }
    const next = tokensIn(await refresh(server, web, genuine))
    expect((await userinfo(next.access_token)).status).toBe(200)
    expect((await refresh(server, spa, ofSpa.refresh_token)).status).toBe(200)
  })
})

describe('a refresh token in parallel', () => {
  const each = 10

  for (const kind of ['public', 'confidential'] as const)
    it(`SEC-063 of a ${kind} client, 20 times at two servers of one database: one successor, one head`, async () => {
      const { one, other, stop } = await startTwoServers()
      try {
        const client = kind === 'public' ? await makeSpa(one, withRefresh) : await makeWeb(one, withRefresh)
        const first = await obtain(one, client, await one.createUser())
        for (let round = 0, token = first.refresh_token; round < sized(3, 30); round++) {
          const answers = await Promise.all(
            [...Array(each).fill(one), ...Array(each).fill(other)].map((at: TestServer) =>
              refresh(at, client, token),
            ),
          )
          expect(answers.map(answer => answer.status)).toEqual(Array(2 * each).fill(200))
          const successors = new Set(answers.map(answer => answer.json['refresh_token']))
          expect(successors.size).toBe(1)
          expect(await familiesOf(one)).toEqual([{ id: token.slice(3, 23), generation: round + 1 }])
          token = String([...successors][0])
        }
        const accessTokens = await one.services.store.search(knex => knex('authorization').select('id'))
        expect(accessTokens).toHaveLength(1)
      } finally {
        await stop()
      }
    })

  it('SEC-063 a reuse beside uses of the head: the head works, or everything has ended, at both servers', async () => {
    const { one, other, stop } = await startTwoServers()
    try {
      const web = await makeWeb(one, withRefresh)
      const alice = await one.createUser()
      for (let round = 0; round < sized(3, 30); round++) {
        const first = await obtain(one, web, alice)
        const second = tokensIn(await refresh(one, web, first.refresh_token))
        const third = tokensIn(await refresh(other, web, second.refresh_token))
        const answers = await Promise.all([
          ...Array.from({ length: 5 }, () => refresh(one, web, third.refresh_token)),
          refresh(other, web, first.refresh_token),
          ...Array.from({ length: 5 }, () => refresh(other, web, third.refresh_token)),
        ])
        expect(answers[5]?.status).toBe(400)
        expect(answers.filter(answer => ![200, 400].includes(answer.status))).toEqual([])
        const given = answers.filter(answer => answer.status === 200).map(tokensIn)
        expect(new Set(given.map(one => one.refresh_token)).size).toBeLessThanOrEqual(1)
        // Whatever was given beside it is dead now, wherever it is shown.
        for (const at of [one, other])
          for (const token of [third, ...given]) expectTokenRefused(await userinfo(token.access_token, at))
        expectTokenError(await refresh(other, web, third.refresh_token), 'invalid_grant')
      }
    } finally {
      await stop()
    }
  })

  it('a use at one server is seen by the other at once', async () => {
    const { one, other, stop } = await startTwoServers()
    try {
      const web = await makeWeb(one, withRefresh)
      const first = await obtain(one, web, await one.createUser())
      const second = tokensIn(await refresh(one, web, first.refresh_token))
      tokensIn(await refresh(other, web, second.refresh_token))
      expectTokenError(await refresh(other, web, first.refresh_token), 'invalid_grant')
      expectTokenRefused(await userinfo(second.access_token, one))
    } finally {
      await stop()
    }
  })
})

const root = fileURLToPath(new URL('../..', import.meta.url))

/** `lintel serve` as a process of its own. */
const serve = async (
  url: string,
  issuer: string,
): Promise<{ at: Endpoint; kill: () => Promise<void>; output: () => string }> => {
  const port = await freePort()
  const child: ChildProcess = spawn(process.execPath, ['bin/lintel.js', 'serve'], {
    cwd: root,
    env: {
      PATH: process.env['PATH'],
      LINTEL_ISSUER: issuer,
      LINTEL_LISTEN: `127.0.0.1:${port}`,
      LINTEL_DATABASE_URL: url,
      LINTEL_MASTER_KEY: testMasterKey,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const origin = `http://127.0.0.1:${port}`
  const at = endpointAt(issuer, origin)
  const kill = (): Promise<void> => {
    child.kill('SIGKILL')
    return ended
  }
  onTestFinished(kill)
  try {
    await eventually(
      async () =>
        child.exitCode === null &&
        (await fetch(`${origin}/readyz`).then(
          answer => answer.ok,
          () => false,
        )),
      'the server answers',
    )
  } catch (cause) {
    await kill()
    throw new Error(`lintel serve did not start:\n${output}`, { cause })
  }
  return { at, kill, output: () => output }
}

describe('a server that is killed', () => {
  it('SEC-064 knows after kill -9 and a restart which tokens were used: reuse state is in the database only', async () => {
    const built = spawnSync(process.execPath, ['bin/build.js', '--if-newer'], { cwd: root, encoding: 'utf8' })
    expect(built.status, built.stdout + built.stderr).toBe(0)
    const database = await freshDatabase(databaseKind())
    const kept = { ...database, remove: async () => undefined }
    const issuer = `http://localhost:${await freePort()}`
    try {
      const seeding = await startServer({ database: kept, issuer })
      const web = await makeWeb(seeding, withRefresh)
      const spa = await makeSpa(seeding, withRefresh)
      const alice = await seeding.createUser()
      const ofWeb = await obtain(seeding, web, alice)
      const lost = await obtain(seeding, web, alice)
      const ofSpa = await obtain(seeding, spa, alice)
      await seeding.stop()

      const before = await serve(database.url, issuer)
      const second = tokensIn(await refresh(before.at, web, ofWeb.refresh_token))
      const third = tokensIn(await refresh(before.at, web, second.refresh_token))
      const successor = tokensIn(await refresh(before.at, web, lost.refresh_token))
      const atSpa = tokensIn(await refresh(before.at, spa, ofSpa.refresh_token))
      await before.kill()

      const after = await serve(database.url, issuer)
      try {
        // What was acknowledged is there; a lost answer can still be had again.
        expect((await introspect(after.at, web, third.access_token)).json['active']).toBe(true)
        expect(tokensIn(await refresh(after.at, web, lost.refresh_token)).refresh_token).toBe(
          successor.refresh_token,
        )
        expectTokenError(await refresh(after.at, web, ofWeb.refresh_token), 'invalid_grant')
        expectTokenError(await refresh(after.at, web, third.refresh_token), 'invalid_grant')
        expect((await introspect(after.at, web, third.access_token)).json).toEqual({ active: false })
      } finally {
        await after.kill()
      }

      const later = await startServer({ database: kept, issuer })
      later.sleep(12)
      try {
        expectTokenError(await refresh(later, spa, ofSpa.refresh_token), 'invalid_grant')
        await expectAllDead(later, spa, {
          accessTokens: [atSpa.access_token],
          refreshTokens: [atSpa.refresh_token],
        })
      } finally {
        await later.stop()
      }
    } finally {
      await database.remove()
    }
  }, 60_000)
})

describe('a refresh after what it rests on has gone', () => {
  type Case = {
    what: string
    more?: Record<string, unknown>
    scope?: string
    end: (one: {
      web: TestClient
      alice: { id: string; username: string; password: string }
      tokens: Tokens
      api: { id: string }
    }) => Promise<void>
    error: string
    /** What the person had allowed has ended as a whole. */
    endsAccess?: true
  }
  const at = (): Date => server.services.now()
  const cases: Case[] = [
    {
      what: 'consent withdrawn',
      end: ({ alice, web }) => withdraw(server, alice, web),
      error: 'invalid_grant',
      endsAccess: true,
    },
    {
      what: 'grant type removed',
      end: ({ web }) => changeClient(server, web, { grant_types: ['authorization_code'] }),
      error: 'unauthorized_client',
    },
    {
      what: 'user disabled',
      end: ({ alice }) => change(server, disableUser(alice.id, at())),
      error: 'invalid_grant',
      endsAccess: true,
    },
    {
      what: 'user deleted',
      end: ({ alice }) => change(server, deleteUser(alice.id)),
      error: 'invalid_grant',
      endsAccess: true,
    },
    {
      what: 'password changed',
      end: ({ alice }) => change(server, endAccessOf(alice.id, at())),
      error: 'invalid_grant',
      endsAccess: true,
    },
    {
      what: 'offline_access removed from the client',
      scope: 'openid offline_access',
      end: ({ web }) => changeClient(server, web, { scope: 'openid api:read' }),
      error: 'invalid_grant',
    },
    {
      what: 'every scope removed from the client',
      scope: 'openid',
      end: ({ web }) => changeClient(server, web, { scope: 'profile' }),
      error: 'invalid_grant',
    },
    {
      what: 'the API deleted, its scopes being all there was',
      scope: 'api:read',
      end: ({ api }) => change(server, ...deleteResource(api.id)),
      error: 'invalid_grant',
    },
    {
      what: 'session ended, of a token that is bound to it',
      scope: 'openid',
      end: ({ tokens, alice }) => endSessionOf(server, tokens.id_token, alice),
      error: 'invalid_grant',
      endsAccess: true,
    },
  ]
  for (const { what, scope = 'openid', end, error, endsAccess } of cases)
    it(`SEC-065 ${what}: ${error}, and it introspects as inactive`, async () => {
      const api = await server.createResource()
      const web = await makeWeb(server, { ...withRefresh, scope: 'openid profile offline_access api:read' })
      const alice = await server.createUser()
      const tokens = await obtain(server, web, alice, { scope })
      await end({ web, alice, tokens, api })
      const answer = await unchanged(server, () => refresh(server, web, tokens.refresh_token))
      expectTokenError(answer, error)
      expect((await introspect(server, web, tokens.refresh_token)).json).toEqual({ active: false })
      const access = await introspect(server, web, tokens.access_token)
      expect(access.json['active']).toBe(endsAccess === undefined)
      if (endsAccess) expectTokenRefused(await userinfo(tokens.access_token))
    })

  it('SEC-065 a disabled client does not authenticate, and its tokens are dead', async () => {
    const web = await makeWeb(server, withRefresh)
    const web2 = await makeWeb2(server, { resource_server_for: [server.issuer] })
    const tokens = await obtain(server, web, await server.createUser(), offline)
    expect((await introspect(server, web2, tokens.access_token)).json['active']).toBe(true)
    await disable(server, web)
    expectClientRefused(await refresh(server, web, tokens.refresh_token), true)
    expectTokenRefused(await userinfo(tokens.access_token))
    expect((await introspect(server, web2, tokens.access_token)).json).toEqual({ active: false })
  })

  it('SEC-065 a deleted client: another one under the same id gets nothing of the former one', async () => {
    for (const secretless of [true, false]) {
      const make = secretless ? makeSpa : makeWeb
      const former = await make(server, { ...withRefresh, scope: 'openid offline_access' })
      const alice = await server.createUser({ username: former.id })
      const tokens = await obtain(server, former, alice, offline)
      const { code, verifier } = await getCode(server.browser(), former, alice, offline)
      await change(server, ...deleteClient(former.id))
      expectTokenRefused(await userinfo(tokens.access_token))
      expectClientRefused(await refresh(server, former, tokens.refresh_token), !secretless)
      server.sleep(2)
      const next = await make(server, { ...withRefresh, scope: 'openid offline_access' })
      expectTokenError(await refresh(server, next, tokens.refresh_token), 'invalid_grant')
      expectTokenError(await redeem(server, next, { code, verifier }), 'invalid_grant')
      expectTokenRefused(await userinfo(tokens.access_token))
      expect((await refresh(server, next, (await obtain(server, next, alice)).refresh_token)).status).toBe(
        200,
      )
    }
  })

  it('SEC-065 a scope that the client has lost is not in the new token, nor are its claims', async () => {
    const web = await makeWeb(server, withRefresh)
    const alice = await server.createUser({ email: 'alice@example.com' })
    const tokens = await obtain(server, web, alice, { scope: 'openid email offline_access' })
    await changeClient(server, web, { scope: 'openid offline_access' })
    for (const more of [{}, { scope: 'openid email offline_access' }, { scope: 'openid email' }]) {
      const next = tokensIn(await refresh(server, web, tokens.refresh_token, more))
      expect(next.scope.split(' ')).not.toContain('email')
      expect(String(claimsIn(next.access_token)['scope']).split(' ')).not.toContain('email')
      expect(claimsIn(next.id_token)['email']).toBeUndefined()
      expect((await userinfo(next.access_token)).json).toEqual({ sub: alice.sub })
    }
  })
})

describe('a refresh token in other hands', () => {
  it('SEC-066 of another client, or without authentication, is refused and still works for its owner', async () => {
    const web = await makeWeb(server, withRefresh)
    const web2 = await makeWeb2(server, withRefresh)
    const spa = await makeSpa(server, withRefresh)
    const alice = await server.createUser()
    const ofWeb = await obtain(server, web, alice)
    const ofSpa = await obtain(server, spa, alice)
    const token = ofWeb.refresh_token
    const refused = await unchanged(server, () => refresh(server, web2, token))
    expectTokenError(refused, 'invalid_grant')
    await expectAudited(server, refused, 'token.rejected', { client: web2, reason: 'client_mismatch' })
    await unchanged(server, async () => {
      expectTokenError(await refresh(server, spa, token), 'invalid_grant')
      expectTokenError(await refresh(server, web, ofSpa.refresh_token), 'invalid_grant')
      const fields = { grant_type: 'refresh_token', refresh_token: token }
      expectClientRefused(await send(server, '/token', { ...fields, client_id: web.id }), false)
      expectTokenError(
        await send(server, '/token', { ...fields, refresh_token: ofSpa.refresh_token }),
        'invalid_request',
      )
      expectTokenError(await send(server, '/token', fields), 'invalid_request')
      // A client_id beside Basic that names the owner.
      expectTokenError(
        await send(server, '/token', { ...fields, client_id: web.id }, basic(web2)),
        'invalid_request',
      )
      expectTokenError(
        await send(server, '/token', [...Object.entries(fields), ['refresh_token', token]], basic(web)),
        'invalid_request',
      )
      expectTokenError(await tokenRequest(server, web, 'refresh_token'), 'invalid_request')
    })
    expect((await refresh(server, web, token)).status).toBe(200)
    expect((await refresh(server, spa, ofSpa.refresh_token)).status).toBe(200)
  })
})

describe('a client without refresh tokens', () => {
  it('SEC-067 gets no refresh_token, and no row is written, whatever it asks for', async () => {
    const web = await makeWeb(server)
    const spa = await makeSpa(server)
    const alice = await server.createUser()
    for (const client of [web, spa]) {
      const tokens = await obtain(server, client, alice, {
        scope: 'openid offline_access',
        prompt: 'consent',
      })
      expect(tokens).not.toHaveProperty('refresh_token')
      expect(tokens.scope).toBe('openid')
    }
    expect(await familiesOf(server)).toEqual([])
    expectTokenError(await refresh(server, web, 'x'), 'unauthorized_client')
  })

  it('SEC-067 the end of a session ends the refresh tokens that are bound to it, and only those', async () => {
    const web = await makeWeb(server, withRefresh)
    const alice = await server.createUser()
    const browser = server.browser()
    const bound = await obtain(server, web, alice, {}, browser)
    const outliving = await obtain(server, web, alice, { ...offline, prompt: 'consent' }, browser)
    const elsewhere = await obtain(server, web, alice)
    await endSessionOf(server, bound.id_token, alice)
    const refused = await refresh(server, web, bound.refresh_token)
    expectTokenError(refused, 'invalid_grant')
    await expectAudited(server, refused, 'token.rejected', { client: web, reason: 'session_ended' })
    expectTokenRefused(await userinfo(bound.access_token))
    expect((await refresh(server, web, outliving.refresh_token)).status).toBe(200)
    expect((await refresh(server, web, elsewhere.refresh_token)).status).toBe(200)
  })
})
