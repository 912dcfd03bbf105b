import { describe, expect, it } from 'vitest'
import { createClient, deleteClient, rotateSecret, updateClient } from '../../src/admin/client-operations.ts'
import { createGroup, deleteGroup } from '../../src/admin/group-operations.ts'
import { mergePatch } from '../../src/admin/merge-patch.ts'
import { createResource, updateResource } from '../../src/admin/resource-operations.ts'
import { revokeSession, revokeSessionsOf } from '../../src/admin/session-operations.ts'
import { deleteUser, disableUser, enableUser, setPassword } from '../../src/admin/user-access-operations.ts'
import { createUser, showUser, updateUser } from '../../src/admin/user-operations.ts'
import { listSessions } from '../../src/identity/session-list.ts'
import { readClient } from '../../src/oauth/client/client.ts'
import { listResources } from '../../src/oauth/client/resource-server.ts'
import { databaseKinds } from '../support/databases.ts'
import { getCode, getWithToken, redeem } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'

const rules = { minLength: 8 }
const cli = { kind: 'cli' } as const
const uri = 'https://app.example/cb'

/** alice, signed in at an app, with an access token of hers. */
const signedIn = async (server: TestServer) => {
  const client = await server.createClient({
    require_pkce: false,
    backchannel_logout_uri: 'https://app.example/logout',
  })
  const alice = await server.createUser({ username: 'alice' })
  const code = await getCode(server.browser(), client, alice)
  const { json } = await redeem(server, client, code)
  const token = String(json['access_token'])
  const userinfo = async (): Promise<number> => (await getWithToken(server, '/userinfo', token)).status
  expect(await userinfo()).toBe(200)
  return { alice, client, userinfo }
}

describe.each(databaseKinds)('operations on %s', kind => {
  const withServer = (work: (server: TestServer) => Promise<void>) => async (): Promise<void> => {
    const server = await startServer({ kind })
    try {
      await work(server)
    } finally {
      await server.stop()
    }
  }

  it('of two changes at once, of a user, a client or a resource, one is told to look again: 409', async () => {
    /** Changes wait for one another, so that both have read before one writes. */
    let waiting: (() => void)[] | undefined
    const server = await startServer({
      kind,
      wrapStore: store => ({
        ...store,
        commit: async writes => {
          const now = waiting
          if (now && now.length < 2 && writes[0]?.statement.name.endsWith('.update'))
            await new Promise<void>(resolve => {
              now.push(resolve)
              if (now.length === 2) for (const go of now) go()
            })
          return store.commit(writes)
        },
      }),
    })
    const { services } = server
    const alice = await server.createUser({ username: 'alice' })
    const app = await server.createClient({ client_id: 'app' })
    const api = await server.createResource()
    const changes: [string, () => Promise<unknown>, () => Promise<unknown>][] = [
      [
        'user',
        () => updateUser(services, alice.id, { name: 'Alice' }, cli),
        () => updateUser(services, alice.id, { email: 'alice@example.com' }, cli),
      ],
      [
        'client',
        () => updateClient(services, { id: app.id, patch: { client_name: 'One' } }, cli),
        () => updateClient(services, { id: app.id, patch: { scope: 'openid' } }, cli),
      ],
      [
        'resource',
        () => updateResource(services, { name: api.identifier, changes: { name: 'One' } }, cli),
        () => updateResource(services, { name: api.identifier, changes: { lifetime: 60 } }, cli),
      ],
    ]
    for (const [what, one, other] of changes) {
      waiting = []
      const ends = await Promise.allSettled([one(), other()])
      waiting = undefined
      const refused = ends.flatMap(end => (end.status === 'rejected' ? [end.reason] : []))
      expect(refused, what).toMatchObject([{ error: 'conflict', status: 409 }])
      // Tried again it rests on what is there now, and is taken.
      await (ends[0]?.status === 'rejected' ? one() : other())
    }
    expect((await showUser(services, alice.id)).user).toMatchObject({
      name: 'Alice',
      email: 'alice@example.com',
    })
    expect((await readClient(services.store, app.id))?.metadata).toMatchObject({
      client_name: 'One',
      scope: 'openid',
    })
    expect(await listResources(services.store)).toMatchObject([{ name: 'One', lifetime: 60 }])
    await server.stop()
  })

  it(
    'a user is made with groups, claims and a password, and changed by a merge patch',
    withServer(async ({ services, audit }) => {
      await createGroup(services, 'staff', cli)
      await createGroup(services, 'board', cli)
      const { user } = await createUser(
        services,
        rules,
        {
          username: 'alice',
          email: 'alice@example.com',
          emailVerified: true,
          claims: { given_name: 'Alice', address: { locality: 'Oxford' } },
          groups: ['staff', 'Staff'],
          password: 'correct horse battery staple',
        },
        cli,
      )
      const changes = {
        email: 'a@example.com',
        claims: { given_name: null, address: { country: 'GB' } },
        join: ['board'],
        leave: ['staff'],
      }
      expect(await updateUser(services, user.sub, changes, cli)).toMatchObject({
        groups: ['board'],
        user: {
          email: 'a@example.com',
          emailVerified: false,
          claims: { address: { locality: 'Oxford', country: 'GB' } },
        },
      })
      await deleteGroup(services, 'board', cli)
      expect((await showUser(services, 'ALICE')).groups).toEqual([])
      expect((await audit()).map(row => row.event)).toEqual(
        expect.arrayContaining(['group.created', 'user.created', 'user.updated', 'group.deleted']),
      )
    }),
  )

  it(
    'what is wrong with a user is said, and nothing is written',
    withServer(async ({ services }) => {
      const make = (wanted: object) => createUser(services, rules, { username: 'bob', ...wanted }, cli)
      await createUser(services, rules, { username: 'alice', email: 'alice@example.com' }, cli)
      const { user: alice } = await showUser(services, 'alice')
      await expect(make({ username: 'ALICE' })).rejects.toMatchObject({
        error: 'username_taken',
        status: 409,
      })
      await expect(make({ username: alice.sub })).rejects.toMatchObject({ error: 'username_taken' })
      await expect(make({ email: 'Alice@example.com' })).rejects.toMatchObject({ error: 'email_taken' })
      await expect(make({ email: 'nonsense' })).rejects.toMatchObject({ error: 'invalid_user' })
      await expect(make({ emailVerified: true })).rejects.toMatchObject({ error: 'invalid_user' })
      await expect(make({ claims: { sub: alice.sub } })).rejects.toMatchObject({ error: 'invalid_claims' })
      await expect(make({ claims: { groups: ['admins'] } })).rejects.toMatchObject({
        error: 'invalid_claims',
      })
      await expect(make({ claims: { website: 'javascript:alert(1)' } })).rejects.toMatchObject({
        error: 'invalid_claims',
      })
      await expect(make({ groups: ['nobody'] })).rejects.toMatchObject({ error: 'unknown_group' })
      await expect(make({ password: 'short' })).rejects.toMatchObject({ error: 'weak_password' })
      await expect(make({ password: 'only twelve!', role: 'admin' })).rejects.toMatchObject({
        error: 'weak_password',
      })
      await expect(showUser(services, 'bob')).rejects.toMatchObject({ error: 'not_found' })
      const both = await Promise.allSettled([make({}), make({})])
      expect(both.map(one => one.status).sort()).toEqual(['fulfilled', 'rejected'])
    }),
  )

  it(
    'a new password ends sessions and tokens, and apps are told',
    withServer(async server => {
      const { alice, userinfo } = await signedIn(server)
      await setPassword(
        server.services,
        rules,
        { name: 'alice', password: 'another battery staple horse' },
        cli,
      )
      expect(await userinfo()).toBe(401)
      expect(await listSessions(server.services.store, new Date(), { userId: alice.id })).toEqual([])
      expect((await server.counts())['outbox']).toBe(1)
      const told = (await server.audit())
        .filter(row => row.user_id === alice.id)
        .map(row => [row.event, row.reason])
      expect(told).toContainEqual(['password.changed', null])
      expect(told).toContainEqual(['session.revoked', 'password_changed'])
    }),
  )

  it(
    'a disabled user is out until enabled; what had ended stays so',
    withServer(async server => {
      const { userinfo } = await signedIn(server)
      await disableUser(server.services, 'alice', cli)
      await disableUser(server.services, 'alice', cli)
      expect(await userinfo()).toBe(401)
      expect((await enableUser(server.services, 'alice', cli)).user.disabledAt).toBeNull()
      expect(await userinfo()).toBe(401)
      expect((await server.audit()).filter(row => row.reason === 'disabled')).toHaveLength(1)
    }),
  )

  it(
    "SEC-061 a new user of a deleted one's name gets a new sub, and nothing of the old one attaches",
    withServer(async server => {
      const { alice, userinfo } = await signedIn(server)
      await deleteUser(server.services, 'alice', cli)
      expect(await userinfo()).toBe(401)
      const { user } = await createUser(server.services, rules, { username: 'alice' }, cli)
      expect(user.sub).not.toBe(alice.sub)
      expect(user.id).not.toBe(alice.id)
      expect(await userinfo()).toBe(401)
      expect(await listSessions(server.services.store, new Date(), { userId: user.id })).toEqual([])
      expect((await server.counts())['outbox']).toBe(1)
    }),
  )

  it(
    'SEC-061 a client_id that is the sub of a user is refused',
    withServer(async ({ services, createUser: make }) => {
      const alice = await make()
      const metadata = { grant_types: ['client_credentials'] }
      for (const client_id of [
        alice.sub,
        alice.id,
        'https://app.example/client',
        'a b',
        '',
        'x'.repeat(201),
        7,
      ])
        await expect(createClient(services, { ...metadata, client_id }, cli)).rejects.toMatchObject({
          error: 'invalid_client_metadata',
        })
    }),
  )

  it(
    'sessions are ended one by one or all of a user',
    withServer(async server => {
      const { alice, userinfo } = await signedIn(server)
      const [session] = await listSessions(server.services.store, new Date())
      expect(session).toMatchObject({ username: 'alice' })
      expect(await revokeSession(server.services, session?.id ?? '', cli)).toEqual([
        { id: session?.id, username: 'alice' },
      ])
      expect(await userinfo()).toBe(401)
      await expect(revokeSession(server.services, session?.id ?? '', cli)).rejects.toMatchObject({
        error: 'not_found',
      })
      expect(await revokeSessionsOf(server.services, alice.username, cli)).toEqual([])
    }),
  )

  it(
    'a client is made, changed by a merge patch, given another secret and deleted',
    withServer(async server => {
      const { services } = server
      const brought = 'a-secret-of-at-least-32-bytes-it-is'
      const made = await createClient(
        services,
        { client_id: 'app', client_secret: brought, redirect_uris: [uri], client_name: 'App' },
        cli,
      )
      expect(made).toMatchObject({ secret: brought, client: { id: 'app' }, warnings: [] })
      const changed = await updateClient(
        services,
        { id: 'app', patch: { client_name: null, profile: 'oidc', typo: 1 } },
        cli,
      )
      expect(changed.client).toMatchObject({ name: 'app', profile: 'oidc', redirectUris: [uri] })
      expect(changed.warnings).toHaveLength(1)
      const again = await updateClient(
        services,
        { id: 'app', patch: { client_uri: 'https://app.example' } },
        cli,
      )
      expect(again.client.profile).toBe('oidc')
      const turned = await rotateSecret(services, { id: 'app', oldEndsIn: 3600 }, cli)
      expect(turned.client.secrets).toHaveLength(2)
      expect(turned.client.secrets.filter(one => one.expiresAt === null)).toHaveLength(1)
      await deleteClient(services, 'app', cli)
      await expect(updateClient(services, { id: 'app', patch: {} }, cli)).rejects.toMatchObject({
        error: 'not_found',
      })
      expect((await server.counts())['client_secret']).toBe(0)
      expect(JSON.stringify(await server.audit())).not.toContain(brought)
    }),
  )

  it(
    'what is wrong with a client is said',
    withServer(async ({ services }) => {
      const make = (metadata: unknown) => createClient(services, metadata, cli)
      const bad = { error: 'invalid_client_metadata' }
      await expect(make([])).rejects.toMatchObject(bad)
      await expect(make({ redirect_uris: [uri], client_secret: 'short' })).rejects.toMatchObject(bad)
      await expect(
        make({ redirect_uris: [uri], client_secret: 'x'.repeat(40), token_endpoint_auth_method: 'none' }),
      ).rejects.toMatchObject(bad)
      await expect(
        make({ redirect_uris: [uri], token_endpoint_auth_method: 'none', require_pkce: false }),
      ).rejects.toMatchObject(bad)
      await expect(make({ redirect_uris: ['javascript:alert(1)'] })).rejects.toMatchObject({
        error: 'invalid_redirect_uri',
      })
      await make({ redirect_uris: [uri], client_id: 'app', token_endpoint_auth_method: 'none' })
      await expect(make({ redirect_uris: [uri], client_id: 'app' })).rejects.toMatchObject({
        error: 'client_id_taken',
      })
      await expect(rotateSecret(services, { id: 'app', oldEndsIn: 0 }, cli)).rejects.toMatchObject({
        error: 'no_secret',
      })
      await expect(
        updateClient(services, { id: 'app', patch: { client_id: 'b' } }, cli),
      ).rejects.toMatchObject(bad)
      const confidential = await updateClient(
        services,
        { id: 'app', patch: { token_endpoint_auth_method: null } },
        cli,
      )
      expect(confidential.secret).toMatch(/^lns/)
      const both = await Promise.allSettled(
        [1, 2].map(() => make({ redirect_uris: [uri], client_id: 'twice' })),
      )
      expect(both.map(one => one.status).sort()).toEqual(['fulfilled', 'rejected'])
    }),
  )

  it(
    'a resource is one audience, and a scope belongs to one resource',
    withServer(async ({ services, issuer }) => {
      const wanted = { identifier: 'https://api.example', name: 'API', scopes: ['api:read'] }
      await createResource(services, wanted, cli)
      const refused = (changes: object, error = 'invalid_resource') =>
        expect(
          createResource(
            services,
            { ...wanted, identifier: 'https://b.example', scopes: [], ...changes },
            cli,
          ),
        ).rejects.toMatchObject({ error })
      await refused({ identifier: 'https://api.example/' }, 'resource_taken')
      await refused({ identifier: issuer })
      await refused({ identifier: 'api' })
      await refused({ scopes: ['api:read'] })
      await refused({ scopes: ['openid'] })
      await refused({ alg: 'HS256' })
      await refused({ tokenTyp: 'at' })
      const changed = await updateResource(
        services,
        { name: 'https://api.example/', changes: { scopes: ['api:write'], lifetime: 60 } },
        cli,
      )
      expect(changed).toMatchObject({ name: 'API', scopes: ['api:write'], lifetime: 60 })
    }),
  )
})

describe('JSON merge patch', () => {
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    ['a', { b: 'c' }, { b: 'c' }],
    [{ a: 'b' }, ['c'], ['c']],
  ])('%j patched with %j is %j (RFC 7396 appendix A)', (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result)
  })
})
