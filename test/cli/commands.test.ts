import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import argon2 from 'argon2'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../support/server.ts'
import { build, makePlace, type Place } from './lintel-process.ts'

let place: Place
beforeAll(build, 120_000)
beforeEach(() => {
  place = makePlace()
})
afterEach(() => place.remove())

const password = 'correct horse battery staple'

describe('the command line', () => {
  it('with --json there is one JSON value on standard output and messages are on standard error', async () => {
    const metadata = { client_name: 'Notes', redirect_uris: ['http://notes.example/cb'], first_part: true }
    const made = await place.run(['client', 'create', '--json-metadata', JSON.stringify(metadata), '--json'])
    expect(made.code).toBe(0)
    expect(JSON.parse(made.stdout)).toMatchObject({
      client_name: 'Notes',
      client_id: expect.stringMatching(/^[0-9a-z]{20}$/),
      client_secret: expect.stringMatching(/^lns/),
      client_secret_expires_at: 0,
      client_id_issued_at: expect.any(Number),
    })
    expect(made.stderr).toContain('"first_part" is not known and was ignored. Did you mean "first_party"?')
    expect(made.stderr).toContain('http://notes.example/cb is plain http')
    const shown = await place.run(['client', 'list', '--json'])
    expect(shown.stderr).toBe('')
    expect(shown.stdout).not.toContain('client_secret')
    const failed = await place.run(['--json', 'user', 'show', 'nobody'])
    expect(failed.code).toBe(1)
    expect(JSON.parse(failed.stdout)).toEqual({ error: 'not_found', message: 'there is no user "nobody".' })
  })

  it('a wrong call ends with 2 and suggests what may have been meant', async () => {
    const cases: [string[], string][] = [
      [['usr', 'list'], 'Did you mean user?'],
      [['user', 'lst'], 'Did you mean list?'],
      [['user', 'list', '--serch', 'a'], 'Did you mean --search?'],
      [['user', 'create'], '--username'],
      [['user', 'show'], 'user'],
      [['user', 'create', '--username', 'a', '--claims', '{'], '--claims is not JSON'],
      [['session', 'revoke'], '--user'],
      [['client', 'rotate-secret', 'a', '--expire-old', 'soon'], '--expire-old'],
    ]
    const ended = await Promise.all(cases.map(([words]) => place.run([...words, '--json'])))
    ended.forEach(({ code, stdout, stderr }, index) => {
      expect(code).toBe(2)
      expect(JSON.parse(stdout)).toMatchObject({
        error: 'usage',
        message: expect.stringContaining(cases[index]?.[1] ?? ''),
      })
      expect(stderr).toContain(cases[index]?.[1])
    })
    const bare = await place.run([])
    expect(bare).toMatchObject({ code: 2, stdout: '' })
    expect(bare.stderr).toContain('Usage: lintel')
  })

  it('help and the version come on standard output with 0', async () => {
    const [help, ofUser, version, flag] = await Promise.all([
      place.run(['--help']),
      place.run(['help', 'user']),
      place.json(['version']),
      place.run(['--version']),
    ])
    expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('healthcheck') })
    expect(ofUser).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('set-password') })
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    expect(version).toMatchObject({ version: manifest.version })
    expect(flag.stdout).toBe(`lintel ${manifest.version}\n`)
  })

  it('the first command migrates an empty database, and several at once do not quarrel', async () => {
    const made = await Promise.all(
      ['a1', 'b1', 'c1'].map(name => place.json(['user', 'create', '--username', name])),
    )
    expect(made).toHaveLength(3)
    expect(await place.json(['user', 'list'])).toHaveLength(3)
    const status = (await place.json(['migrate', 'status'])) as { done: boolean }[]
    expect(status.every(({ done }) => done)).toBe(true)
    expect(await place.json(['migrate', 'up'])).toEqual({ ran: [] })
  })

  it('config schema is JSON Schema that knows every section', async () => {
    const schema = (await place.json(['config', 'schema'])) as {
      properties: Record<string, { properties?: object }>
    }
    expect(Object.keys(schema.properties)).toEqual(
      expect.arrayContaining(['issuer', 'master_key_file', 'tokens']),
    )
    expect(schema.properties['tokens']?.properties).toHaveProperty('rsa_bits')
  })

  it('what a command writes, a running server honours within one second', { timeout: 90_000 }, async () => {
    const port = await freePort()
    const server = await place.serve(port)
    const env = { LINTEL_ISSUER: `http://localhost:${port}` }
    const metadata = JSON.stringify({
      client_id: 'robot',
      grant_types: ['client_credentials'],
      scope: 'api:read',
    })
    await place.json(
      ['resource', 'create', '--identifier', 'https://api.example', '--name', 'API', '--scopes', 'api:read'],
      { env },
    )
    const made = (await place.json(['client', 'create', '--json-metadata', metadata], { env })) as {
      client_secret: string
    }
    const ask = async (secret: string): Promise<number> => {
      const body = new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: 'robot',
        client_secret: secret,
        scope: 'api:read',
      })
      return (await fetch(`http://127.0.0.1:${port}/token`, { method: 'POST', body })).status
    }
    await wait(1_100)
    expect(await ask(made.client_secret)).toBe(200)
    const turned = (await place.json(['client', 'rotate-secret', 'robot', '--expire-old', 'now'], {
      env,
    })) as { client_secret: string }
    await wait(1_100)
    expect(await ask(made.client_secret)).toBe(401)
    expect(await ask(turned.client_secret)).toBe(200)
    await place.json(['client', 'delete', 'robot'], { env })
    await wait(1_100)
    expect(await ask(turned.client_secret)).toBe(401)
    server.process.kill('SIGTERM')
    expect(await server.ended).toBe(0)
  })

  it('one trailing newline of a password on standard input is cut', async () => {
    await place.json(['user', 'create', '--username', 'alice', '--password-stdin'], {
      input: `${password}\n`,
    })
    const database = new Sqlite(join(place.directory, 'data', 'lintel.db'), { readonly: true })
    const stored = database.prepare('select hash from password').pluck().get()
    database.close()
    expect(await argon2.verify(String(stored), password)).toBe(true)
    const weak = await place.run(['user', 'set-password', 'alice', '--password-stdin', '--json'], {
      input: 'short\n',
    })
    expect(JSON.parse(weak.stdout)).toEqual({ error: 'weak_password', message: 'the password is too short' })
    const audit = (await place.json(['audit', 'list', '--limit', '1'])) as { event: string; detail: object }[]
    expect(audit).toMatchObject([{ event: 'user.created', detail: { by: 'cli', username: 'alice' } }])
    expect(JSON.stringify(audit)).not.toContain(password)
  })

  it('tables for people hold nothing that moves a cursor', async () => {
    await place.json(['user', 'create', '--username', 'alice', '--name', 'Alice Liddell'])
    await place.json([
      'client',
      'create',
      '--json-metadata',
      '{"client_id":"a","redirect_uris":["https://a.example/cb"]}',
    ])
    const [users, clients, keys] = await Promise.all([
      place.run(['user', 'list']),
      place.run(['client', 'list']),
      place.run(['keys', 'list']),
    ])
    expect(users.stdout.split('\n')[0]).toMatch(/^USERNAME +EMAIL +NAME/)
    expect(users.stdout).toContain('Alice Liddell')
    expect(clients.stdout).toContain('https://a.example/cb')
    expect(keys.stdout).toMatch(/ES256 +active/)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(users.stdout + clients.stdout + keys.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  })
})
