/** What ends a user's access: a new password, disabling, deleting. Sessions end with it, and apps are told. */

import { storePassword } from '../identity/password.ts'
import { type EndReason, endSessions, sessionsOfUser } from '../identity/session.ts'
import type { User } from '../identity/user.ts'
import * as users from '../identity/user.ts'
import { forgetConsents } from '../oauth/grant/consent.ts'
import { GuardFailed, type Write } from '../store/commit.ts'
import { type Actor, actorOf } from './actor.ts'
import {
  hashOf,
  type Member,
  type PasswordRules,
  requireUser,
  showUser,
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
  writes: () => Write[],
): Promise<void> => {
  for (let tries = 1; ; tries++) {
    const sessions = await sessionsOfUser(services.store, user.id)
    try {
      await services.store.commit([
        ...writes(),
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
  const { visit, by } = actorOf(actor)
  await commitEnding(services, user, 'password_changed', actor, () => [
    users.endAccessOf(user.id, services.now()),
    storePassword(user.id, hash, services.now()),
    services.audit.write({ event: 'password.changed', visit, userId: user.id, detail: { by } }),
  ])
  return showUser(services, user.id)
}

/** Disables a user: no sign-in, no session, no token of theirs is honoured any more. */
export const disableUser = async (services: UserNeeds, name: string, actor: Actor): Promise<Member> => {
  const user = await requireUser(services, name)
  const { visit, by } = actorOf(actor)
  if (user.disabledAt === null)
    await commitEnding(services, user, 'user_disabled', actor, () => [
      users.disableUser(user.id, services.now()),
      services.audit.write({
        event: 'user.updated',
        visit,
        userId: user.id,
        reason: 'disabled',
        detail: { by },
      }),
    ])
  return showUser(services, user.id)
}

/** Lets a disabled user sign in again; what had ended stays so. */
export const enableUser = async (services: UserNeeds, name: string, actor: Actor): Promise<Member> => {
  const user = await requireUser(services, name)
  const { visit, by } = actorOf(actor)
  if (user.disabledAt !== null)
    await services.store.commit([
      users.enableUser(user.id, services.now()),
      services.audit.write({
        event: 'user.updated',
        visit,
        userId: user.id,
        reason: 'enabled',
        detail: { by },
      }),
    ])
  return showUser(services, user.id)
}

/**
 * Deletes a user. Apps are told first; a new user of the same name gets another `sub`, so nothing of the old one
 * attaches to them (SEC-061).
 */
export const deleteUser = async (services: UserNeeds, name: string, actor: Actor): Promise<User> => {
  const user = await requireUser(services, name)
  const { visit, by } = actorOf(actor)
  await commitEnding(services, user, 'user_deleted', actor, () => [
    users.deleteUser(user.id),
    forgetConsents(user.id),
    services.audit.write({
      event: 'user.deleted',
      visit,
      userId: user.id,
      detail: { by, username: user.username, sub: user.sub },
    }),
  ])
  return user
}
