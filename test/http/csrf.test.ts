import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Koa from 'koa'
import { expect, it, onTestFinished } from 'vitest'
import { formToken, isOwnOrigin, judgeFormToken } from '../../src/http/csrf.ts'
import { sendBytes } from '../support/bytes.ts'

const owner = { id: 'browser-1', secret: 'a secret' }

it('a form token fits its browser, its secret and its path', () => {
  const token = formToken(owner, '/sign-in/1')
  expect(token.startsWith('browser-1.')).toBe(true)
  expect(token).not.toContain('secret')
  expect(judgeFormToken(token, owner, '/sign-in/1')).toBe('fits')
})

it('SEC-020 any other token is stale when it names this browser, and foreign when it does not', () => {
  const token = formToken(owner, '/sign-in/1')
  for (const stale of [
    formToken({ ...owner, secret: 'an older secret' }, '/sign-in/1'),
    formToken(owner, '/sign-in/2'),
    formToken(owner, '/sign-in/1/'),
    `${token}x`,
    token.slice(0, -1),
    'browser-1.',
  ])
    expect(judgeFormToken(stale, owner, '/sign-in/1'), stale).toBe('stale')
  for (const foreign of [
    undefined,
    '',
    'browser-1',
    formToken({ id: 'browser-2', secret: owner.secret }, '/sign-in/1'),
    formToken({ id: 'browser-10', secret: owner.secret }, '/sign-in/1'),
    token.slice('browser-1'.length),
    ` ${token}`,
    token.toUpperCase(),
  ])
    expect(judgeFormToken(foreign, owner, '/sign-in/1'), foreign).toBe('foreign')
})

it('SEC-021 our own pages send our origin, or none and no word of another site', async () => {
  const issuer = 'https://op.test'
  const app = new Koa()
  app.use(ctx => {
    ctx.body = String(isOwnOrigin(ctx, issuer))
  })
  const server = createServer(app.callback())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const cases: [string[], boolean][] = [
    [['Origin: https://op.test'], true],
    [['Origin: https://op.test', 'Sec-Fetch-Site: cross-site'], true],
    [[], true],
    [['Sec-Fetch-Site: same-origin'], true],
    [['Sec-Fetch-Site: none'], true],
    [['Origin: null'], true],
    [['Origin: null', 'Sec-Fetch-Site: same-origin'], true],
    [['Origin: null', 'Sec-Fetch-Site: cross-site'], false],
    [['Origin: null', 'Sec-Fetch-Site: same-site'], false],
    [['Sec-Fetch-Site: same-site'], false],
    [['Sec-Fetch-Site: cross-site'], false],
    [['Sec-Fetch-Site: Same-Origin'], false],
    [['Sec-Fetch-Site: '], false],
    [['Origin: https://evil.test'], false],
    [['Origin: https://evil.test', 'Sec-Fetch-Site: same-origin'], false],
    [['Origin: http://op.test'], false],
    [['Origin: https://op.test:8443'], false],
    [['Origin: https://op.test.evil.test'], false],
    [['Origin: https://sub.op.test'], false],
    [['Origin: HTTPS://OP.TEST'], false],
    [['Origin: https://op.test/'], false],
    [['Origin: '], false],
    [['Origin: NULL'], false],
  ]
  for (const [headers, own] of cases) {
    const answer = await sendBytes(port, [
      'POST / HTTP/1.1',
      'Host: op.test',
      'Content-Length: 0',
      ...headers,
    ])
    expect(answer.endsWith(`\r\n\r\n${own}`), `${headers.join(' | ')}: ${answer}`).toBe(true)
  }
})
