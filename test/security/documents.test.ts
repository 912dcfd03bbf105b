/** Discovery and JWKS: what stands in them, and that nothing of a request gets into them. */
import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { startServer, type TestServer } from '../support/server.ts'
import { sendRaw } from './raw-bytes.ts'

let server: TestServer
afterEach(() => server.stop())

const documents = ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server', '/jwks']

describe('discovery', () => {
  it('holds exactly what this server does, by registered names', async () => {
    server = await startServer()
    const { body, headers } = await server.browser().send('/.well-known/openid-configuration')
    const { issuer } = server
    expect(headers['content-type']).toBe('application/json')
    const metadata = JSON.parse(body) as Record<string, unknown>
    expect(metadata).toMatchObject({
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      userinfo_endpoint: `${issuer}/userinfo`,
      jwks_uri: `${issuer}/jwks`,
      end_session_endpoint: `${issuer}/logout`,
      introspection_endpoint: `${issuer}/introspect`,
      revocation_endpoint: `${issuer}/revoke`,
      response_types_supported: ['code'],
      response_modes_supported: ['query', 'fragment', 'form_post'],
      grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256', 'ES256'],
      code_challenge_methods_supported: ['S256'],
      prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
      authorization_response_iss_parameter_supported: true,
      claims_parameter_supported: false,
      request_parameter_supported: false,
      request_uri_parameter_supported: false,
    })
    expect((metadata['token_endpoint_auth_methods_supported'] as string[]).slice(0, 2)).toEqual([
      'client_secret_basic',
      'client_secret_post',
    ])
    // Names of OIDC Discovery 1.0, RFC 8414, RFC 9207, and the logout specifications.
    const registered = new Set([
      ...['issuer', 'authorization_endpoint', 'token_endpoint', 'userinfo_endpoint', 'jwks_uri'],
      ...['end_session_endpoint', 'introspection_endpoint', 'revocation_endpoint', 'scopes_supported'],
      ...['response_types_supported', 'response_modes_supported', 'grant_types_supported'],
      ...['acr_values_supported', 'subject_types_supported', 'id_token_signing_alg_values_supported'],
      ...['token_endpoint_auth_methods_supported', 'token_endpoint_auth_signing_alg_values_supported'],
      ...['introspection_endpoint_auth_methods_supported', 'revocation_endpoint_auth_methods_supported'],
      ...['introspection_endpoint_auth_signing_alg_values_supported'],
      ...['revocation_endpoint_auth_signing_alg_values_supported'],
      ...['claims_supported', 'claims_parameter_supported', 'request_parameter_supported'],
      ...['request_uri_parameter_supported', 'code_challenge_methods_supported', 'prompt_values_supported'],
      ...['authorization_response_iss_parameter_supported'],
      ...['backchannel_logout_supported', 'backchannel_logout_session_supported'],
    ])
    expect(Object.keys(metadata).filter(name => !registered.has(name))).toEqual([])
    for (const [name, value] of Object.entries(metadata)) {
      expect(value, name).not.toBeNull()
      if (Array.isArray(value)) expect(new Set(value).size, name).toBe(value.length)
      if (Array.isArray(value)) expect(value.length, name).toBeGreaterThan(0)
      if (name.endsWith('_endpoint') || name === 'jwks_uri')
        expect(String(value).startsWith(`${issuer}/`), name).toBe(true)
    }
    expect(metadata['scopes_supported']).toContain('openid')
    const same = await server.browser().send('/.well-known/oauth-authorization-server')
    expect(JSON.parse(same.body)).toEqual(metadata)
  })

  it('every endpoint that it lists is there', async () => {
    server = await startServer()
    const { body } = await server.browser().send('/.well-known/openid-configuration')
    for (const [name, value] of Object.entries(JSON.parse(body) as Record<string, unknown>))
      if (name.endsWith('_endpoint') || name === 'jwks_uri')
        expect((await server.browser().send(String(value))).status, name).not.toBe(404)
  })

  it('with an issuer path stands at both addresses that the specifications name, and at no other', async () => {
    server = await startServer({ issuer: 'https://op.test/sso' })
    const browser = server.browser()
    const there = [
      'https://op.test/sso/.well-known/openid-configuration',
      'https://op.test/.well-known/openid-configuration/sso',
      'https://op.test/sso/.well-known/oauth-authorization-server',
      'https://op.test/.well-known/oauth-authorization-server/sso',
    ]
    for (const address of there) {
      const { status, body } = await browser.send(address)
      expect(status, address).toBe(200)
      const metadata = JSON.parse(body) as Record<string, unknown>
      expect(metadata['issuer']).toBe('https://op.test/sso')
      expect(metadata['token_endpoint']).toBe('https://op.test/sso/token')
    }
    const jwks = await browser.send('https://op.test/sso/jwks')
    expect(jwks.status).toBe(200)
    for (const address of [
      'https://op.test/.well-known/openid-configuration',
      'https://op.test/.well-known/oauth-authorization-server',
      'https://op.test/.well-known/openid-configuration/sso/',
      'https://op.test/.well-known/openid-configuration/other',
      'https://op.test/SSO/.well-known/openid-configuration',
      'https://op.test/sso/.well-known/openid-configuration/',
      'https://op.test/jwks',
      'https://op.test/token',
      'https://op.test/sso/jwks/',
      'https://op.test/sso//jwks',
      'https://op.test/sso/%6awks',
    ])
      expect((await browser.send(address)).status, address).toBe(404)
  })
})

describe('the JWKS', () => {
  it('holds public members only, one kid each, and what it holds verifies', async () => {
    server = await startServer()
    const { body, headers } = await server.browser().send('/jwks')
    expect(headers['content-type']).toBe('application/jwk-set+json')
    const { keys, ...rest } = JSON.parse(body) as { keys: Record<string, unknown>[] }
    expect(rest).toEqual({})
    expect(keys.map(key => key['alg']).sort()).toEqual(['ES256', 'RS256'])
    expect(new Set(keys.map(key => key['kid'])).size).toBe(keys.length)
    const members: Record<string, string[]> = {
      RS256: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
      ES256: ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
    }
    for (const key of keys) {
      expect(Object.keys(key).sort()).toEqual(members[String(key['alg'])])
      expect(key['use']).toBe('sig')
      expect(createPublicKey({ key: key as JsonWebKey, format: 'jwk' }).type).toBe('public')
    }
  })

  it('no document, page or log of this server holds a private part of a key', async () => {
    server = await startServer()
    const rows = await server.services.store.search<{ private_box: string }>(knex =>
      knex('signing_key').select('private_box'),
    )
    expect(rows.length).toBeGreaterThan(0)
    const told = [...server.logged]
    for (const path of [...documents, '/']) told.push((await server.browser().send(path)).body)
    for (const { private_box } of rows) {
      expect(private_box).not.toMatch(/PRIVATE KEY|"d"/)
      for (const text of told) expect(text).not.toContain(private_box)
    }
    for (const text of told) expect(text).not.toMatch(/PRIVATE KEY|"(?:d|p|q|dp|dq|qi|k)":/)
  })
})

describe('public documents', () => {
  it('may be cached for an hour, have an ETag, and answer 304 without a body', async () => {
    server = await startServer()
    const browser = server.browser()
    for (const path of documents) {
      const first = await browser.send(path)
      expect(first.status, path).toBe(200)
      expect(first.headers['cache-control'], path).toBe('public, max-age=3600')
      expect(first.headers['set-cookie'], path).toBeUndefined()
      expect(first.headers['access-control-allow-origin'], path).toBe('*')
      expect(first.headers['access-control-allow-credentials'], path).toBeUndefined()
      const etag = String(first.headers['etag'])
      expect(etag, path).toMatch(/^"[^"]+"$/)
      const again = await browser.send(path, { headers: { 'if-none-match': etag } })
      expect(again.status, path).toBe(304)
      expect(again.body, path).toBe('')
      expect(again.headers['etag'], path).toBe(etag)
      expect(again.headers['cache-control'], path).toBe('public, max-age=3600')
      for (const other of ['"other"', 'x', '"'])
        expect((await browser.send(path, { headers: { 'if-none-match': other } })).status, path).toBe(200)
    }
  })

  it('answer HEAD as GET without the body, and no other method', async () => {
    server = await startServer()
    const browser = server.browser()
    for (const path of documents) {
      const got = await browser.send(path)
      const head = await browser.send(path, { method: 'HEAD' })
      expect(head.status, path).toBe(200)
      expect(head.body, path).toBe('')
      for (const name of ['content-type', 'content-length', 'etag', 'cache-control'])
        expect(head.headers[name], `${path} ${name}`).toBe(got.headers[name])
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
        const refused = await browser.send(path, { method })
        expect(refused.status, `${method} ${path}`).toBe(405)
        expect(refused.headers['allow']).toContain('GET')
      }
    }
  })

  it('hold nothing of the request: not of Host, of forwarded headers, of an absolute request line', async () => {
    server = await startServer({ issuer: 'https://op.test/sso' })
    const browser = server.browser()
    for (const path of documents) {
      const { pathname } = new URL(`https://op.test/sso${path}`)
      const { body, headers } = await browser.send(`https://op.test${pathname}`)
      const lies = [
        'Host: evil.test',
        'Host: op.test\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: http',
        'Host: op.test\r\nForwarded: host=evil.test;proto=http',
        'Host: op.test\r\nX-Original-URL: /evil.test\r\nX-Forwarded-Prefix: /evil.test',
      ]
      for (const lie of lies) {
        const answer = await sendRaw(
          server,
          `GET ${pathname} HTTP/1.1\r\n${lie}\r\nConnection: close\r\n\r\n`,
        )
        expect(answer.status, lie).toBe(200)
        expect(answer.body, lie).toBe(body)
        expect(answer.head, lie).not.toContain('evil.test')
        expect(answer.head, lie).toContain(`ETag: ${headers['etag']}`)
      }
      const absolute = await sendRaw(
        server,
        `GET http://evil.test${pathname} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n`,
      )
      expect(absolute.head + absolute.body).not.toContain('evil.test')
      for (const host of ['op.test@evil.test', 'evil.test/', 'a b', 'x\r\nHost: y', '']) {
        const answer = await sendRaw(
          server,
          `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
        )
        expect(answer.status, JSON.stringify(host)).toBe(400)
        expect(answer.body, host).not.toContain('evil.test')
      }
    }
  })
})
