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

const all = (person: Person): Claims => {
  const own = JSON.parse(person.claims) as Claims
  return {
    ...own,
    name: person.name,
    preferred_username: person.username,
    updated_at: person.userUpdatedAt,
    ...(person.email === null ? {} : { email: person.email, email_verified: person.emailVerified === 1 }),
    ...('phone_number' in own ? { phone_number_verified: own['phone_number_verified'] === true } : {}),
  }
}

/** The claims that these scopes give of a person, without `sub`. One read more where `groups` is among them. */
export const claimsOf = async (store: Store, person: Person, scope: readonly string[]): Promise<Claims> => {
  const names = scope.flatMap(name => scopeClaims[name] ?? [])
  if (names.length === 0) return {}
  const values = all(person)
  const claims: Claims = {}
  for (const name of names)
    if (values[name] !== undefined && values[name] !== null) claims[name] = values[name]
  if (names.includes('groups') && person.userId !== null)
    claims['groups'] = (await groupsOf(store, person.userId)).map(group => group.name)
  return claims
}
