/** Starts that must not happen, and changing the master key. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { sealedTables } from '../../src/admin/sealed-tables.ts'
import { runCommandLine } from '../../src/cli/command-line.ts'
import { newUser } from '../../src/identity/user.ts'
import { reencrypt } from '../../src/keys/reencrypt.ts'
import { rotateKeys } from '../../src/keys/rotate-keys.ts'
import { listKeys } from '../../src/keys/signing-key.ts'
import { openDatabase } from '../../src/store/database.ts'
import {
  databaseKinds,
  type FreshDatabase,
  freshDatabase,
  fromOutside,
  sized,
  testMasterKey,
} from '../support/databases.ts'
import { openProcess, otherMasterKey, type Process } from './support.ts'

const ends: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const makeDatabase = async (kind: 'sqlite' | 'postgres', content?: 'empty'): Promise<FreshDatabase> => {
  const database = await freshDatabase(kind, content)
  ends.push(() => database.remove())
  return database
}
const open = async (...[database, ...more]: Parameters<typeof openProcess>): Promise<Process> => {
  const opened = await openProcess(database, ...more)
  ends.push(() => opened.close())
  return opened
}
const keyCount = async (database: FreshDatabase): Promise<number> => {
  const store = await openDatabase(database.parsed, { poolSize: 1 })
  try {
    return (await listKeys(store)).length
  } finally {
    await store.close()
  }
}

/** Runs a command as the shell would. */
const command = async (
  database: FreshDatabase,
  words: string[],
  environment: Record<string, string> = {},
): Promise<{ code: number; said: string; value: unknown }> => {
  let written = ''
  let said = ''
  const code = await runCommandLine(words, {
    environment: { LINTEL_DATABASE_URL: database.url, LINTEL_MASTER_KEY: testMasterKey, ...environment },
    json: true,
    write: text => {
      written += text
    },
    say: line => {
      said += line
    },
    readInput: async () => '',
    askHidden: undefined,
  })
  return { code, said, value: JSON.parse(written || 'null') }
}

describe.each(databaseKinds)('on %s', kind => {
  it('a wrong master key: exit 1, the setting is named, and no key is made (SEC-117, REL-17)', async () => {
    const database = await makeDatabase(kind)
    const { code, said } = await command(database, ['keys', 'list'], { LINTEL_MASTER_KEY: otherMasterKey })
    expect(code).toBe(1)
    expect(said).toContain('LINTEL_MASTER_KEY')
    expect(await keyCount(database)).toBe(2)
  })

  it('a wrong master key shows at the announced keys too', async () => {
    const database = await makeDatabase(kind)
    const both = await open(database, { LINTEL_MASTER_KEY: `${otherMasterKey},${testMasterKey}` })
    await rotateKeys(both.services, both.settings, { alg: 'ES256', when: 'seen' }, { by: 'test' })
    await expect(openProcess(database)).rejects.toThrow(/LINTEL_MASTER_KEY/)
  })

  it('no keys, but users: not ready, the cause is named, and no key is made (REL-17)', async () => {
    const database = await makeDatabase(kind)
    const { services } = await open(database)
    await services.store.commit([newUser({ username: 'alice' }, services.now()).write])
    await fromOutside(database, 'delete from signing_key')
    const { code, said } = await command(database, ['keys', 'list'])
    expect(code).toBe(1)
    expect(said).toMatch(/signing_key.*backup/)
    expect(await keyCount(database)).toBe(0)
  })

  it('the keys of one algorithm are missing: the cause is named, and no key is made (REL-17)', async () => {
    const database = await makeDatabase(kind)
    await fromOutside(database, "delete from signing_key where alg = 'RS256'")
    await expect(openProcess(database)).rejects.toThrow(/no active RS256 signing key.*backup/)
    expect(await keyCount(database)).toBe(1)
  })

  it('a running server keeps signing when its keys are deleted, and says so (REL-17)', async () => {
    const database = await makeDatabase(kind)
    const { services } = await open(database)
    await fromOutside(database, 'delete from signing_key')
    await expect(services.keys.reload()).rejects.toThrow()
    expect(services.keys.unreadable()).toContain('signing_key')
    expect(services.keys.canSign('RS256')).toBe(true)
  })

  it('nothing private lies in the tables of keys in clear (SEC-117)', async () => {
    const { services } = await open(await makeDatabase(kind))
    const rows = await listKeys(services.store)
    const others = await services.store.search(knex => knex('server_key').select('*'))
    expect(rows).toHaveLength(2)
    expect(others).toHaveLength(1)
    expect(JSON.stringify([rows, others])).not.toMatch(/PRIVATE KEY|\\"(d|p|q|k)\\":/)
  })

  it('a changed private part is refused', async () => {
    const database = await makeDatabase(kind)
    await fromOutside(
      database,
      'update signing_key set private_box = (select max(private_box) from signing_key)',
    )
    await expect(openProcess(database)).rejects.toThrow(/cannot be decrypted/)
  })

  it('20 processes that start at once on an empty database have the same keys (REL-13)', async () => {
    const database = await makeDatabase(kind, 'empty')
    const many = sized(4, 20)
    const processes = await Promise.all(
      Array.from({ length: many }, () => open(database, { LINTEL_DATABASE_POOL_SIZE: '1' })),
    )
    expect(await keyCount(database)).toBe(2)
    expect(new Set(processes.map(one => one.services.keys.jwks().etag)).size).toBe(1)
  })

  it('reencrypt puts everything under the first master key, and the second can go', async () => {
    const database = await makeDatabase(kind)
    const before = await open(database)
    const masterKeys = { LINTEL_MASTER_KEY: `${otherMasterKey},${testMasterKey}` }
    // Two at once, and again: each value is sealed once.
    const answers = await Promise.all([
      command(database, ['keys', 'reencrypt'], masterKeys),
      command(database, ['keys', 'reencrypt'], masterKeys),
    ])
    expect(answers.map(one => one.code)).toEqual([0, 0])
    expect(await command(database, ['keys', 'reencrypt'], masterKeys)).toMatchObject({
      code: 0,
      value: { reencrypted: 0 },
    })
    const after = await open(database, { LINTEL_MASTER_KEY: otherMasterKey })
    expect(after.services.refreshTokenKey).toEqual(before.services.refreshTokenKey)
    expect(after.services.keys.jwks().etag).toBe(before.services.keys.jwks().etag)
    await expect(openProcess(database)).rejects.toThrow(/LINTEL_MASTER_KEY/)
  })

  it('reencrypt stops at what no master key opens, and changes nothing more', async () => {
    const database = await makeDatabase(kind)
    const { services } = await open(database, { LINTEL_MASTER_KEY: `${otherMasterKey},${testMasterKey}` })
    await fromOutside(database, "update server_key set box = '1.00000000.AAAA.AAAA.AAAA'")
    await expect(reencrypt(services, sealedTables, { by: 'test' })).rejects.toThrow(
      /no configured master key/,
    )
  })
})

describe('the file master.key', () => {
  const directory = (): string => {
    const made = mkdtempSync(join(tmpdir(), 'lintel-master-key-'))
    ends.push(() => rmSync(made, { recursive: true, force: true }))
    return made
  }
  const settings = (data: string) => ({ LINTEL_DATA: data, LINTEL_MASTER_KEY: undefined })

  it('is made at first start, by one of several processes, and holds 32 bytes', async () => {
    const database = await makeDatabase('sqlite', 'empty')
    const data = directory()
    await Promise.all(Array.from({ length: 4 }, () => open(database, settings(data))))
    expect(readdirSync(data).filter(name => name.startsWith('master.key'))).toEqual(['master.key'])
    expect(Buffer.from(readFileSync(join(data, 'master.key'), 'utf8').trim(), 'base64url')).toHaveLength(32)
  })

  it('is not made anew beside a database that has keys (SEC-117)', async () => {
    const database = await makeDatabase('sqlite')
    const data = directory()
    await expect(openProcess(database, settings(data))).rejects.toThrow(
      /master\.key encrypted.*missing.*backup/,
    )
    expect(existsSync(join(data, 'master.key'))).toBe(false)
  })
})
