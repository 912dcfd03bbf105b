/** Ready-to-paste settings: they are what their language can read, for any metadata that may be registered. */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { recipes, recipesFor } from '../../src/admin/recipes/client-recipes.ts'
import type { Client } from '../../src/oauth/client/client.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { build, makePlace } from './lintel-process.ts'

/** What a stranger may write into a redirect URI and a scope, and a shell must not do. */
const hostile = `$(touch${'\t'}hit)';touch\${IFS}hit;'`.replace(/[\t{}]/g, '')

const server: { now?: TestServer } = {}
beforeAll(async () => {
  build()
  server.now = await startServer()
}, 120_000)
afterAll(() => server.now?.stop())

const register = async (metadata: Record<string, unknown> = {}): Promise<Client> => {
  const running = server.now as TestServer
  const { id } = await running.createClient(metadata)
  const client = await running.services.clients.find(id)
  if (!client) throw new Error('it is not there')
  return client
}

const settingsOf = (client: Client, id: string) => {
  const found = recipesFor('https://id.example', client).find(recipe => recipe.id === id)
  if (!found) throw new Error(`there is no recipe ${id}`)
  return found
}

/** Runs shell text with a command that only writes down its arguments and what came in. */
const runShell = (text: string, command: string) => {
  const place = mkdtempSync(join(tmpdir(), 'lintel-recipe-'))
  try {
    writeFileSync(
      join(place, command),
      `#!/bin/sh\nprintf '%s\\n' "$@" >> args\ncase "$*" in *-f*) cat > input;; esac\n`,
    )
    chmodSync(join(place, command), 0o755)
    execFileSync('/bin/sh', ['-c', text], {
      cwd: place,
      env: { PATH: `${place}:/bin:/usr/bin`, LINTEL_CLIENT_SECRET: 'the secret' },
      input: '',
    })
    const input = join(place, 'input')
    return {
      args: readFileSync(join(place, 'args'), 'utf8').trimEnd().split('\n'),
      input: existsSync(input) ? readFileSync(input, 'utf8') : '',
      hit: existsSync(join(place, 'hit')),
    }
  } finally {
    rmSync(place, { recursive: true })
  }
}

const shells: [string, string, string][] = [
  ['gitea', 'gitea', '/user/oauth2/Lintel/callback'],
  ['nextcloud', 'occ', '/apps/user_oidc/code'],
  ['keycloak', 'kcadm.sh', '/realms/main/broker/lintel/endpoint'],
]

describe('settings for the frameworks', () => {
  it.each(shells)(
    'what a stranger registered runs no command when %s is pasted',
    async (id, command, path) => {
      const name = hostile.replaceAll(/[^\w$();'&-]/g, '')
      const client = await register({
        redirect_uris: [`https://app.example${path.replace(/Lintel|lintel/, name)}`],
        scope: `openid profile ${hostile.replace(/\s/g, '')}`,
      })
      const { text } = settingsOf(client, id)
      const { args, input, hit } = runShell(text, command)
      expect(hit).toBe(false)
      if (id === 'keycloak') {
        expect(JSON.parse(input)).toMatchObject({
          alias: name,
          config: { clientId: client.id, pkceMethod: 'S256' },
        })
        expect(args.slice(0, 4)).toEqual(['create', 'identity-provider/instances', '-r', 'main'])
      } else {
        expect(args.join('\n')).toContain('the secret')
        expect(args.join('\n')).toContain(client.id)
      }
      if (id === 'gitea') expect(args).toContain(name)
    },
  )

  it('a service without a person gets its own scopes, and no OpenID scope', async () => {
    await (server.now as TestServer).createResource()
    const client = await register({
      grant_types: ['client_credentials'],
      redirect_uris: [],
      scope: 'openid api:read api:write',
    })
    const { args } = runShell(settingsOf(client, 'curl').text, 'curl')
    expect(args).toEqual([
      '--silent',
      '--fail',
      '--user',
      `${client.id}:the secret`,
      '--data-urlencode',
      'grant_type=client_credentials',
      '--data-urlencode',
      'scope=api:read api:write',
      'https://id.example/token',
    ])
  })

  it('each is text that its language can read', async () => {
    const place = mkdtempSync(join(tmpdir(), 'lintel-recipe-'))
    try {
      const clients = [
        await register({ post_logout_redirect_uris: ["https://web.test/it's-over"] }),
        await register({ token_endpoint_auth_method: 'none' }),
        await register({
          token_endpoint_auth_method: 'client_secret_post',
          scope: `openid ${hostile.replace(/\s/g, '')}`,
        }),
      ]
      for (const client of clients)
        for (const { id, language, text } of recipesFor('http://localhost:4000', client)) {
          expect(text, id).toContain(client.id)
          expect(text, id).not.toMatch(/: undefined|\[object/)
          if (language === 'js' || language === 'ts') {
            const file = join(place, `${id}-${client.id}.mjs`)
            writeFileSync(file, text)
            execFileSync(process.execPath, ['--check', file], { stdio: 'pipe' })
          }
          if (language === 'sh') execFileSync('/bin/sh', ['-n', '-c', text])
          if (language === 'yaml') expect(typeof parseYaml(text), id).toBe('object')
          if (language === 'toml' || language === 'ini')
            for (const line of text.split('\n')) expect(line, id).toMatch(/^(#.*|\[[\w.]+\]|\w+ = .+|)$/)
        }
    } finally {
      rmSync(place, { recursive: true })
    }
  }, 60_000)

  it('the registered address says what the app calls this provider, and where the app is', async () => {
    const client = await register({
      redirect_uris: ['https://web.test/cb', 'https://git.example/git/user/oauth2/Haus/callback'],
      require_pkce: false,
      scope: 'openid profile email groups',
    })
    const { text, lacks } = settingsOf(client, 'gitea')
    expect(text).toContain('--name Haus \\')
    expect(lacks).toEqual([])
    const keycloak = await register({ redirect_uris: ['https://kc.example/realms/main/broker/us/endpoint'] })
    expect(settingsOf(keycloak, 'keycloak').text).toContain(
      'https://kc.example/realms/main/protocol/openid-connect/logout/backchannel-logout',
    )
  })

  it.each<[string, Record<string, unknown>, RegExp, unknown]>([
    [
      'auth.js',
      {},
      /redirect_uris .*\/api\/auth\/callback\/lintel/,
      ['https://web.test/cb', 'https://web.test/api/auth/callback/lintel'],
    ],
    ['auth.js', { profile: 'oidc' }, /ID token only/, true],
    ['gitea', {}, /no PKCE/, false],
    [
      'passport-openidconnect',
      { token_endpoint_auth_method: 'client_secret_basic' },
      /client_secret_post only/,
      'client_secret_post',
    ],
    ['spring', { id_token_signed_response_alg: 'ES256' }, /RS256/, null],
    ['grafana', {}, /no refresh_token/, ['authorization_code', 'refresh_token']],
    ['grafana', { scope: 'openid profile' }, /email groups/, 'openid profile email groups'],
    [
      'nextcloud',
      {},
      /backchannel_logout_uri/,
      'https://web.test/index.php/apps/user_oidc/backchannel-logout/Lintel',
    ],
    [
      'express-openid-connect',
      { redirect_uris: ['https://web.test/callback'] },
      /post_logout_redirect_uris/,
      ['https://web.test'],
    ],
  ])('%s is told what it lacks, and the command that brings it', async (id, metadata, words, value) => {
    const client = await register(metadata)
    const { text, lacks } = settingsOf(client, id)
    expect(
      lacks.some(lack => words.test(lack)),
      lacks.join('\n'),
    ).toBe(true)
    const patch = /--json-metadata '(.*)'$/m.exec(text)?.[1] ?? '{}'
    expect(Object.values(JSON.parse(patch) as Record<string, unknown>)).toContainEqual(value)
  })

  it('an app of another kind is told so, and what fits stands first', async () => {
    const spa = await register({
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
    })
    const all = recipesFor('https://id.example', spa)
    expect(all).toHaveLength(recipes.length)
    const fits = all.map(recipe => recipe.fits)
    expect(fits.indexOf(false)).toBe(fits.lastIndexOf(true) + 1)
    expect(settingsOf(spa, 'grafana').lacks).toEqual([
      'this is made for apps that keep a secret on a server.',
    ])
    expect(settingsOf(spa, 'oidc-client-ts')).toMatchObject({ fits: true, lacks: [] })
    expect(settingsOf(spa, 'oidc-client-ts').text).not.toContain('LINTEL_CLIENT_SECRET')
  })

  it('lintel client show --for prints them; an unknown framework is a wrong call that says what there is', async () => {
    const place = makePlace()
    try {
      const metadata = { client_id: 'notes', redirect_uris: ['https://notes.example/login/generic_oauth'] }
      await place.json(['client', 'create', '--json-metadata', JSON.stringify(metadata)])
      const [shown, json, odd, none] = await Promise.all([
        place.run(['client', 'show', 'notes', '--for', 'grafana']),
        place.json(['client', 'show', 'notes', '--for', 'Auth.js']),
        place.run(['client', 'show', 'notes', '--for', 'grafanna', '--json']),
        place.run(['client', 'show', 'nots', '--for', 'grafana', '--json']),
      ])
      expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('\nclient_id = notes\n') })
      expect(json).toMatchObject({
        id: 'auth.js',
        fits: true,
        lacks: [expect.any(String)],
        text: expect.any(String),
      })
      expect(odd.code).toBe(2)
      expect(JSON.parse(odd.stdout)).toMatchObject({
        error: 'usage',
        message: expect.stringMatching(/Did you mean "grafana"\? There are for: auth\.js, /),
      })
      expect(none.code).toBe(1)
      expect(JSON.parse(none.stdout)).toMatchObject({ error: 'not_found' })
    } finally {
      place.remove()
    }
  }, 60_000)
})
