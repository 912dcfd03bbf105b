/** What operations promise to whoever runs them: somebody always administers, and the audit has who, what, before and after. */
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Actor } from '../../src/admin/actor.ts'
import { updateClient } from '../../src/admin/client-operations.ts'
import { deleteUser, disableUser } from '../../src/admin/user-access-operations.ts'
import { updateUser } from '../../src/admin/user-operations.ts'
import type { User } from '../../src/identity/user.ts'
import { startServer, type TestServer } from '../support/server.ts'

const started = async (): Promise<TestServer> => {
  const server = await startServer()
  onTestFinished(() => server.stop())
  return server
}

const admin = (server: TestServer, username: string) => server.createUser({ username, role: 'admin' })

const actor: Actor = {
  kind: 'admin',
  userId: 'who-did-it',
  visit: { requestId: 'request-1', ip: '192.0.2.1', userAgent: 'a browser' },
}

/** The ways to lose an administrator. */
const losses: [string, (server: TestServer, user: User) => Promise<unknown>][] = [
  ['disabling', ({ services }, user) => disableUser(services, user.id, actor)],
  ['deleting', ({ services }, user) => deleteUser(services, user.id, actor)],
  ['taking the role from', ({ services }, user) => updateUser(services, user.id, { role: null }, actor)],
]

const administrators = async ({ services }: TestServer): Promise<number> =>
  (
    await services.store.search(knex =>
      knex('user').select('id').where({ role: 'admin' }).whereNull('disabled_at'),
    )
  ).length

describe.each(losses)('%s an administrator', (_, lose) => {
  it('SEC-100 is refused where it is the last one, and a disabled one is none', async () => {
    const server = await started()
    const [last, former] = [await admin(server, 'last'), await admin(server, 'former')]
    await disableUser(server.services, former.id, actor)
    await expect(lose(server, last)).rejects.toMatchObject({ error: 'last_administrator', status: 409 })
    expect(await administrators(server)).toBe(1)
    await lose(server, former)
  })

  it('SEC-100 of two at once that take it from one another, one is refused', async () => {
    const server = await started()
    const [one, two] = [await admin(server, 'one'), await admin(server, 'two')]
    const outcomes = await Promise.allSettled([lose(server, one), lose(server, two)])
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await administrators(server)).toBe(1)
    const refused = outcomes.find(outcome => outcome.status === 'rejected')
    expect(refused?.reason).toMatchObject({ status: 409 })
  })
})

it('SEC-104 the audit has who did it, what, before and after, exactly once', async () => {
  const server = await started()
  const alice = await server.createUser({ email: 'alice@corp.test' })
  const web = await server.createClient()
  await updateUser(server.services, alice.id, { email: 'new@corp.test', role: 'admin' }, actor)
  await updateClient(server.services, { id: web.id, patch: { client_name: 'New name' } }, actor)
  const told = (await server.audit()).filter(({ event }) => event === 'admin.changed')
  expect(told.map(({ reason, request_id, ip }) => [reason, request_id, ip])).toEqual([
    ['user.updated', 'request-1', '192.0.2.1'],
    ['client.updated', 'request-1', '192.0.2.1'],
  ])
  expect(told.map(({ detail }) => JSON.parse(detail))).toMatchObject([
    {
      by: 'who-did-it',
      before: { email: 'alice@corp.test', role: null },
      after: { email: 'new@corp.test', role: 'admin' },
    },
    { by: 'who-did-it', before: { client_name: 'Web' }, after: { client_name: 'New name' } },
  ])
})
