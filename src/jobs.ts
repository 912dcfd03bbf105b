/** Periodic work: one row a job. Jobs that must run in one process at a time run under the lease. */
import type { Config } from './config.ts'
import { cleanBrowsers } from './identity/browser.ts'
import { agedOutSessions, cleanSessions, endSessions } from './identity/session.ts'
import { cleanSignIns } from './identity/sign-in.ts'
import { applyRotation, keySettings } from './keys/rotate-keys.ts'
import { cleanCodes } from './oauth/authorize/code.ts'
import { cleanTransactions } from './oauth/authorize/transaction.ts'
import { cleanUsedAssertions } from './oauth/client/used-assertion.ts'
import { cleanAuthorizations } from './oauth/grant/authorization.ts'
import { cleanSessionClients } from './oauth/grant/session-clients.ts'
import { cleanDenylist } from './oauth/tokens/denylist.ts'
import { cleanOpaqueTokens } from './oauth/tokens/opaque-token.ts'
import { cleanRefreshFamilies } from './oauth/tokens/refresh-token.ts'
import { forgetOldAudit, sealAudit } from './observe/audit-seal.ts'
import type { Services } from './services.ts'
import { GuardFailed } from './store/commit.ts'
import { cleanOutbox } from './store/outbox.ts'
import { keyAt, seconds } from './store/single-use.ts'
import { cleanThrottles } from './throttle/throttle.ts'

export type Job = {
  name: string
  /** Seconds between two runs. */
  every: number
  /** In every process, or in the one that holds the lease. */
  where: 'every-process' | 'one-process'
  /** Once more in the end, after the last request: in every process, for it may be the last one. */
  atShutdown?: true
  run: (services: Services, config: Config) => Promise<void>
}

/** How many rows one write may delete: small enough to hold nobody up. */
const batch = 500

/** Ended sessions are kept so long: a browser that somebody signed in at counts as known. */
const sessionMemory = 90 * 86_400_000

/** Apps are told of sessions that ended by age, and of idle ones if they ask for it. */
const endAgedSessions = async (services: Services): Promise<void> => {
  const { store, now } = services
  const aged = await agedOutSessions(store, now(), 100)
  for (const session of aged) {
    const reason = session.expiresAt <= seconds(now()) ? 'expired' : 'idle'
    try {
      await store.commit(await endSessions(services, [session], reason))
    } catch (error) {
      // It was ended, or used again, meanwhile.
      if (!(error instanceof GuardFailed)) throw error
    }
  }
  if (aged.length > 0) services.wakeOutbox()
}

/** Deliveries that ended stay visible so long. */
const outboxMemory = 30 * 86_400_000

const cleanUp = async ({ store, now }: Services, config: Config): Promise<void> => {
  const at = now()
  const longAgo = new Date(at.getTime() - sessionMemory)
  await store.commit([
    cleanCodes(at, batch),
    cleanTransactions(at, batch),
    cleanSignIns(at, batch),
    cleanAuthorizations(at, batch),
    cleanRefreshFamilies(at, config.tokens.refreshTtl, batch),
    cleanOpaqueTokens(at, batch),
    cleanDenylist(at, batch),
    cleanUsedAssertions(at, batch),
    cleanThrottles(at, batch),
    cleanOutbox(new Date(at.getTime() - outboxMemory), batch),
    cleanSessions(longAgo, batch),
    cleanSessionClients(keyAt(longAgo), batch),
  ])
}

/** A browser that nobody signed in at is forgotten after a month; those of ended sessions go with them. */
const forgetBrowsers = async ({ store, now }: Services): Promise<void> => {
  const aMonthAgo = new Date(now().getTime() - 30 * 86_400_000)
  await store.commit([cleanBrowsers(keyAt(aMonthAgo), batch)])
}

export const jobs: readonly Job[] = [
  { name: 'end-sessions', every: 15, where: 'one-process', run: endAgedSessions },
  {
    name: 'rotate-keys',
    every: 60,
    where: 'one-process',
    run: (services, config) => applyRotation(services, keySettings(config)),
  },
  { name: 'seal-audit', every: 1, where: 'one-process', atShutdown: true, run: sealAudit },
  { name: 'forget-audit', every: 60, where: 'one-process', run: forgetOldAudit },
  { name: 'clean-up', every: 10, where: 'one-process', run: cleanUp },
  { name: 'forget-browsers', every: 3600, where: 'one-process', run: forgetBrowsers },
]
