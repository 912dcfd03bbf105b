/** `lintel keys` beside a running server, which honours within a second what a command writes. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { runCommandLine } from '../../src/cli/command-line.ts'
import { databaseKinds, freshDatabase, testMasterKey } from '../support/databases.ts'
import { eventually, startServer } from '../support/server.ts'

type Listed = { kid: string; alg: string; state: string; announced_at: number; active_at: number | null }

const start = async (kind: 'sqlite' | 'postgres') => {
  const database = await freshDatabase(kind)
  const server = await startServer({ database })
  onTestFinished(() => server.stop())
  const keys = async (...words: string[]): Promise<{ code: number; value: unknown }> => {
    let written = ''
    const code = await runCommandLine(['keys', ...words], {
      environment: { LINTEL_DATABASE_URL: database.url, LINTEL_MASTER_KEY: testMasterKey },
      json: true,
      write: text => {
        written += text
      },
      say: () => undefined,
      readInput: async () => '',
      askHidden: undefined,
    })
    return { code, value: JSON.parse(written) }
  }
  return { server, keys, list: async () => (await keys('list')).value as Listed[] }
}

describe.each(databaseKinds)('on %s', kind => {
  it('lists what is in the JWKS, as contracts.md says', async () => {
    const { list } = await start(kind)
    const listed = await list()
    expect(listed.map(key => `${key.alg} ${key.state}`).sort()).toEqual(['ES256 active', 'RS256 active'])
    for (const key of listed)
      expect(key).toMatchObject({ kid: expect.any(String), announced_at: expect.any(Number) })
    expect(JSON.stringify(listed)).not.toMatch(/private|public|jwk/)
  })

  it('rotate announces, rotate --now signs, compromise takes out, and the server follows', async () => {
    const { server, keys, list } = await start(kind)
    const ring = server.services.keys
    const before = ring.signer('ES256').kid
    expect(await keys('rotate', '--alg', 'ES256')).toMatchObject({
      code: 0,
      value: [{ alg: 'ES256', state: 'announced', active_at: null }],
    })
    await eventually(() => ring.lives().length === 3, 'the announced key is in memory')
    expect(ring.signer('ES256').kid).toBe(before)

    const { value } = await keys('rotate', '--alg', 'ES256', '--now')
    const [now] = value as Listed[]
    expect(now).toMatchObject({ alg: 'ES256', state: 'active' })
    await eventually(() => ring.signer('ES256').kid === now?.kid, 'the server signs with the new key')
    expect((await list()).map(key => `${key.alg} ${key.state}`).sort()).toEqual([
      'ES256 active',
      'ES256 retiring',
      'RS256 active',
    ])

    expect(await keys('compromise', before)).toMatchObject({
      code: 0,
      value: { kid: before, state: 'gone', reason: 'compromised' },
    })
    await eventually(() => ring.hintVerifier(before) === undefined, 'the server refuses what it signed')
    expect((await list()).map(key => key.kid)).not.toContain(before)
    expect(((await keys('list', '--all')).value as Listed[]).map(key => key.kid)).toContain(before)
    const events = (await server.audit()).filter(row => row.event.startsWith('key.'))
    expect(events.map(row => row.event)).toEqual(['key.created', 'key.rotated', 'key.retired', 'key.revoked'])
    for (const row of events) expect(JSON.parse(row.detail)).toMatchObject({ by: 'cli' })
  })

  it('what is not there is refused', async () => {
    const { keys } = await start(kind)
    expect(await keys('compromise', 'es256-unknown')).toMatchObject({
      code: 1,
      value: { error: 'not_found' },
    })
    expect(await keys('rotate', '--alg', 'HS256')).toMatchObject({
      code: 1,
      value: { error: 'invalid_algorithm' },
    })
  })
})
