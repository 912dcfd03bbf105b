/** Which addresses outgoing requests may reach (contracts.md section 6, Outgoing requests). */
import { BlockList, isIP } from 'node:net'
import { plainAddress } from './proxy.ts'

/** Who wrote the address: the operator (command line, admin, configuration), or whoever may register a client. */
export type Trust = 'operator' | 'dynamic'

export type AddressRules = {
  /** Loopback is allowed for what the operator wrote when the issuer is loopback itself. */
  loopbackIssuer: boolean
  /** What the operator allows besides. */
  allow: BlockList
}

export type Verdict = { allowed: true } | { allowed: false; setting: string }

/** Whether an address may be connected to. */
export const makeAddressRule = (rules: AddressRules) => {
  const { never, loopback, inner } = makeRanges()
  const judge = (address: string, trust: Trust): Verdict => {
    const plain = plainAddress(address)
    const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4'
    if (never.check(plain, family)) return neverAllowed
    if (family === 'ipv6') {
      const groups = groupsOf(plain)
      if (isDisguised(groups) && !isLoopback(groups)) return neverAllowed
      const onward = carriedTo(groups)
      const verdict = onward === undefined ? undefined : judge(onward, trust)
      if (verdict && !verdict.allowed) return verdict
    }
    if (rules.allow.check(plain, family)) return { allowed: true }
    if (loopback.check(plain, family))
      return rules.loopbackIssuer && trust === 'operator'
        ? { allowed: true }
        : { allowed: false, setting: 'LINTEL_OUTBOUND_ALLOW would have to name this loopback address' }
    if (inner.check(plain, family) && trust !== 'operator')
      return { allowed: false, setting: 'LINTEL_OUTBOUND_ALLOW would have to name this private range' }
    return { allowed: true }
  }
  return judge
}

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
      ['168.63.129.16', 32],
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
      ['fec0::', 10],
    ],
    inner,
    'ipv6',
  )
  return { never, loopback, inner }
}

/** The eight groups of an IPv6 address. */
const groupsOf = (address: string): number[] => {
  const read = (text = ''): number[] =>
    text === ''
      ? []
      : text.split(':').flatMap(part => {
          if (!part.includes('.')) return [Number.parseInt(part, 16)]
          const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
          return [a * 256 + b, c * 256 + d]
        })
  const [head, tail] = address.split('::')
  const left = read(head)
  const right = read(tail)
  return tail === undefined
    ? left
    : [...left, ...Array<number>(Math.max(0, 8 - left.length - right.length)).fill(0), ...right]
}

const ipv4Of = (high = 0, low = 0): string => [high >> 8, high & 255, low >> 8, low & 255].join('.')

/** IPv4-compatible, -mapped and -translated (RFC 4291 section 2.5.5, RFC 2765): another way to write an IPv4 address. */
const isDisguised = ([a, b, c, d, e, f]: number[]): boolean =>
  [a, b, c, d].every(group => group === 0) &&
  ((e === 0 && (f === 0 || f === 0xffff)) || (e === 0xffff && f === 0))

/** `::1` alone is written like a disguised address. */
const isLoopback = (groups: number[]): boolean =>
  groups.every((group, index) => group === (index === 7 ? 1 : 0))

/** Where a network on the way would carry it on to: NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380). */
const carriedTo = ([a, b, c = 0, d, e, f, g = 0, h = 0]: number[]): string | undefined => {
  if (a === 0x64 && b === 0xff9b && [c, d, e, f].every(group => group === 0)) return ipv4Of(g, h)
  if (a === 0x2002) return ipv4Of(b, c)
  if (a === 0x2001 && b === 0) return ipv4Of(g ^ 0xffff, h ^ 0xffff)
  return undefined
}

const neverAllowed: Verdict = {
  allowed: false,
  setting: 'no setting allows link-local, multicast or metadata addresses',
}
