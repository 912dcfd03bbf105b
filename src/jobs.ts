/** Periodic work: one row a job. Jobs that must run in one process at a time run under the lease. */
import type { Config } from './config.ts'
import { cleanBrowsers } from './identity/browser.ts'
import { agedOutSessions, cleanSessions, endSessions } from './identity/session.ts'
import { cleanSignIns, signInMemory } from './identity/sign-in.ts'
import { applyRotation, keySettings } from './keys/rotate-keys.ts'
import { cleanCodes, codeMemory } from './oauth/authorize/code.ts'
import { cleanTransactions, transactionMemory } from './oauth/authorize/transaction.ts'
import { deleteUnusedClient } from './oauth/client/client.ts'
import { cleanInitialAccessTokens } from './oauth/client/initial-access-token.ts'
import { oldUnusedRegistrations } from './oauth/client/registration.ts'
import { cleanUsedAssertions } from './oauth/client/used-assertion.ts'
import { cleanAuthorizations } from './oauth/grant/authorization.ts'
import { cleanSessionClients } from './oauth/grant/session-clients.ts'
import { cleanDenylist } from './oauth/tokens/denylist.ts'
import { cleanOpaqueTokens, opaqueTokenMemory } from './oauth/tokens/opaque-token.ts'
import { cleanRefreshFamilies } from './oauth/tokens/refresh-token.ts'
import { forgetOldAudit, sealAudit } from './observe/audit-seal.ts'
import type { Services } from './services.ts'
import type { CleanUp } from './store/clean-up.ts'
import { GuardFailed } from './store/commit.ts'
import { cleanOutbox } from './store/outbox.ts'
import { seconds } from './store/single-use.ts'
import { cleanThrottles } from './throttle/throttle.ts'

export type Job = {
  name: string
  /** Seconds between two runs. */
  every: number
  /** In every process, or in the one that holds the lease. */
  where: 'every-process' | 'one-process'
  /** Once more in the end, after the last request: in every process, for it may be the last one. */
  atShutdown?: true
  /** After a run that leaves `more` to do the next one is due at once, whatever `every` says. */
  run: (services: Services, config: Config) => Promise<unknown>
}

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

/** What is cleaned, and for how many seconds it is kept before. */
const cleaned = ({ tokens }: Config): [CleanUp, number][] => [
  [cleanCodes, codeMemory],
  [cleanTransactions, transactionMemory],
  [cleanSignIns, signInMemory],
  [cleanAuthorizations, 0],
  [cleanRefreshFamilies, tokens.refreshTtl],
  [cleanOpaqueTokens, opaqueTokenMemory],
  [cleanDenylist, 0],
  [cleanUsedAssertions, 0],
  [cleanInitialAccessTokens, 0],
  [cleanThrottles, 0],
  // Deliveries that ended stay visible to operators.
  [cleanOutbox, 30 * 86_400],
  // A browser that somebody signed in at counts as known.
  [cleanSessions, 90 * 86_400],
  [cleanSessionClients, 90 * 86_400],
]

/** A commit for each table: between two, others get their turn. */
const cleanTables = async ({ store, now }: Services, config: Config): Promise<'more' | 'done'> => {
  let left: 'more' | 'done' = 'done'
  for (const [clean, memory] of cleaned(config))
    if (await clean(store, new Date(now().getTime() - memory * 1000))) left = 'more'
  return left
}

/** A browser that nobody signed in at is forgotten after a month; those of ended sessions go with them. */
const forgetBrowsers = async ({ store, now }: Services): Promise<'more' | 'done'> =>
  (await cleanBrowsers(store, new Date(now().getTime() - 30 * 86_400_000))) ? 'more' : 'done'

/** A client that registered itself and that nobody uses makes room for the next (RFC 7591 section 5). */
const forgetUnusedClients = async (
  { store, now, audit }: Services,
  { registrationUnusedTtl }: Config,
): Promise<void> => {
  const before = new Date(now().getTime() - registrationUnusedTtl * 1000)
  for (const clientId of await oldUnusedRegistrations(store, before, 100)) {
    try {
      await store.commit([
        ...deleteUnusedClient(clientId),
        audit.write({ event: 'client.deleted', clientId, reason: 'never_used' }),
      ])
    } catch (error) {
      // Somebody used it, or deleted it, meanwhile.
      if (!(error instanceof GuardFailed)) throw error
    }
  }
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
  { name: 'clean-up', every: 10, where: 'one-process', run: cleanTables },
  { name: 'forget-unused-clients', every: 60, where: 'one-process', run: forgetUnusedClients },
  { name: 'forget-browsers', every: 3600, where: 'one-process', run: forgetBrowsers },
]
