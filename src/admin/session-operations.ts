/** Ending sessions, for the command line, pages and the API alike: apps are told, and the audit has it. */
import { Refusal } from '../http/refusal.ts'
import { endSessions, findSession, sessionsOfUser } from '../identity/session.ts'
import type { Services } from '../services.ts'
import { GuardFailed } from '../store/commit.ts'
import { type Actor, actorOf, adminToldOf } from './actor.ts'
import { quoted } from './near-miss.ts'
import { requireUser } from './user-operations.ts'

type Needs = Pick<Services, 'store' | 'now' | 'audit' | 'sessionEnded' | 'wakeOutbox'>
type Ended = { id: string; username: string }

/**
 * Ends a session. What hangs on it ends with it.
 *
 * @throws Refusal `not_found` when there is none, or it has ended already
 */
export const revokeSession = async (services: Needs, id: string, actor: Actor): Promise<Ended[]> => {
  const gone = (cause?: unknown): Refusal =>
    new Refusal('not_found', `there is no session ${quoted(id)}, or it has ended`, 404, { cause })
  const session = await findSession(services.store, id)
  if (!session || session.endedAt !== null) throw gone()
  await end(services, [session], actor).catch(error =>
    Promise.reject(error instanceof GuardFailed ? gone(error) : error),
  )
  return [{ id: session.id, username: session.username }]
}

/** Ends every session of a user. */
export const revokeSessionsOf = async (services: Needs, name: string, actor: Actor): Promise<Ended[]> => {
  const user = await requireUser(services, name)
  const ended: Ended[] = []
  for (const session of await sessionsOfUser(services.store, user.id)) {
    try {
      await end(services, [session], actor)
      ended.push({ id: session.id, username: session.username })
    } catch (error) {
      // It ended by itself meanwhile.
      if (!(error instanceof GuardFailed)) throw error
    }
  }
  return ended
}

const end = async (
  services: Needs,
  sessions: { id: string; userId: string }[],
  actor: Actor,
): Promise<void> => {
  await services.store.commit([
    ...(await endSessions(services, sessions, 'revoked', actorOf(actor).visit)),
    ...sessions.flatMap(({ id, userId }) =>
      adminToldOf(services, actor, { event: 'session.revoked', userId, detail: { session: id } }),
    ),
  ])
  services.wakeOutbox()
}
