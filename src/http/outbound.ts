/** The only way out. Addresses are checked inside the socket's own lookup (contracts.md section 6, Outgoing requests). */
import { lookup as systemLookup } from 'node:dns'
import { existsSync, readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import tls from 'node:tls'
import { type AddressRules, makeAddressRule, type Trust } from './outbound-addresses.ts'
import { tunnelThrough } from './outbound-tunnel.ts'

export type OutboundRequest = {
  url: string
  method: 'GET' | 'POST'
  trust: Trust
  headers?: Record<string, string>
  body?: string
  /** Bytes; an answer that is larger is a failure. */
  limit: number
}

export type OutboundAnswer = { status: number; headers: http.IncomingHttpHeaders; body: Buffer }

/** @throws OutboundBlocked, OutboundFailed */
export type OutboundFetch = (request: OutboundRequest) => Promise<OutboundAnswer>

/** The address may not be reached; `setting` says what would allow it. Nothing was sent. */
export class OutboundBlocked extends Error {
  override name = 'OutboundBlocked'
}

/** No usable answer came in time. */
export class OutboundFailed extends Error {
  override name = 'OutboundFailed'
}

/** Plain http goes where the issuer is loopback, to addresses the operator wrote. */
export type OutboundRules = AddressRules & {
  ports: readonly string[]
  caFile?: string | undefined
  /** `NODE_EXTRA_CA_CERTS`: Node forgets it where we name authorities ourselves. */
  extraCaFile?: string | undefined
  /** https goes through it: names are resolved there, addresses are judged here all the same. */
  proxy?: string | undefined
}

const connectTimeout = 2_000
const totalTimeout = 5_000
const mostAtOnce = 20
const mostPerHost = 2

const isLocalName = (hostname: string): boolean => hostname === 'localhost' || hostname.endsWith('.localhost')

export type ResolveHost = (
  hostname: string,
  options: { all: true },
  answer: (error: NodeJS.ErrnoException | null, found: { address: string; family: number }[]) => void,
) => void

/**
 * Makes the outgoing client. No redirect is followed, no cookie kept, no proxy taken from the environment.
 *
 * @param resolveHost what knows the addresses of a name; every connection asks it once, and goes to what it said
 */
export const makeOutbound = (
  rules: OutboundRules,
  resolveHost: ResolveHost = systemLookup,
): OutboundFetch => {
  const judge = makeAddressRule(rules)
  const ca = authorities(rules)
  const queue = makeQueue()
  const tunnel = rules.proxy === undefined ? undefined : tunnelThrough(rules.proxy)

  const lookupFor =
    (trust: Trust): LookupFunction =>
    (hostname, options, callback) => {
      const answer = (
        error: NodeJS.ErrnoException | null,
        found: { address: string; family: number }[],
      ): void => {
        if (error) return callback(error, '', 4)
        const allowed = found.filter(({ address }) => judge(address, trust).allowed)
        const [first] = allowed
        if (!first) {
          const [refused] = found
          const verdict = refused ? judge(refused.address, trust) : undefined
          const setting = verdict && !verdict.allowed ? verdict.setting : ''
          return callback(
            new OutboundBlocked(`${hostname} has no address that may be reached; ${setting}`),
            '',
            4,
          )
        }
        if (options.all) (callback as (error: null, found: object[]) => void)(null, allowed)
        else callback(null, first.address, first.family)
      }
      // RFC 6761 section 6.3: *.localhost is this machine; the system resolver may not know.
      if (isLocalName(hostname))
        return answer(null, [
          { address: '127.0.0.1', family: 4 },
          { address: '::1', family: 6 },
        ])
      resolveHost(hostname, { all: true }, answer)
    }

  const checkUrl = (text: string, trust: Trust): URL => {
    if (!URL.canParse(text)) throw new OutboundBlocked('not a URL')
    const url = new URL(text)
    const hostname = url.hostname.replace(/^\[|\]$/g, '')
    if (
      url.protocol !== 'https:' &&
      !(url.protocol === 'http:' && trust === 'operator' && rules.loopbackIssuer)
    )
      throw new OutboundBlocked('only https may be reached')
    const port = url.port || (url.protocol === 'https:' ? '443' : '80')
    if (trust === 'dynamic' && port !== '443' && !rules.ports.includes(port))
      throw new OutboundBlocked(`LINTEL_OUTBOUND_PORTS would have to name port ${port}`)
    if (isIP(hostname) !== 0) {
      const verdict = judge(hostname, trust)
      if (!verdict.allowed) throw new OutboundBlocked(`${hostname} may not be reached; ${verdict.setting}`)
    } else if (isLocalName(hostname)) {
      const verdict = judge('127.0.0.1', trust)
      if (!verdict.allowed) throw new OutboundBlocked(`${hostname} may not be reached; ${verdict.setting}`)
    }
    return url
  }

  const send = (url: URL, request: OutboundRequest): Promise<OutboundAnswer> =>
    new Promise((resolve, reject) => {
      const failed = (why: string, cause?: unknown): void => {
        outgoing.destroy()
        reject(cause instanceof OutboundBlocked ? cause : new OutboundFailed(why, { cause }))
      }
      const outgoing = (url.protocol === 'https:' ? https : http).request(
        url,
        {
          method: request.method,
          agent: url.protocol === 'https:' && tunnel ? tunnel : false,
          lookup: lookupFor(request.trust),
          headers: {
            'User-Agent': 'Lintel',
            Accept: 'application/json',
            ...request.headers,
            ...(request.body === undefined ? {} : { 'Content-Length': Buffer.byteLength(request.body) }),
          },
          ...(ca ? { ca } : {}),
        },
        answer => {
          const chunks: Buffer[] = []
          let size = 0
          answer.on('data', (chunk: Buffer) => {
            size += chunk.length
            if (size > request.limit) return failed(`the answer is larger than ${request.limit} bytes`)
            chunks.push(chunk)
          })
          answer.on('end', () => {
            clearTimeout(total)
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) })
          })
          answer.on('error', cause => failed('the answer broke off', cause))
        },
      )
      const total = setTimeout(() => failed(`no answer within ${totalTimeout / 1000} s`), totalTimeout)
      const connecting = setTimeout(
        () => failed(`no connection within ${connectTimeout / 1000} s`),
        connectTimeout,
      )
      outgoing.on('socket', socket => {
        socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
      })
      outgoing.on('error', cause => failed(reasonOf(cause), cause))
      outgoing.on('close', () => {
        clearTimeout(total)
        clearTimeout(connecting)
      })
      outgoing.end(request.body)
    })

  return async request => {
    const url = checkUrl(request.url, request.trust)
    const leave = await queue.enter(url.host)
    try {
      return await send(url, request)
    } finally {
      leave()
    }
  }
}

/** Node's own authorities stand for themselves unless the operator names further ones. */
const authorities = ({ caFile, extraCaFile }: OutboundRules): string[] | undefined => {
  if (caFile === undefined) return undefined
  const named = [...tls.rootCertificates, readFileSync(caFile, 'utf8')]
  // One that cannot be read Node has warned of, and goes on without, as it does everywhere.
  return extraCaFile !== undefined && existsSync(extraCaFile)
    ? [...named, readFileSync(extraCaFile, 'utf8')]
    : named
}

/** When no address of several could be reached, what Node throws has no message of its own. */
const reasonOf = (cause: NodeJS.ErrnoException): string => cause.message || (cause.code ?? cause.name)

/** So many at once, and so many to one host; the others wait. */
const makeQueue = () => {
  const waiting: { host: string; start: () => void }[] = []
  const perHost = new Map<string, number>()
  let running = 0
  const next = (): void => {
    for (const [index, { host, start }] of waiting.entries()) {
      if (running >= mostAtOnce) return
      if ((perHost.get(host) ?? 0) >= mostPerHost) continue
      waiting.splice(index, 1)
      running += 1
      perHost.set(host, (perHost.get(host) ?? 0) + 1)
      start()
      return next()
    }
  }
  const leave = (host: string) => (): void => {
    running -= 1
    const left = (perHost.get(host) ?? 1) - 1
    if (left === 0) perHost.delete(host)
    else perHost.set(host, left)
    next()
  }
  return {
    enter: (host: string): Promise<() => void> =>
      new Promise(resolve => {
        waiting.push({ host, start: () => resolve(leave(host)) })
        next()
      }),
  }
}
