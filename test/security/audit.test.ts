import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { showUser, updateUser } from '../../src/admin/user-operations.ts'
import { StoreUnavailable } from '../../src/store/commit.ts'
import { ending } from '../store/support.ts'
import { fromOutside } from '../support/databases.ts'
import { answerOf, basic, getCode, passPages, post, redeem } from '../support/flow.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { makeWeb } from './fixtures.ts'
import { unchanged } from './outcomes.ts'
import { browserOf, makePerson, openRequest } from './people.ts'

let server: TestServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(() => server.stop())

const breakAudit = (): Promise<void> =>
  server.database.kind === 'sqlite'
    ? fromOutside(
        server.database,
        "create trigger no_audit before insert on audit begin select raise(abort, 'no audit'); end",
      )
    : fromOutside(
        server.database,
        "create function no_audit() returns trigger language plpgsql as 'begin raise exception ''no audit''; end'",
        'create trigger no_audit before insert on audit for each row execute function no_audit()',
      )
const mendAudit = (): Promise<void> =>
  fromOutside(
    server.database,
    server.database.kind === 'sqlite' ? 'drop trigger no_audit' : 'drop trigger no_audit on audit',
  )

describe('SEC-121 while the audit cannot be written', () => {
  it('nobody signs in: 503, no session, right or wrong password; afterwards the same form works', async () => {
    const web = await makeWeb(server)
    const alice = await makePerson(server)
    const browser = server.browser()
    const page = await openRequest(browser, web)
    await breakAudit()
    await unchanged(server, async () => {
      for (const password of [alice.password, 'wrong']) {
        const answer = await browser.submit(page, { username: alice.username, password })
        expect(answer.status).toBe(503)
        expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
        expect(answer.body).toContain('data-error="temporarily_unavailable"')
        expect(answer.body).not.toContain('no audit')
      }
    })
    await mendAudit()
    const last = await passPages(browser, await browser.submit(page, { ...alice }), alice)
    expect(answerOf(last).has('code')).toBe(true)
    expect((await server.audit()).filter(row => row.event === 'login.succeeded')).toHaveLength(1)
  })

  it('an administrator changes nothing', async () => {
    const { services } = server
    const alice = await makePerson(server)
    await breakAudit()
    const change = updateUser(services, alice.username, { name: 'Mallory', role: 'admin' }, { kind: 'cli' })
    expect(await ending(change)).toBeInstanceOf(StoreUnavailable)
    expect((await showUser(services, alice.username)).user).toMatchObject({ name: null, role: null })
  })

  it('failed client authentication, a revocation and a replayed code are 503, never a 500 and never a 200', async () => {
    const web = await makeWeb(server, { grant_types: ['authorization_code', 'refresh_token'] })
    const alice = await makePerson(server)
    const code = await getCode(await browserOf(server, web, alice), web, alice)
    const { json } = await redeem(server, web, code)
    await breakAudit()
    await unchanged(server, async () => {
      const answers = [
        await post(server, '/token', { grant_type: 'refresh_token' }, basic({ ...web, secret: 'wrong' })),
        await post(server, '/revoke', { token: String(json['access_token']) }, basic(web)),
        await redeem(server, web, code),
      ]
      for (const { status, headers, json: body } of answers) {
        expect({ status, error: body['error'] }).toEqual({ status: 503, error: 'temporarily_unavailable' })
        expect(Number(headers['retry-after'])).toBeGreaterThan(0)
      }
    })
    await mendAudit()
    expect((await redeem(server, web, code)).json['error']).toBe('invalid_grant')
    expect((await server.audit()).filter(row => row.event === 'code.replayed')).toHaveLength(1)
  })
})
