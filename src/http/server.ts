/** The HTTP server: its limits, and its TLS. */
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { Config } from '../config.ts'
import type { Services } from '../services.ts'

const limits = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16 * 1024,
  // Ours answers with a page and an id (proxy.ts).
  requireHostHeader: false,
}

const readTls = ({ tls }: Pick<Config, 'tls'>): { cert: Buffer; key: Buffer } | undefined =>
  tls.cert === undefined || tls.key === undefined
    ? undefined
    : { cert: readFileSync(tls.cert), key: readFileSync(tls.key) }

/** The server of these settings, with TLS where they name a certificate. It does not listen yet. */
export const makeServer = (
  config: Pick<Config, 'tls'>,
  answer: http.RequestListener,
): http.Server | https.Server => {
  const tls = readTls(config)
  const server = tls
    ? https.createServer({ ...limits, ...tls, minVersion: 'TLSv1.2' }, answer)
    : http.createServer(limits, answer)
  server.maxConnections = 10_000
  return server
}

/** Reads the certificate again; keeps the old one when the new one is bad. */
export const reloadTls = (
  server: http.Server | https.Server,
  config: Pick<Config, 'tls'>,
  { log }: Pick<Services, 'log'>,
): void => {
  if (!('setSecureContext' in server)) return
  try {
    server.setSecureContext({ ...readTls(config), minVersion: 'TLSv1.2' })
    log.info('tls.reloaded')
  } catch (error) {
    log.error('tls.reload_failed', { cause: error instanceof Error ? error : String(error) })
  }
}
