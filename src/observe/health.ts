/** GET /livez and /readyz: does the process run, and can it serve. */
import type { Context } from 'koa'
import { isLoopbackHost } from '../config/addresses.ts'
import { temporarilyUnavailable } from '../http/refusal.ts'
import type { Route } from '../http/route.ts'
import type { Services } from '../services.ts'
import { readVersions } from '../store/change.ts'
import type { Trouble } from './proxy-troubles.ts'

export type Readiness = {
  /** Set on SIGTERM: nothing new should come. */
  draining: boolean
  /** Mistakes of the set-up that do not stop it, for operators. */
  warnings: Set<string>
  /** What the last look at the public address found. */
  publicAddress: readonly Trouble[]
}

const checks = async (
  { store }: Pick<Services, 'store'>,
  readiness: Readiness,
): Promise<Record<string, string>> => {
  const failures: Record<string, string> = {}
  if (readiness.draining) failures['shutdown'] = 'the server is shutting down'
  try {
    await readVersions(store)
  } catch (error) {
    failures['database'] = error instanceof Error ? error.message : String(error)
  }
  return failures
}

/**
 * The two routes. `?verbose` tells what is wrong, to whoever asks from this machine.
 *
 * @param troubles what operators should know, looked for when somebody asks
 */
export const healthRoutes = (
  services: Pick<Services, 'store'>,
  readiness: Readiness,
  troubles: () => string[],
): Route[] => [
  {
    path: '/livez',
    kind: 'endpoint',
    handlers: {
      GET: ctx => {
        ctx.body = { status: 'ok' }
      },
    },
  },
  {
    path: '/readyz',
    kind: 'endpoint',
    handlers: {
      GET: async ctx => {
        const failures = await checks(services, readiness)
        const isReady = Object.keys(failures).length === 0
        const verbose = new URLSearchParams(ctx.querystring).has('verbose') && isFromHere(ctx)
        if (!isReady && !verbose) throw temporarilyUnavailable('not ready')
        ctx.status = isReady ? 200 : 503
        ctx.body = verbose
          ? { status: isReady ? 'ok' : 'failed', failures, warnings: troubles() }
          : { status: 'ok' }
      },
    },
  },
]

/** From this machine, and not through a proxy on it. */
const isFromHere = ({ req }: Context): boolean =>
  req.headers['x-forwarded-for'] === undefined &&
  req.headers.forwarded === undefined &&
  (req.socket.remoteAddress === undefined || isLoopbackHost(req.socket.remoteAddress.replace(/^::ffff:/, '')))
