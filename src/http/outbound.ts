/** The only way out. Addresses are checked inside the socket's own lookup (contracts.md section 6, Outgoing requests). */
import { lookup as systemLookup } from 'node:dns'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import tls from 'node:tls'
import { plainAddress } from './proxy.ts'

/** Who wrote the address: the operator (command line, admin, configuration), or whoever may register a client. */
export type Trust = 'operator' | 'dynamic'

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

export type OutboundRules = {
  /** Loopback, and plain http to it, is allowed for what the operator wrote when the issuer is loopback itself. */
  loopbackIssuer: boolean
  allow: BlockList
  ports: readonly string[]
  caFile?: string | undefined
}

const connectTimeout = 2_000
const totalTimeout = 5_000
const mostAtOnce = 20
const mostPerHost = 2

const listOf = (ranges: [string, number][], check: BlockList, family: 'ipv4' | 'ipv6'): void => {
  for (const [address, bits] of ranges) check.addSubnet(address, bits, family)
}

/** Special-use ranges (RFC 6890) by what may be done about them. */
const makeRanges = () => {
  const never = new BlockList()
  listOf(
    [
      ['0.0.0.0', 8],
      ['169.254.0.0', 16],
      ['100.100.100.200', 32],
      ['192.0.0.192', 32],
      ['224.0.0.0', 4],
      ['240.0.0.0', 4],
    ],
    never,
    'ipv4',
  )
  listOf(
    [
      ['::', 128],
      ['fe80::', 10],
      ['fd00:ec2::254', 128],
      ['fd20:ce::254', 128],
      ['ff00::', 8],
    ],
    never,
    'ipv6',
  )
  const loopback = new BlockList()
  listOf([['127.0.0.0', 8]], loopback, 'ipv4')
  listOf([['::1', 128]], loopback, 'ipv6')
  const inner = new BlockList()
  listOf(
    [
      ['10.0.0.0', 8],
      ['100.64.0.0', 10],
      ['172.16.0.0', 12],
      ['192.0.0.0', 24],
      ['192.0.2.0', 24],
      ['192.88.99.0', 24],
      ['192.168.0.0', 16],
      ['198.18.0.0', 15],
      ['198.51.100.0', 24],
      ['203.0.113.0', 24],
    ],
    inner,
    'ipv4',
  )
  listOf(
    [
      ['64:ff9b::', 96],
      ['64:ff9b:1::', 48],
      ['100::', 64],
      ['2001::', 23],
      ['2001:db8::', 32],
      ['2002::', 16],
      ['fc00::', 7],
    ],
    inner,
    'ipv6',
  )
  return { never, loopback, inner }
}

type Verdict = { allowed: true } | { allowed: false; setting: string }

/** Whether an address may be connected to. */
export const makeAddressRule = (rules: OutboundRules) => {
  const { never, loopback, inner } = makeRanges()
  return (address: string, trust: Trust): Verdict => {
    const plain = plainAddress(address)
    const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4'
    // ::7f00:1 and ::ffff:0:0/96 in hexadecimal carry IPv4 addresses as well; neither is a place to go.
    if (never.check(plain, family) || /^::(ffff:)?[0-9a-f]{1,4}:[0-9a-f]{1,4}$/i.test(plain))
      return { allowed: false, setting: 'no setting allows link-local, multicast or metadata addresses' }
    if (rules.allow.check(plain, family)) return { allowed: true }
    if (loopback.check(plain, family))
      return rules.loopbackIssuer && trust === 'operator'
        ? { allowed: true }
        : { allowed: false, setting: 'LINTEL_OUTBOUND_ALLOW would have to name this loopback address' }
    if (inner.check(plain, family) && trust !== 'operator')
      return { allowed: false, setting: 'LINTEL_OUTBOUND_ALLOW would have to name this private range' }
    return { allowed: true }
  }
}

const isLocalName = (hostname: string): boolean => hostname === 'localhost' || hostname.endsWith('.localhost')

/** Makes the outgoing client. No redirect is followed, no cookie kept, no proxy taken from the environment. */
export const makeOutbound = (rules: OutboundRules): OutboundFetch => {
  const judge = makeAddressRule(rules)
  const ca =
    rules.caFile === undefined ? undefined : [...tls.rootCertificates, readFileSync(rules.caFile, 'utf8')]
  const queue = makeQueue()

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
      systemLookup(hostname, { all: true }, answer)
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
          agent: false,
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
