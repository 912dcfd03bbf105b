/** What ends a user's access: a new password, disabling, deleting. Sessions end with it, and apps are told. */

import { newLink } from '../identity/one-time-link.ts'
import { storePassword } from '../identity/password.ts'
import { type EndReason, endSessions, sessionsOfUser } from '../identity/session.ts'
import type { User } from '../identity/user.ts'
import * as users from '../identity/user.ts'
import { forgetConsents } from '../oauth/grant/consent.ts'
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { type Actor, actorOf, toldOf } from './actor.ts'
import {
  hashOf,
  type Member,
  type PasswordRules,
  requireUser,
  showUser,
  staysAdministered,
  type UserNeeds,
} from './user-operations.ts'

/** How often it is tried again when a session of the user ends by itself meanwhile. */
const mostTries = 5

/** Commits writes together with the end of every session of a user, whom apps are then told of. */
const commitEnding = async (
  services: UserNeeds,
  user: User,
  reason: EndReason,
  actor: Actor,
  writes: () => Write[] | Promise<Write[]>,
): Promise<void> => {
  for (let tries = 1; ; tries++) {
    const sessions = await sessionsOfUser(services.store, user.id)
    try {
      await services.store.commit([
        ...(await writes()),
        ...(await endSessions(services, sessions, reason, actorOf(actor).visit)),
      ])
      break
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error
      await requireUser(services, user.id)
      if (tries === mostTries) throw error
    }
  }
  services.wakeOutbox()
}

/**
 * Sets a password, and ends what was allowed with the old one: sessions, refresh tokens, access tokens.
 *
 * @throws Refusal `weak_password`
 */
export const setPassword = async (
  services: UserNeeds,
  rules: PasswordRules,
  { name, password }: { name: string; password: string },
  actor: Actor,
): Promise<Member> => {
  const user = await requireUser(services, name)
  const hash = await hashOf(services, rules, password, user)
  await commitEnding(services, user, 'password_changed', actor, () => [
    users.endAccessOf(user.id, services.now()),
    storePassword(user.id, hash, services.now()),
    ...toldOf(services, actor, { event: 'password.changed', userId: user.id }),
  ])
  return showUser(services, user.id)
}

/** Seconds that a link to set a password works: 72 hours, as an invitation (security-defaults, Mail links). */
const linkTtl = 259_200

/** A link by which a user sets a password, shown once; an earlier one stops working. */
export const newPasswordLink = async (
  services: UserNeeds & Pick<Services, 'issuer'>,
  name: string,
  actor: Actor,
): Promise<string> => {
  const user = await requireUser(services, name)
  const { token, writes } = newLink('set-password', { userId: user.id, ttl: linkTtl, now: services.now() })
  await services.store.commit([
    ...writes,
    ...toldOf(services, actor, { event: 'user.updated', userId: user.id, reason: 'password_link' }),
  ])
  return `${services.issuer}/set-password?token=${token}`
}

/** Disables a user: no sign-in, no session, no token of theirs is honoured any more. */
export const disableUser = async (services: UserNeeds, name: string, actor: Actor): Promise<Member> => {
  const user = await requireUser(services, name)
  if (user.disabledAt === null)
    await commitEnding(services, user, 'user_disabled', actor, async () => [
      users.disableUser(user.id, services.now()),
      ...(await staysAdministered(services, user)),
      ...toldOf(services, actor, { event: 'user.updated', userId: user.id, reason: 'disabled' }),
    ])
  return showUser(services, user.id)
}

/** Lets a disabled user sign in again; what had ended stays so. */
export const enableUser = async (services: UserNeeds, name: string, actor: Actor): Promise<Member> => {
  const user = await requireUser(services, name)
  if (user.disabledAt !== null)
    await services.store.commit([
      users.enableUser(user.id, services.now()),
      ...toldOf(services, actor, { event: 'user.updated', userId: user.id, reason: 'enabled' }),
    ])
  return showUser(services, user.id)
}

/**
 * Deletes a user. Apps are told first; a new user of the same name gets another `sub`, so nothing of the old one
 * attaches to them (SEC-061).
 */
export const deleteUser = async (services: UserNeeds, name: string, actor: Actor): Promise<User> => {
  const user = await requireUser(services, name)
  await commitEnding(services, user, 'user_deleted', actor, async () => [
    users.deleteUser(user.id),
    ...(await staysAdministered(services, user)),
    forgetConsents(user.id),
    ...toldOf(services, actor, {
      event: 'user.deleted',
      userId: user.id,
      detail: { username: user.username, sub: user.sub },
    }),
  ])
  return user
}
