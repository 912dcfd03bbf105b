/** Reads the configuration, opens the database, builds the services, listens, stops cleanly. */
import type http from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { newSetUpLink } from './admin/set-up-page.ts'
import { makeApp } from './app.ts'
import { addressList } from './config/addresses.ts'
import type { Config, ListenAddress } from './config.ts'
import { type Assets, loadAssets } from './http/assets.ts'
import { cookieJar } from './http/cookies.ts'
import { languageChoice } from './http/language.ts'
import { addressText, closeServer, listen, listenText } from './http/listener.ts'
import { loadCatalogues } from './http/locale.ts'
import { makeOutbound, type OutboundFetch } from './http/outbound.ts'
import { makePage } from './http/page.ts'
import { makeServer, reloadTls } from './http/server.ts'
import { answerUnreadable } from './http/unreadable-request.ts'
import { makePasswordHasher } from './identity/password.ts'
import { openKeyRing } from './keys/key-ring.ts'
import { keyGauge } from './keys/key-troubles.ts'
import { readMasterKeys } from './keys/master-key.ts'
import { makeSecretBox } from './keys/secret-box.ts'
import { openServerKey } from './keys/server-key.ts'
import { listKeys, makeFirstKeys } from './keys/signing-key.ts'
import { makeClientDirectory } from './oauth/client/client.ts'
import { makeClientKeys } from './oauth/client/client-keys.ts'
import { openResourceDirectory } from './oauth/client/resource-server.ts'
import { deliverLogoutNotice, sessionEndedWrites } from './oauth/logout/back-channel.ts'
import { makeAudit } from './observe/audit.ts'
import { processGauges, storeGauges } from './observe/gauges.ts'
import type { Readiness } from './observe/health.ts'
import { type Log, makeLog } from './observe/log.ts'
import { makeMetrics } from './observe/metrics.ts'
import { serveMetrics } from './observe/metrics-listener.ts'
import { type PublicAddress, reportTo, watchPublicAddress } from './observe/public-address.ts'
import { makeRoutes } from './routes.ts'
import { runJobs } from './run-jobs.ts'
import type { Services } from './services.ts'
import { changeWatcher } from './store/change.ts'
import { openDatabase, type Store } from './store/database.ts'
import { migrate } from './store/migrate.ts'
import { makeDelivery } from './store/outbox-delivery.ts'

/** What a test or a command brings along in place of the real thing. */
export type Overrides = {
  now?: () => Date
  log?: Log
  fetch?: OutboundFetch
  wrapStore?: (store: Store) => Store
  announce?: (line: string) => void
}

/** Everything that a server or a command works with. */
export type Opened = {
  services: Services
  assets: Assets
  /** Reads what other processes changed; call it once a second. */
  refresh: () => Promise<void>
  /** Delivers what waits in the outbox. */
  deliver: () => Promise<void>
  close: () => Promise<void>
}

const packageRoot = (): string => {
  // src/main.ts, or dist/src/main.js.
  const here = fileURLToPath(new URL('.', import.meta.url))
  return here.replace(/[\\/](dist[\\/])?src[\\/]$/, '')
}

/**
 * Opens the database (migrating it first), the keys and all services of one issuer.
 *
 * @throws ConfigError, StoreUnavailable, KeyRingError: each says what to do
 */
export const openServices = async (config: Config, overrides: Overrides = {}): Promise<Opened> => {
  const now = overrides.now ?? (() => new Date())
  const log = overrides.log ?? makeLog(config.log.level)
  await migrate(config.database.url)
  const opened = await openDatabase(config.database.url, { poolSize: config.database.poolSize })
  const store = overrides.wrapStore?.(opened) ?? opened
  try {
    const isFirstStart = (await listKeys(store)).length === 0
    const box = makeSecretBox(readMasterKeys(config, { mayMake: isFirstStart }))
    await makeFirstKeys(store, {
      algorithms: config.keys.algorithms,
      rsaBits: config.tokens.rsaBits,
      box,
      now,
    })
    const keys = await openKeyRing(store, box)
    const clients = makeClientDirectory(store)
    const resources = await openResourceDirectory(store)
    const metrics = makeMetrics()
    const fetch = overrides.fetch ?? outboundOf(config)
    const root = packageRoot()
    const assets = loadAssets(`${root}/public`, config.basePath)
    const catalogues = loadCatalogues(`${root}/locales`)
    const delivery = { wake: async (): Promise<void> => undefined }
    const audit = makeAudit(store, now)
    const services: Services = {
      issuer: config.issuer,
      store,
      keys,
      box,
      clients,
      clientKeys: makeClientKeys({ fetch, now, log, audit }),
      resources,
      now,
      log,
      metrics,
      audit,
      fetch,
      page: makePage({
        viewsDir: `${root}/views`,
        catalogues,
        assets,
        basePath: config.basePath,
        language: languageChoice(config.issuer, [...catalogues.keys()].sort()),
      }),
      cookies: cookieJar(config.issuer),
      passwords: makePasswordHasher(config.passwords, seconds =>
        metrics.observe('lintel_password_wait_seconds', seconds),
      ),
      sessionEnded: sessionEndedWrites({ store, clients, now }),
      refreshTokenKey: await openServerKey(store, box, 'refresh-token', now()),
      wakeOutbox: () => delivery.wake(),
    }
    const outbox = makeDelivery({
      store,
      now,
      log,
      metrics,
      deliver: new Map([['logout', deliverLogoutNotice(services)]]),
      ended: ({ kind, client_id, user_id }, state, error) =>
        kind === 'logout'
          ? [
              services.audit.write({
                event: state === 'delivered' ? 'logout.delivered' : 'logout.failed',
                clientId: client_id ?? undefined,
                userId: user_id ?? undefined,
                reason: error ?? undefined,
              }),
            ]
          : [],
    })
    delivery.wake = outbox.wake
    const close = async (): Promise<void> => {
      await outbox.stop()
      await store.close()
    }
    const refresh = changeWatcher(store, {
      client: async () => {
        clients.forget()
        await resources.reload()
      },
      key: keys.reload,
      denylist: async () => undefined,
    })
    await refresh()
    return { services, assets, refresh, deliver: outbox.run, close }
  } catch (error) {
    await store.close()
    throw error
  }
}

const outboundOf = (config: Config): OutboundFetch =>
  makeOutbound({
    loopbackIssuer: config.loopback,
    allow: addressList(config.outbound.allow),
    ports: config.outbound.ports,
    caFile: config.outbound.ca,
    proxy: config.outbound.proxy,
    extraCaFile: process.env['NODE_EXTRA_CA_CERTS'],
  })

/** What the self-check looks at. */
export const publicAddressOf = (
  services: Services,
  config: Pick<Config, 'issuer' | 'basePath' | 'listen' | 'tls'>,
): PublicAddress => ({
  issuer: config.issuer,
  basePath: config.basePath,
  listen: listenText(config.listen),
  endsTls: config.tls.cert !== undefined,
  fetch: services.fetch,
  now: services.now,
  key: () => openServerKey(services.store, services.box, 'self-check', services.now()),
  jwks: () => services.keys.jwks().body,
})

export type Running = {
  services: Services
  /** Where it listens. */
  address: string
  /** Looks from now on whether the public address leads here, and warns of what is wrong; until it stops. */
  watchPublicAddress: () => void
  /** Reads the TLS certificate again; keeps the old one when the new one is bad. */
  reload: () => void
  /**
   * Stops: not ready, then no new connections, then what is in flight ends, then the database closes.
   *
   * @param times instead of the configured ones: after a crash there is less time
   */
  stop: (times?: Config['shutdown']) => Promise<void>
}

/** Starts a server. It answers when this resolves. */
export const start = async (config: Config, overrides: Overrides = {}): Promise<Running> => {
  const opened = await openServices(config, overrides)
  const { services } = opened
  const readiness: Readiness = { draining: false, warnings: new Set(), publicAddress: [] }
  const app = makeApp(services, config, makeRoutes(services, config, opened.assets, readiness), readiness)
  const server = makeServer(config, app.callback())
  const metrics = config.metrics.listen && (await startMetrics(config.metrics.listen, services, server))
  answerUnreadable(server, (request_id, status, reason) =>
    services.log.info('request.unreadable', { request_id, status, reason }),
  )
  await listen(server, config.listen)
  const stopJobs = runJobs(opened, config)
  const link = await newSetUpLink(services)
  const announce = overrides.announce ?? (line => process.stderr.write(`${line}\n`))
  if (link !== undefined) announce(`Set up the first administrator (good for 24 hours): ${link}`)
  services.log.info('server.started', {
    issuer: config.issuer,
    listen: addressText(server),
    database: services.store.kind,
  })
  let stopWatching = (): void => undefined
  return {
    services,
    address: addressText(server),
    watchPublicAddress: () => {
      stopWatching = watchPublicAddress(publicAddressOf(services, config), reportTo(readiness, services.log))
    },
    reload: () => reloadTls(server, config, services),
    stop: async ({ drainDelay, timeout } = config.shutdown) => {
      readiness.draining = true
      stopWatching()
      await wait(drainDelay * 1000)
      await closeServer(server, timeout * 1000)
      await stopJobs()
      await metrics?.stop()
      await opened.close()
      services.log.info('server.stopped')
      services.log.flush()
    },
  }
}

const startMetrics = async (
  where: ListenAddress,
  services: Services,
  server: http.Server,
): Promise<{ address: string; stop: () => Promise<void> }> => {
  const ofProcess = processGauges(server)
  const gauges = [...ofProcess.gauges, ...storeGauges(services.store), keyGauge(services)]
  const listener = await serveMetrics(where, services, gauges)
  return {
    address: listener.address,
    stop: async () => {
      ofProcess.stop()
      await listener.stop()
    },
  }
}
