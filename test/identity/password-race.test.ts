import { afterEach, beforeEach, expect, it } from 'vitest'
import { storePassword } from '../../src/identity/password.ts'
import { checkPassword } from '../../src/identity/password-check.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

it('a sign-in that looked at the old password does not outlive its change (SEC-034)', async () => {
  const alice = await server.createUser()
  const { services } = server
  const outcome = await checkPassword(services, {
    username: alice.username,
    password: alice.password,
    browserId: 'none',
    visit: { requestId: 'r', ip: '192.0.2.1', userAgent: '' },
  })
  if (outcome.kind !== 'proved') throw new Error(outcome.kind)
  const hash = await services.passwords.hash('another long pass phrase')
  await services.store.commit([storePassword(alice.id, hash, services.now())])
  await expect(services.store.commit(outcome.writes)).rejects.toThrow('password.confirm')
})
