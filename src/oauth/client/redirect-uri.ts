/** Redirect URIs: what may be registered, and which one a request means. Compared as strings (RFC 9700 section 2.1). */
import { isLoopbackHost } from '../../config/addresses.ts'

/** Parameters of our answers: a registered URI must not bring its own (CVE-2026-9689 was one of that kind). */
const answerParameters = [
  'code',
  'state',
  'iss',
  'error',
  'error_description',
  'error_uri',
  'response',
  'id_token',
  'access_token',
  'token_type',
  'session_state',
  'sid',
]

const dangerousSchemes = new Set([
  'javascript',
  'data',
  'vbscript',
  'file',
  'blob',
  'about',
  'view-source',
  'filesystem',
  'ws',
  'wss',
  'ftp',
  'mailto',
  'tel',
  'chrome',
  'intent',
])

export type UriRules = {
  /** Written by the operator, who may do what a stranger may not. */
  byOperator: boolean
  native: boolean
}

/** Letters and signs of RFC 3986; everything else would be read differently by somebody. */
const uriCharacters = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/
const schemeOf = (uri: string): string | undefined =>
  /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(uri)?.[1]?.toLowerCase()

/**
 * What is wrong with a URI to be registered, in words for its developer; undefined when it may be.
 */
export const redirectUriFault = (uri: string, { byOperator, native }: UriRules): string | undefined => {
  if (uri.length > 2000) return 'is longer than 2000 characters'
  if (!uriCharacters.test(uri) || /%(?![0-9A-Fa-f]{2})|%0[ad]|%00/i.test(uri))
    return 'holds characters that do not belong in a URI'
  if (uri.includes('#')) return 'must have no fragment (RFC 6749 section 3.1.2)'
  const scheme = schemeOf(uri)
  if (scheme === undefined || !URL.canParse(uri)) return 'is not an absolute URI'
  if (dangerousSchemes.has(scheme)) return `must not use the scheme ${scheme}`
  // In a Location header `https:app.test/cb` would be read as a path of ours, with the code in it.
  if (/^https?:(?!\/\/[^/?])/i.test(uri)) return 'has no host'
  const url = new URL(uri)
  if (url.username || url.password) return 'must have no user name in it'
  const taken = [...url.searchParams.keys()].find(name => answerParameters.includes(name))
  if (taken !== undefined) return `must not hold the parameter ${taken}, which belongs to the answer`
  if (scheme === 'https') return undefined
  if (scheme === 'http') {
    if (isLoopbackHost(url.hostname) || byOperator) return undefined
    return 'must be https; http is for loopback only'
  }
  if (!native) return 'must be https; a scheme of its own is for native apps (application_type native)'
  if (!byOperator && !scheme.includes('.'))
    return 'must use a scheme with a dot in it, such as com.example.app (RFC 8252 section 7.1)'
  return undefined
}

/** A warning for what is allowed and yet not good; undefined when there is none. */
export const redirectUriWarning = (uri: string): string | undefined =>
  uri.startsWith('http://') && URL.canParse(uri) && !isLoopbackHost(new URL(uri).hostname)
    ? `${uri} is plain http: anybody on the way can read the code`
    : undefined

const loopback = /^http:\/\/(127\.0\.0\.1|\[::1\]|localhost)(?::\d{1,5})?((?:[/?].*)?)$/

/** The same loopback URI but for the port (RFC 8252 section 7.3), which must be one there is. */
const sameLoopback = (registered: string, requested: string): boolean => {
  const left = loopback.exec(registered)
  const right = loopback.exec(requested)
  if (left === null || right === null || !URL.canParse(requested)) return false
  return left[1] === right[1] && left[2] === right[2]
}

/** Whether a requested URI is one of the registered ones. Only a native app's loopback port may differ. */
export const isRegisteredUri = (requested: string, registered: readonly string[], native: boolean): boolean =>
  registered.includes(requested) || (native && registered.some(uri => sameLoopback(uri, requested)))

/** Whether an app with these URIs only is a native one. */
export const looksNative = (uris: readonly string[]): boolean =>
  uris.length > 0 && uris.every(uri => loopback.test(uri) || !/^https?:/i.test(uri))

/** The registered URI that comes nearest: for the developer who asks why it did not match. */
export const nearestUri = (requested: string, registered: readonly string[]): string | undefined =>
  [...registered].sort((one, other) => commonStart(other, requested) - commonStart(one, requested))[0]

const commonStart = (one: string, other: string): number => {
  let length = 0
  while (length < one.length && one[length] === other[length]) length += 1
  return length
}
