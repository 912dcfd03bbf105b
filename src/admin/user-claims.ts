/** Claims that an operator sets of a user (OIDC Core section 5.1): which there are, and what each may hold. */
import { Refusal } from '../http/refusal.ts'
import { settableClaims } from '../oauth/grant/claims.ts'
import { isJsonObject, type JsonObject } from './merge-patch.ts'
import { didYouMean, quoted } from './near-miss.ts'

const addressMembers = ['formatted', 'street_address', 'locality', 'region', 'postal_code', 'country']
const addresses = ['profile', 'picture', 'website']

const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 2000

/** Apps show these as links: a `javascript:` URL among them would run there. */
const isWebAddress = (value: unknown): boolean =>
  isText(value) && /^https?:\/\//i.test(value) && URL.canParse(value)

const isAddress = (value: unknown): boolean =>
  isJsonObject(value) &&
  Object.entries(value).every(([member, part]) => addressMembers.includes(member) && isText(part))

const faultOf = (name: string, value: unknown): string | undefined => {
  if (name === 'address')
    return isAddress(value) ? undefined : `must be an object with texts among ${addressMembers.join(', ')}`
  if (name === 'phone_number_verified')
    return typeof value === 'boolean' ? undefined : 'must be true or false'
  if (addresses.includes(name)) return isWebAddress(value) ? undefined : 'must be an http or https URL'
  return isText(value) ? undefined : 'must be a text'
}

/**
 * Reads claims as they were given.
 *
 * @throws Refusal `invalid_claims` naming the first that cannot be set, or what is wrong with its value
 */
export const parseUserClaims = (value: unknown): JsonObject => {
  const refuse = (description: string): Refusal => new Refusal('invalid_claims', description)
  if (!isJsonObject(value)) throw refuse('claims must be a JSON object, such as {"given_name":"Alice"}')
  for (const [name, claim] of Object.entries(value)) {
    if (!settableClaims.includes(name))
      throw refuse(
        `${quoted(name)} is not a claim that can be set.${didYouMean(name, settableClaims) || ` There are: ${settableClaims.join(', ')}`}`,
      )
    const fault = faultOf(name, claim)
    if (fault) throw refuse(`${name} ${fault}`)
  }
  return value
}
