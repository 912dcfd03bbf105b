/** How sure a sign-in is: `amr` (RFC 8176) → `acr` (OIDC Core section 2). Pure. */

/** Factors of a kind: something known, something held. */
const kinds: Record<string, 'known' | 'held'> = { pwd: 'known', otp: 'held', hwk: 'held', swk: 'held' }

/** The values that a sign-in here can reach, weakest first; discovery lists them. */
export const acrValues = ['1'] as const

/** `1`: one factor; `2`: two of different kinds, or a passkey that verified the person. */
export const acrOf = (amr: readonly string[]): string => {
  const used = new Set(amr.map(method => kinds[method]).filter(kind => kind !== undefined))
  return used.size > 1 || amr.includes('user') ? '2' : '1'
}

/** Whether an `acr` is as good as a wanted one. An unknown value is never reached. */
export const isEnough = (acr: string, wanted: string): boolean =>
  acr === wanted || (['1', '2'].includes(wanted) && Number(acr) >= Number(wanted))
