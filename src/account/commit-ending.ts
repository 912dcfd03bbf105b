/** Commits the end of a user's sessions with whatever belongs to it. Apps are told. */
import type { Visit } from '../http/visit.ts'
import { type EndReason, endSessions, type Session } from '../identity/session.ts'
import { tellApps } from '../oauth/logout/back-channel.ts'
import type { Services } from '../services.ts'
import { GuardFailed, type Write } from '../store/commit.ts'

export type EndingNeeds = Pick<Services, 'store' | 'now' | 'audit' | 'sessionEnded' | 'wakeOutbox'>

/** How often it is tried again when one of the sessions ends by itself meanwhile. */
const mostTries = 5

/**
 * Ends sessions, and makes the other writes, in one commit.
 *
 * @param find reads the sessions; again, when one of them has ended since
 * @returns how many it ended
 * @throws GuardFailed when one of the other writes did not find its rows
 */
export const commitEnding = async (
  services: EndingNeeds,
  find: () => Promise<Session[]>,
  { reason, visit, writes = [] }: { reason: EndReason; visit: Visit; writes?: readonly Write[] },
): Promise<number> => {
  for (let tries = 1; ; tries++) {
    const sessions = await find()
    if (sessions.length === 0 && writes.length === 0) return 0
    try {
      await services.store.commit([...writes, ...(await endSessions(services, sessions, reason, visit))])
      await tellApps(services)
      return sessions.length
    } catch (error) {
      const isOurs = error instanceof GuardFailed && !writes.includes(error.failed)
      if (!isOurs || tries === mostTries) throw error
    }
  }
}
