/** What can be done to users, for the command line, pages and the API alike: each writes its audit in the same commit. */
import { Refusal } from '../http/refusal.ts'
import { findGroup, type Group, groupsOf, joinGroup, leaveGroup, listGroups } from '../identity/group.ts'
import { passwordFault, storePassword } from '../identity/password.ts'
import type { User } from '../identity/user.ts'
import * as users from '../identity/user.ts'
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { type Actor, differenceOf, toldOf } from './actor.ts'
import { invalidUser, weakPassword } from './fault-words.ts'
import { isJsonObject, mergePatch } from './merge-patch.ts'
import { didYouMean, quoted } from './near-miss.ts'
import { parseUserClaims } from './user-claims.ts'

export type UserNeeds = Pick<
  Services,
  'store' | 'now' | 'audit' | 'passwords' | 'sessionEnded' | 'wakeOutbox'
>
export type PasswordRules = { minLength: number }

/** A user with the names of their groups. */
export type Member = { user: User; groups: string[] }

/**
 * The user of that username, id or sub.
 *
 * @throws Refusal `not_found` 404
 */
export const requireUser = async ({ store }: Pick<Services, 'store'>, name: string): Promise<User> => {
  const user = await users.findUser(store, name)
  if (user) return user
  const known = await users.listUsers(store, { limit: 1000 })
  const near = didYouMean(
    name,
    known.map(one => one.username),
  )
  throw new Refusal('not_found', `there is no user ${quoted(name)}.${near}`, 404)
}

/** A user as they stand now, with their groups. */
export const showUser = async (services: Pick<Services, 'store'>, name: string): Promise<Member> => {
  const user = await requireUser(services, name)
  return { user, groups: (await groupsOf(services.store, user.id)).map(group => group.name) }
}

const requireGroups = async (
  { store }: Pick<Services, 'store'>,
  names: readonly string[],
): Promise<Group[]> => {
  const found = new Map<string, Group>()
  for (const name of names) {
    const group = await findGroup(store, name)
    if (!group) {
      const near = didYouMean(
        name,
        (await listGroups(store)).map(one => one.name),
      )
      throw new Refusal('unknown_group', `there is no group ${quoted(name)}; make it first.${near}`)
    }
    found.set(group.id, group)
  }
  return [...found.values()]
}

const refuseFaults = (user: Pick<users.NewUser, 'username' | 'email' | 'name' | 'claims'>): void => {
  const [fault] = users.userFaults(user)
  if (fault) throw invalidUser(fault)
}

/** Names and addresses are unique, and no username is the id or sub that somebody else goes by. */
const refuseTaken = async (
  { store }: Pick<Services, 'store'>,
  { username, email }: { username: string; email: string | null | undefined },
  ownId?: string,
): Promise<void> => {
  const named = await users.findUser(store, username)
  if (named && named.id !== ownId)
    throw new Refusal('username_taken', `the username ${quoted(username)} is taken`, 409)
  const mailed = email ? await users.findUserByEmail(store, email) : undefined
  if (mailed && mailed.id !== ownId)
    throw new Refusal(
      'email_taken',
      `the e-mail address ${quoted(email ?? '')} belongs to ${quoted(mailed.username)}`,
      409,
    )
}

/** Commits; when somebody else was faster, says what was taken. */
const commitUnique = async (
  services: Pick<Services, 'store'>,
  writes: Write[],
  user: Pick<User, 'id' | 'username' | 'email'>,
): Promise<void> => {
  try {
    await services.store.commit(writes)
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    await refuseTaken(services, user, user.id)
    throw new Refusal('conflict', 'the user or a group was changed or deleted meanwhile; try again', 409, {
      cause: error,
    })
  }
}

/**
 * The hash of a new password.
 *
 * @throws Refusal `weak_password`
 */
export const hashOf = async (
  { passwords }: Pick<Services, 'passwords'>,
  { minLength }: PasswordRules,
  password: string,
  user: Pick<User, 'username' | 'email' | 'name' | 'role'>,
): Promise<string> => {
  const names = [user.username, user.email, user.name]
  const fault = await passwordFault(password, { minLength, admin: user.role === 'admin', names })
  if (fault) throw weakPassword(fault)
  return passwords.inTurn(() => passwords.hash(password))
}

export type WantedUser = {
  username: string
  email?: string | undefined
  emailVerified?: boolean | undefined
  name?: string | undefined
  claims?: unknown
  groups?: readonly string[] | undefined
  role?: 'admin' | undefined
  password?: string | undefined
}

/**
 * Makes a user; without a password they cannot sign in by one.
 *
 * @throws Refusal naming what is wrong or taken
 */
export const createUser = async (
  services: UserNeeds,
  rules: PasswordRules,
  wanted: WantedUser,
  actor: Actor,
): Promise<Member> => {
  const claims = wanted.claims === undefined ? {} : parseUserClaims(wanted.claims)
  refuseFaults({ username: wanted.username, email: wanted.email, name: wanted.name, claims })
  if (wanted.emailVerified && wanted.email === undefined)
    throw new Refusal('invalid_user', 'email_verified without an email verifies nothing')
  const groups = await requireGroups(services, wanted.groups ?? [])
  await refuseTaken(services, { username: wanted.username, email: wanted.email })
  const at = services.now()
  const { user, write } = users.newUser(
    {
      username: wanted.username,
      email: wanted.email,
      emailVerified: wanted.emailVerified ?? false,
      name: wanted.name,
      claims,
      role: wanted.role ?? null,
    },
    at,
  )
  const hash =
    wanted.password === undefined ? undefined : await hashOf(services, rules, wanted.password, user)
  const names = groups.map(group => group.name)
  await commitUnique(
    services,
    [
      write,
      ...(hash === undefined ? [] : [storePassword(user.id, hash, at)]),
      ...groups.map(group => joinGroup(user.id, group.id)),
      ...toldOf(services, actor, {
        event: 'user.created',
        userId: user.id,
        detail: { username: user.username, role: user.role, groups: names },
      }),
    ],
    user,
  )
  return { user, groups: names }
}

export type UserChanges = {
  username?: string | undefined
  email?: string | null | undefined
  emailVerified?: boolean | undefined
  name?: string | null | undefined
  /** A merge patch: what is null goes. */
  claims?: unknown
  role?: 'admin' | null | undefined
  join?: readonly string[] | undefined
  leave?: readonly string[] | undefined
}

/** The user that changes make; a new address is not verified unless that is said. */
const changed = (user: User, changes: UserChanges): User => {
  const email = changes.email === undefined ? user.email : changes.email
  const sameEmail = email === user.email
  const patched = changes.claims === undefined ? user.claims : mergePatch(user.claims, changes.claims)
  return {
    ...user,
    username: (changes.username ?? user.username).trim(),
    email,
    emailVerified: email !== null && (changes.emailVerified ?? (sameEmail && user.emailVerified)),
    name: changes.name === undefined ? user.name : changes.name,
    claims: parseUserClaims(patched),
    role: changes.role === undefined ? user.role : changes.role,
  }
}

/** What the audit is told of a user, before and after. */
const audited = ({ username, email, emailVerified, name, role, claims }: User) => ({
  username,
  email,
  emailVerified,
  name,
  role,
  claims,
})

/**
 * The guard of a commit after which a user may administer no more: somebody else still does.
 *
 * @throws Refusal `last_administrator` when nobody else would
 */
export const staysAdministered = async (
  { store }: Pick<Services, 'store'>,
  user: User,
  nextRole: User['role'] = null,
): Promise<Write[]> => {
  if (user.role !== 'admin' || user.disabledAt !== null || nextRole === 'admin') return []
  const other = await users.anotherAdministrator(store, user.id)
  if (other) return [other]
  throw new Refusal(
    'last_administrator',
    `${quoted(user.username)} is the last administrator: make somebody else one first`,
    409,
  )
}

/**
 * Changes a user.
 *
 * @throws Refusal naming what is wrong or taken
 */
export const updateUser = async (
  services: UserNeeds,
  name: string,
  changes: UserChanges,
  actor: Actor,
): Promise<Member> => {
  const { user, groups } = await showUser(services, name)
  if (changes.claims !== undefined && !isJsonObject(changes.claims)) parseUserClaims(changes.claims)
  const next = changed(user, changes)
  refuseFaults({ ...next, email: next.email ?? undefined, name: next.name ?? undefined })
  await refuseTaken(services, next, user.id)
  const leaving = await requireGroups(services, changes.leave ?? [])
  const joining = (await requireGroups(services, changes.join ?? [])).filter(
    group => !groups.includes(group.name) && !leaving.some(one => one.id === group.id),
  )
  const difference = differenceOf(audited(user), audited(next))
  await commitUnique(
    services,
    [
      users.updateUser(next, services.now()),
      ...(await staysAdministered(services, user, next.role)),
      ...joining.map(group => joinGroup(user.id, group.id)),
      ...leaving.map(group => leaveGroup(user.id, group.id)),
      ...toldOf(services, actor, {
        event: 'user.updated',
        userId: user.id,
        detail: {
          changed: Object.keys(difference.after),
          ...difference,
          joined: joining.map(group => group.name),
          left: leaving.map(group => group.name),
        },
      }),
    ],
    next,
  )
  return showUser(services, user.id)
}
