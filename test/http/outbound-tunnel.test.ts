import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { addressList } from '../../src/config/addresses.ts'
import { makeOutbound, OutboundFailed } from '../../src/http/outbound.ts'
import { makeAuthority, makeServerCertificate } from '../support/certificates.ts'

const folder = mkdtempSync(join(tmpdir(), 'lintel-tunnel-'))
const ends: (() => void)[] = [() => rmSync(folder, { recursive: true, force: true })]
afterAll(() => {
  for (const end of ends) end()
})

const listening = async (server: net.Server): Promise<number> => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  ends.push(() => server.close())
  return (server.address() as AddressInfo).port
}

const authority = makeAuthority()
const caFile = join(folder, 'ca.pem')
writeFileSync(caFile, authority.cert)

/** A proxy that knows one name, and remembers what it was asked for. */
const startProxy = async (site: number): Promise<{ url: string; asked: string[]; credentials: string[] }> => {
  const asked: string[] = []
  const credentials: string[] = []
  const proxy = http.createServer()
  proxy.on('connect', (request, socket) => {
    asked.push(String(request.url))
    credentials.push(String(request.headers['proxy-authorization']))
    if (request.url !== 'app.example:443') return socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    const onward = net.connect(site, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    onward.on('error', () => socket.destroy())
    socket.on('error', () => onward.destroy())
  })
  return { url: `http://user:secret@127.0.0.1:${await listening(proxy)}`, asked, credentials }
}

it('LINTEL_OUTBOUND_PROXY: https goes through a tunnel, certificates are checked end to end', async () => {
  const certificate = makeServerCertificate(['app.example'], authority)
  const site = await listening(https.createServer(certificate, (_, response) => response.end('hello')))
  const proxy = await startProxy(site)
  const rules = { loopbackIssuer: false, allow: addressList([]), ports: [], proxy: proxy.url }
  const request = { url: 'https://app.example/', method: 'GET', trust: 'dynamic', limit: 100 } as const
  const answer = await makeOutbound({ ...rules, caFile })(request)
  expect(answer.body.toString()).toBe('hello')
  expect(proxy.asked).toEqual(['app.example:443'])
  expect(proxy.credentials).toEqual([`Basic ${Buffer.from('user:secret').toString('base64')}`])
  await expect(makeOutbound(rules)(request)).rejects.toBeInstanceOf(OutboundFailed)
  const other = makeOutbound({ ...rules, caFile })({ ...request, url: 'https://other.example/' })
  await expect(other).rejects.toThrow('the proxy answered 403')
  // An address is judged here all the same: it never reaches the proxy.
  const inner = makeOutbound({ ...rules, caFile })({ ...request, url: 'https://169.254.169.254/' })
  await expect(inner).rejects.toThrow('may not be reached')
  expect(proxy.asked).toHaveLength(3)
})
