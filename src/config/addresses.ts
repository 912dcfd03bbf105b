/** Addresses of this machine, and lists of others. */
import { BlockList, isIP } from 'node:net'

/** Host names that never leave this machine (contracts.md section 2). */
export const isLoopbackHost = (hostname: string): boolean =>
  hostname === 'localhost' ||
  hostname.endsWith('.localhost') ||
  hostname === '[::1]' ||
  hostname === '::1' ||
  (isIP(hostname) === 4 && hostname.startsWith('127.'))

/** A list of addresses and CIDR ranges, ready to be asked. */
export const addressList = (cidrs: readonly string[]): BlockList => {
  const addresses = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) addresses.addAddress(address, family)
    else addresses.addSubnet(address, Number(bits), family)
  }
  return addresses
}
