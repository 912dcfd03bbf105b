/** What an answer from the public address says about the proxies in between, and what to set. */
import { OutboundBlocked } from '../http/outbound.ts'
import type { PublicAddress, Reply } from './public-address.ts'

/** One mistake: a word for scripts, and a line for people that says what to do. */
export type Trouble = { code: string; message: string }

export type Failed = { failed: Error }

/** An address that nobody has (TEST-NET-1, RFC 5737): a proxy that passes it on as it is lets anybody choose theirs. */
export const invented = '192.0.2.77'

type Where = Pick<PublicAddress, 'issuer' | 'basePath' | 'listen' | 'endsTls'>

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

/** By what Node calls them. */
const failures: [codes: string[], code: string, message: (where: URL) => string][] = [
  [
    ['ENOTFOUND', 'EAI_AGAIN'],
    'no_address',
    ({ hostname }) =>
      `${hostname} has no address as this machine sees it: make its DNS record, or a line in /etc/hosts where only the outside knows it`,
  ],
  [
    ['ECONNREFUSED'],
    'refused',
    ({ hostname, port }) =>
      `nothing listens at ${hostname}, port ${port || 443}: start the proxy there, or set LINTEL_ISSUER to the address that it listens at`,
  ],
  [
    ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'],
    'certificate_ended',
    ({ hostname }) => `the certificate of ${hostname} has ended, or is not valid yet: renew it`,
  ],
  [
    ['ERR_TLS_CERT_ALTNAME_INVALID'],
    'certificate_name',
    ({ hostname }) => `the certificate at ${hostname} is for another name: get one for ${hostname}`,
  ],
  [
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT'],
    'certificate_chain',
    ({ hostname }) =>
      `the certificate of ${hostname} comes without the one that signed it: serve the whole chain (fullchain.pem), or name your own authority in LINTEL_OUTBOUND_CA`,
  ],
  [
    ['SELF_SIGNED_CERT_IN_CHAIN', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
    'certificate_authority',
    ({ hostname }) =>
      `the certificate of ${hostname} is signed by an authority that this machine does not know: name its PEM file in LINTEL_OUTBOUND_CA. Apps have to know it as well`,
  ],
  [
    ['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG'],
    'not_https',
    ({ hostname, port }) =>
      `${hostname}, port ${port || 443}, does not speak TLS: end https in the proxy there, or set LINTEL_TLS_CERT and LINTEL_TLS_KEY`,
  ],
]

/** Why no answer came. */
export const failureTrouble = ({ issuer }: Where, error: Error): Trouble => {
  if (error instanceof OutboundBlocked)
    return {
      code: 'not_looked',
      message: `whether ${issuer} leads here was not looked at: ${error.message}`,
    }
  const code = codeOf(error.cause)
  const known = failures.find(([codes]) => codes.includes(code))
  if (known) return { code: known[1], message: known[2](new URL(issuer)) }
  return {
    code: 'no_answer',
    message: `${issuer} cannot be reached from this machine (${error.message}): a firewall, or a router that does not lead back to its own public address. Look from outside: curl ${issuer}/.well-known/openid-configuration`,
  }
}

const parsed = (body: Buffer): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(body.toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** What is wrong with an answer to discovery; undefined when it is ours. */
export const judgeAnswer = (where: Where, { answer, arrival, nonce, path }: Reply): Trouble | undefined => {
  const { issuer, basePath, listen } = where
  const { status } = answer
  if (arrival && arrival.nonce !== nonce)
    return {
      code: 'cached',
      message: `the proxy answers ${issuer} from a cache: let it cache nothing that Lintel does not allow, and tell queries apart`,
    }
  if (arrival && arrival.url !== path) return movedTrouble(basePath, path, arrival.url)
  if (status >= 300 && status < 400)
    return {
      code: 'redirected',
      message: `${issuer} sends visitors on to ${shortened(String(answer.headers.location ?? 'another place'))}: set LINTEL_ISSUER to the address that answers by itself, or take the redirect out of the proxy`,
    }
  if (!arrival && status >= 502 && status <= 504)
    return {
      code: 'bad_gateway',
      message: `the proxy at ${issuer} does not reach this server (${status}): point it at ${listen}`,
    }
  if (!arrival && (status === 401 || status === 403))
    return {
      code: 'forbidden',
      message: `the proxy at ${issuer} refuses visitors (${status}): apps and browsers must reach every path under it without a password`,
    }
  const said = status === 200 ? parsed(answer.body) : undefined
  if (typeof said?.['issuer'] !== 'string')
    return {
      code: 'something_else',
      message: `at ${issuer} something else answers (${status}): lead all paths under it to ${listen}`,
    }
  return said['issuer'] === issuer
    ? undefined
    : {
        code: 'other_issuer',
        message: `at ${issuer} answers a server that calls itself ${shortened(said['issuer'])}: LINTEL_ISSUER must be the public address exactly, and the proxy must lead here (${listen})`,
      }
}

const shortened = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text)

const movedTrouble = (basePath: string, asked: string, seen: string): Trouble => {
  const [askedPath = ''] = asked.split('?')
  const [seenPath = '', seenQuery] = seen.split('?')
  if (askedPath === seenPath)
    return {
      code: 'query_changed',
      message: `the proxy ${seenQuery === undefined ? 'takes the query off URLs' : 'changes the query of URLs'}: forward them as they are`,
    }
  const isStripped = basePath !== '' && askedPath === basePath + seenPath
  return {
    code: isStripped ? 'path_stripped' : 'path_changed',
    message: isStripped
      ? `the proxy takes ${basePath} off the path: forward it as it is (nginx: proxy_pass without a path; Caddy: handle instead of handle_path; Traefik: no StripPrefix), or take it off LINTEL_ISSUER`
      : `the proxy changes the path ${askedPath} to ${shortened(seenPath)}: forward it as it is`,
  }
}

/** What is wrong with the way that our own question took. */
export const judgeArrival = ({ issuer, endsTls }: Where, { arrival }: Reply): Trouble[] => {
  // No header came back: a proxy took it out, or another process of an older version answered.
  if (!arrival) return []
  const { peer, isTrusted, forwardedFor, forwardedProto } = arrival
  const isProxied = issuer.startsWith('https:') && !endsTls
  // In front of it there was only us: what comes through as it was, the proxy did not write.
  const passesOn = isProxied && (forwardedFor === null || forwardedFor.trim() === invented)
  const troubles: Trouble[] = []
  if (!isTrusted && (isProxied || forwardedFor !== null))
    troubles.push({
      code: 'untrusted_proxy',
      message: `requests come from a proxy at ${peer} that LINTEL_TRUSTED_PROXIES does not name: all people share one throttle, and the audit has the proxy's address. Set LINTEL_TRUSTED_PROXIES=${peer}`,
    })
  if (passesOn)
    troubles.push({
      code: forwardedFor === null ? 'no_forwarded_for' : 'forged_forwarded_for',
      message: `the proxy at ${peer} ${
        forwardedFor === null
          ? 'sends no X-Forwarded-For'
          : 'passes on whatever X-Forwarded-For a visitor sends, so that anybody can choose an address'
      }: let it write the header (nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; Caddy, Traefik and Apache do it by themselves)`,
    })
  if (isProxied && forwardedProto !== null && lastOf(forwardedProto) === 'http')
    troubles.push({
      code: 'forwarded_http',
      message: `the proxy at ${peer} says that it was asked over http (X-Forwarded-Proto), and the issuer is https: another proxy before it ends TLS. Name the addresses of both in LINTEL_TRUSTED_PROXIES, and keep plain http from the outside`,
    })
  return troubles
}

const lastOf = (list: string): string => list.split(',').at(-1)?.trim().toLowerCase() ?? ''

/** What is wrong where everything is as long as it may be: authorization requests are long, and so are answers. */
export const judgeLong = (reply: Reply | Failed): Trouble[] => {
  if ('failed' in reply || reply.answer.status === 200) return []
  const { status } = reply.answer
  return [
    status === 414 || status === 431 || status === 400
      ? {
          code: 'long_urls',
          message: `the proxy refuses long URLs (${status}), and authorization requests are long: let it take 8 KiB (nginx: large_client_header_buffers 4 16k; Apache: LimitRequestLine 16384)`,
        }
      : {
          code: 'large_answers',
          message: `the proxy does not pass on answers with large headers (${status}): give them 16 KiB (nginx: proxy_buffer_size 16k; proxy_buffers 8 16k)`,
        },
  ]
}
