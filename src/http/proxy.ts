/** Where a request came from: forwarded headers count only from trusted peers (contracts.md section 2). */
import { type BlockList, isIP } from 'node:net'
import type { Context, Middleware } from 'koa'
import { countHeader } from './headers.ts'
import { Refusal } from './refusal.ts'

/** `::ffff:10.0.0.1` is the IPv4 address it holds. */
export const plainAddress = (address: string): string => {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '')
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare) ? bare.slice(7) : bare
}

/** Asks a list, and remembers the answer: peers are few, and a look costs more than the rest of a small request. */
export const rememberingList = (addresses: BlockList): ((address: string) => boolean) => {
  if (addresses.rules.length === 0) return () => false
  const known = new Map<string, boolean>()
  return address => {
    const remembered = known.get(address)
    if (remembered !== undefined) return remembered
    const family = isIP(address)
    const listed = family !== 0 && addresses.check(address, family === 6 ? 'ipv6' : 'ipv4')
    if (known.size >= mostRemembered) known.clear()
    known.set(address, listed)
    return listed
  }
}

const mostRemembered = 10_000

/** How many hops of `X-Forwarded-For` are looked at. */
const mostHops = 20

/** Some proxies write the port as well: `198.51.100.7:52011`, `[2001:db8::7]:52011`. */
const withoutPort = (hop: string): string => hop.replace(/^(\d+\.\d+\.\d+\.\d+|\[[^\]]*\]):\d{1,5}$/, '$1')

export type AddressSource = {
  /** Our proxies. */
  trusted: BlockList
  /** Requests come through a socket file. It has no addresses: whoever may open it is on this machine, like a proxy. */
  throughFile: boolean
  /** Told when a peer that is not trusted sends forwarded headers: usually a missing setting. */
  onUntrusted: (peer: string) => void
}

/** The address of whoever sent the request: the last hop that is not one of our proxies. */
export const addressThrough = ({
  trusted,
  throughFile,
  onUntrusted,
}: AddressSource): ((ctx: Context) => string) => {
  const isTrusted = rememberingList(trusted)
  // A peer that hung up already has no address either, and is nobody's proxy.
  const nameless = throughFile ? '127.0.0.1' : '0.0.0.0'
  return ctx => {
    const peer = plainAddress(ctx.req.socket.remoteAddress ?? nameless)
    const header = ctx.req.headers['x-forwarded-for']
    const forwarded = Array.isArray(header) ? header.join(',') : header
    const peerIsTrusted = throughFile || isTrusted(peer)
    if (!peerIsTrusted) {
      if (forwarded !== undefined || ctx.req.headers['forwarded'] !== undefined) onUntrusted(peer)
      return peer
    }
    if (forwarded === undefined) return peer
    const hops = forwarded.slice(-2000).split(',').slice(-mostHops)
    let address = peer
    for (const hop of hops.reverse()) {
      const candidate = plainAddress(withoutPort(hop.trim()))
      if (isIP(candidate) === 0) break
      address = candidate
      if (!isTrusted(candidate)) break
    }
    return address
  }
}

/** The address that throttles count by: an IPv4 address, or the /64 network of an IPv6 one. */
export const throttleAddress = (address: string): string => {
  if (isIP(address) !== 6) return address
  const [head = '', tail] = address.toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups =
    tail === undefined
      ? left
      : [...left, ...Array(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  return `${groups
    .slice(0, 4)
    .map(group => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}

const hostForm = /^(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/

/** Refuses a malformed, doubled or missing `Host` (nothing is ever made from it) and URLs over 8 KiB. */
export const checkRequestLine: Middleware = (ctx, next) => {
  const hosts = countHeader(ctx, 'host')
  const { host } = ctx.req.headers
  // HTTP/1.0, which some health checks still speak, may leave it out (RFC 9112 section 3.2).
  const isMissing = host === undefined && ctx.req.httpVersion !== '1.0'
  if (hosts > 1 || isMissing || (host !== undefined && !hostForm.test(host)))
    throw new Refusal('invalid_request', 'the Host header is malformed', 400)
  if ((ctx.req.url ?? '').length > 8 * 1024)
    throw new Refusal('invalid_request', 'the URL is longer than 8 KiB', 414)
  return next()
}
