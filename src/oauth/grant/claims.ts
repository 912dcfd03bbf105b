/** Claims about a user: which scope gives which (OIDC Core section 5.4), and their values. */

import { groupsOf } from '../../identity/group.ts'
import type { Claims } from '../../keys/jwt.ts'
import type { Store } from '../../store/database.ts'

/** What is known of a user, in the columns that joined reads give. */
export type Person = {
  userId: string | null
  sub: string | null
  username: string
  email: string | null
  emailVerified: number
  name: string | null
  claims: string
  userUpdatedAt: number
}

/** The claims of each scope. */
export const scopeClaims: Record<string, readonly string[]> = {
  profile: [
    'name',
    'family_name',
    'given_name',
    'middle_name',
    'nickname',
    'preferred_username',
    'profile',
    'picture',
    'website',
    'gender',
    'birthdate',
    'zoneinfo',
    'locale',
    'updated_at',
  ],
  email: ['email', 'email_verified'],
  phone: ['phone_number', 'phone_number_verified'],
  address: ['address'],
  groups: ['groups'],
}

/** Every claim about a user that may be asked for; discovery lists them. */
export const userClaimNames: readonly string[] = ['sub', ...Object.values(scopeClaims).flat()]

const kept = new Set(Object.values(scopeClaims).flat())

/** The claims that `user create --claims` may set: those that have no column of their own. */
export const settableClaims: readonly string[] = [...kept].filter(
  name => !['name', 'preferred_username', 'updated_at', 'email', 'email_verified', 'groups'].includes(name),
)

/** The claims that have a column of their own, or follow from another. */
const derived = new Map<string, (person: Person, own: Claims) => unknown>([
  ['name', person => person.name],
  ['preferred_username', person => person.username],
  ['updated_at', person => person.userUpdatedAt],
  ['email', person => person.email],
  ['email_verified', person => (person.email === null ? null : person.emailVerified === 1)],
  [
    'phone_number_verified',
    (_, own) => ('phone_number' in own ? own['phone_number_verified'] === true : null),
  ],
  ['groups', () => null],
])

/** The claims that these scopes give of a person, without `sub`. One read more where `groups` is among them. */
export const claimsOf = async (store: Store, person: Person, scope: readonly string[]): Promise<Claims> => {
  const own = person.claims === '{}' ? {} : (JSON.parse(person.claims) as Claims)
  const claims: Claims = {}
  for (const asked of scope)
    for (const name of scopeClaims[asked] ?? []) {
      const derive = derived.get(name)
      const value = derive ? derive(person, own) : own[name]
      if (value !== undefined && value !== null) claims[name] = value
    }
  if (scope.includes('groups') && person.userId !== null)
    claims['groups'] = (await groupsOf(store, person.userId)).map(group => group.name)
  return claims
}
