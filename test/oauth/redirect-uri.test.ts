import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { responseModes } from '../../src/oauth/authorize/response-modes.ts'
import {
  isRegisteredUri,
  looksNative,
  nearestUri,
  redirectUriFault,
  redirectUriWarning,
} from '../../src/oauth/client/redirect-uri.ts'

const loopbackHosts = ['127.0.0.1', '[::1]', 'localhost']

/** Parts that URLs are broken with. */
const piece = fc.constantFrom(
  ...['/', '//', '\\', '@', ':', '?', '#', '&', '=', '.', '..', '%', '%2f', '%00', '%0d%0a', ' ', '\t', '\n'],
  ...['evil.test', 'a', 'A', '0', '8080', '*', '[', ']', 'localhost', '127.0.0.1', 'é', '。', '\u0000'],
)

const registeredUri = fc.oneof(
  fc.webUrl({ withQueryParameters: true, validSchemes: ['https'] }),
  fc
    .record({
      host: fc.constantFrom(...loopbackHosts),
      port: fc.option(fc.integer({ min: 1, max: 65535 })),
      path: fc.constantFrom('', '/', '/cb', '/cb?x=1', '?x=1'),
    })
    .map(({ host, port, path }) => `http://${host}${port === null ? '' : `:${port}`}${path}`),
  fc.constantFrom('com.example.app:/cb', 'com.example.app://callback/x'),
)

/** A URI with something put in, taken out or put in place of something, at any position. */
const changed = (uri: string) =>
  fc
    .record({
      at: fc.nat({ max: uri.length }),
      length: fc.nat({ max: 4 }),
      put: fc.array(fc.oneof(piece, fc.string({ unit: 'grapheme', maxLength: 3 })), { maxLength: 3 }),
    })
    .map(({ at, length, put }) => uri.slice(0, at) + put.join('') + uri.slice(at + length))

const withChange = registeredUri.chain(uri => fc.record({ uri: fc.constant(uri), requested: changed(uri) }))

describe('isRegisteredUri', () => {
  it('"Redirect URIs MUST be compared using exact string matching" (RFC 9700 section 2.1)', () => {
    fc.assert(
      fc.property(withChange, ({ uri, requested }) => {
        expect(isRegisteredUri(requested, [uri], false)).toBe(requested === uri)
      }),
      { numRuns: 3000 },
    )
  })

  it('for a native app nothing but the port of a loopback URI may differ (RFC 8252 section 7.3)', () => {
    fc.assert(
      fc.property(withChange, ({ uri, requested }) => {
        if (requested === uri || !isRegisteredUri(requested, [uri], true)) return
        const [left, right] = [new URL(uri), new URL(requested)]
        expect(left.protocol).toBe('http:')
        expect(loopbackHosts).toContain(left.hostname)
        right.port = left.port
        expect(right.href).toBe(left.href)
        // And as text: what differs is digits between the host and what follows it.
        const digits = /^(http:\/\/(?:127\.0\.0\.1|\[::1\]|localhost))(?::[0-9]+)?/
        expect(requested.replace(digits, '$1')).toBe(uri.replace(digits, '$1'))
      }),
      { numRuns: 5000 },
    )
  })

  it('a native app may use any port there is, and no other', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...loopbackHosts),
        fc.option(fc.integer({ min: 1, max: 65535 })),
        fc.nat({ max: 99_999 }),
        (host, port, asked) => {
          const uri = `http://${host}${port === null ? '' : `:${port}`}/cb`
          expect(isRegisteredUri(`http://${host}:${asked}/cb`, [uri], true)).toBe(asked <= 65535)
        },
      ),
    )
  })

  it('what it accepts can be parsed: a consent page shows where the answer goes', () => {
    fc.assert(
      fc.property(withChange, ({ uri, requested }) => {
        if (isRegisteredUri(requested, [uri], true)) expect(URL.canParse(requested)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('redirectUriFault', () => {
  const strict = { byOperator: false, native: false }
  const native = { byOperator: false, native: true }
  const operator = { byOperator: true, native: false }
  const operatorNative = { byOperator: true, native: true }

  it.each([
    ['https://app.test/cb', strict],
    ['https://app.test', strict],
    ['https://app.test/cb?tenant=1', strict],
    ['https://app.test:8443/cb', strict],
    ['http://localhost/cb', strict],
    ['http://app.localhost:4001/cb', strict],
    ['http://127.0.0.1:3000/cb', strict],
    ['http://[::1]/cb', strict],
    ['http://nas.lan/cb', operator],
    ['com.example.app:/cb', native],
    ['com.example.app://cb', native],
    ['myapp://cb', operatorNative],
  ])('%s may be registered', (uri, rules) => {
    expect(redirectUriFault(uri, rules)).toBeUndefined()
  })

  it.each([
    ['http://nas.lan/cb', strict],
    ['com.example.app:/cb', strict],
    ['com.example.app:/cb', operator],
    ['myapp://cb', native],
    ['https://app.test/cb#', strict],
    ['https://app.test/cb?code=1', strict],
    ['https://app.test/cb?x&%69ss=1', strict],
    ['https://me@app.test/cb', strict],
    ['https://app.test/ä', strict],
    ['https://app.test/%0A', strict],
    ['https://app.test/a b', strict],
    ['https:app.test/cb', operator],
    ['https:/app.test/cb', operator],
    ['https:///app.test/cb', operator],
    ['https://', operator],
    ['javascript:alert(1)', operatorNative],
    ['data:text/html,x', operatorNative],
    ['intent://x', operatorNative],
    [`https://app.test/${'x'.repeat(2000)}`, operator],
    ['', operatorNative],
  ])('%s may not', (uri, rules) => {
    expect(redirectUriFault(uri, rules)).toEqual(expect.any(String))
  })

  it('whatever may be registered takes an answer that its app reads as it was sent', () => {
    const uris = fc.oneof(registeredUri, registeredUri.chain(changed))
    fc.assert(
      fc.property(uris, fc.string({ unit: 'grapheme' }), (uri, state) => {
        if (redirectUriFault(uri, operatorNative) !== undefined) return
        const fields = { code: 'the-code', state, iss: 'https://op.test' }
        const sent = responseModes.get('query')?.(uri, fields)
        const location = sent && 'location' in sent ? sent.location : ''
        const [registered, reached] = [new URL(uri), new URL(location)]
        expect(reached.hash).toBe('')
        expect(reached.host).toBe(registered.host)
        expect(reached.pathname).toBe(registered.pathname)
        for (const [name, value] of Object.entries(fields))
          expect(reached.searchParams.getAll(name)).toEqual([Buffer.from(value).toString()])
        // A header holds it as it is.
        expect(location).toMatch(/^[\x21-\x7e]+$/)
      }),
      { numRuns: 3000 },
    )
  })

  it('says nothing of the URI itself, which stands in front of it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), uri => {
        const fault = redirectUriFault(uri, strict)
        expect(fault === undefined || fault.length < 120).toBe(true)
      }),
    )
  })
})

describe('what else is told of redirect URIs', () => {
  it.each([
    [['http://127.0.0.1/cb'], true],
    [['http://localhost:1/cb', 'com.example.app:/cb'], true],
    [['https://app.test/cb'], false],
    [['http://nas.lan/cb'], false],
    [['http://127.0.0.1/cb', 'https://app.test/cb'], false],
    [['http://127.0.0.1.evil.test/cb'], false],
    [[], false],
  ])('%j looks native: %s', (uris, expected) => {
    expect(looksNative(uris)).toBe(expected)
  })

  it('plain http beyond loopback is warned of', () => {
    expect(redirectUriWarning('http://nas.lan/cb')).toContain('plain http')
    expect(redirectUriWarning('http://127.0.0.1/cb')).toBeUndefined()
    expect(redirectUriWarning('https://nas.lan/cb')).toBeUndefined()
  })

  it('the nearest one is named for the developer', () => {
    expect(nearestUri('https://b.test/cb/', ['https://a.test/cb', 'https://b.test/cb'])).toBe(
      'https://b.test/cb',
    )
    expect(nearestUri('x', [])).toBeUndefined()
  })
})
