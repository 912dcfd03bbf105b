/** Outgoing https through a proxy (LINTEL_OUTBOUND_PROXY): a tunnel by CONNECT (RFC 9110 section 9.3.6), TLS end to end. */
import http from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'

type Opened = (error: Error | null, socket?: Duplex) => void

/**
 * An agent whose connections go through the proxy. Names are resolved there: what they may lead to is the proxy's to
 * say. A user and password in its URL are sent to it and to nobody else.
 */
export const tunnelThrough = (proxyUrl: string): https.Agent => {
  const proxy = new URL(proxyUrl)
  const authorization =
    proxy.username === ''
      ? {}
      : {
          'Proxy-Authorization': `Basic ${Buffer.from(`${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`).toString('base64')}`,
        }
  const createConnection = (options: tls.ConnectionOptions, opened: Opened): undefined => {
    const target = `${options.host}:${options.port}`
    const asking = (proxy.protocol === 'https:' ? https : http).request({
      host: proxy.hostname.replace(/^\[|\]$/g, ''),
      port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
      method: 'CONNECT',
      path: target,
      headers: { Host: target, ...authorization },
      agent: false,
    })
    asking.once('connect', (answer, socket) => {
      if (answer.statusCode === 200) return opened(null, tls.connect({ ...options, socket }))
      socket.destroy()
      opened(new Error(`the proxy answered ${answer.statusCode}`))
    })
    asking.once('response', answer => opened(new Error(`the proxy answered ${answer.statusCode}`)))
    asking.once('error', cause =>
      opened(new Error(`the proxy cannot be reached: ${cause.message}`, { cause })),
    )
    asking.end()
  }
  return Object.assign(new https.Agent({ keepAlive: false }), { createConnection })
}
