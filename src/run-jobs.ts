/** Runs the table of jobs: every second it looks what is due, and which process does what only one may do. */
import { randomBytes } from 'node:crypto'
import type { Config } from './config.ts'
import { type Job, jobs } from './jobs.ts'
import type { Services } from './services.ts'
import { giveLease, takeLease } from './store/lease.ts'

/** What a process does every second, besides the jobs: read what others changed, deliver what waits. */
type Round = { services: Services; refresh: () => Promise<void>; deliver: () => Promise<void> }

const leaseName = 'jobs'
/** Seconds after which another process may take over from one that died. */
const leaseTtl = 15
/** The lease is prolonged no more often: once a second would write to the disk of an idle server. */
const leaseRenewal = 5

/** Runs the jobs until what it returns is called. */
export const runJobs = (round: Round, config: Config): (() => Promise<void>) => {
  const { services } = round
  const holder = randomBytes(8).toString('hex')
  const lastRuns = new Map<string, number>()
  let stopped = false
  let ticking: Promise<void> = Promise.resolve()
  let leads = false
  let askedAt = Number.NEGATIVE_INFINITY

  const isNews = rarely()
  const attempt = async (name: string, run: () => Promise<unknown>): Promise<unknown> => {
    try {
      return await run()
    } catch (error) {
      if (isNews(String(error)))
        services.log.warn('job.failed', { job: name, cause: error instanceof Error ? error : String(error) })
      return undefined
    }
  }
  const askForLease = async (): Promise<void> => {
    if (performance.now() - askedAt < leaseRenewal * 1000) return
    leads = false
    askedAt = performance.now()
    await attempt('lease', async () => {
      leads = await takeLease(services.store, leaseName, holder, services.now(), leaseTtl)
    })
  }
  /** A run that lies ahead of the clock was before it stepped back. */
  const isDue = ({ name, every }: Job): boolean =>
    Math.abs(services.now().getTime() - (lastRuns.get(name) ?? 0)) >= every * 1000
  const tick = async (): Promise<void> => {
    await attempt('refresh', round.refresh)
    await attempt('outbox', round.deliver)
    const due = jobs.filter(isDue)
    if (due.length === 0) return
    await askForLease()
    for (const job of due) {
      if (job.where === 'one-process' && !leads) continue
      lastRuns.set(job.name, services.now().getTime())
      if ((await attempt(job.name, () => job.run(services, config))) === 'more') lastRuns.delete(job.name)
    }
  }
  const loop = (): void => {
    if (stopped) return
    ticking = tick()
    void ticking.then(() => {
      if (!stopped) timer = setTimeout(loop, 1000)
    })
  }
  let timer = setTimeout(loop, 1000)
  return async () => {
    stopped = true
    clearTimeout(timer)
    await ticking
    for (const job of jobs) if (job.atShutdown) await attempt(job.name, () => job.run(services, config))
    await attempt('lease', () => giveLease(services.store, leaseName, holder))
  }
}

/** Between two lines about one cause: while the database is away, every job fails every second (REL-27). */
const silence = 5000

/** Tells whether something was last said long enough ago to be said again. */
const rarely = (): ((what: string) => boolean) => {
  const saidAt = new Map<string, number>()
  return what => {
    const now = performance.now()
    if (now - (saidAt.get(what) ?? Number.NEGATIVE_INFINITY) < silence) return false
    if (saidAt.size > 100) saidAt.clear()
    saidAt.set(what, now)
    return true
  }
}
