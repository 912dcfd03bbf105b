import { expect, it } from 'vitest'
import { acrOf, isEnough } from '../../src/identity/assurance.ts'

it('SEC-072 one factor, or two of one kind, is level 1; two of different kinds are level 2', () => {
  for (const [amr, acr] of [
    [['pwd'], '1'],
    [[], '1'],
    [['otp'], '1'],
    [['otp', 'hwk'], '1'],
    [['pwd', 'pwd'], '1'],
    [['pwd', 'mfa'], '1'],
    [['mfa'], '1'],
    [['pwd', 'otp'], '2'],
    [['pwd', 'hwk'], '2'],
    [['hwk', 'user'], '2'],
    [['hwk'], '1'],
  ] as const)
    expect(acrOf(amr), amr.join()).toBe(acr)
})

it('SEC-072 a level is enough for itself and those below; an unknown one is never reached', () => {
  expect(isEnough('1', '1')).toBe(true)
  expect(isEnough('2', '1')).toBe(true)
  expect(isEnough('1', '2')).toBe(false)
  for (const wanted of ['3', '0', '', '1.0', 'mfa', 'urn:mace:incommon:iap:silver', '-1'])
    expect(isEnough('2', wanted), wanted).toBe(false)
})
