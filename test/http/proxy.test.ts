import { expect, it } from 'vitest'
import { plainAddress, throttleAddress } from '../../src/http/proxy.ts'

it('an IPv4 address in IPv6 clothes is the IPv4 address', () => {
  for (const [address, plain] of [
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:10.0.0.1', '10.0.0.1'],
    ['10.0.0.1', '10.0.0.1'],
    ['[::1]', '::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['not an address', 'not an address'],
  ] as const)
    expect(plainAddress(address), address).toBe(plain)
})

it('throttles count an IPv6 address by its /64, however it is written', () => {
  for (const address of [
    '2001:db8:0:1::5',
    '2001:db8:0:1:5::',
    '2001:DB8:0:1:0:0:0:5',
    '2001:0db8:0000:0001:ffff:ffff:ffff:ffff',
    '2001:db8::1:a:b:c:d',
    '2001:db8:0:1:a:b:198.51.100.7',
  ])
    expect(throttleAddress(address), address).toBe('2001:db8:0:1::/64')
  for (const [address, network] of [
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['1:2:3:4::', '1:2:3:4::/64'],
    ['1:2:3::8', '1:2:3:0::/64'],
    ['198.51.100.7', '198.51.100.7'],
    ['unknown', 'unknown'],
    ['', ''],
  ] as const)
    expect(throttleAddress(address), address).toBe(network)
})
