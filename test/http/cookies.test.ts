import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Koa from 'koa'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cookieJar } from '../../src/http/cookies.ts'
import { sendBytes } from '../support/bytes.ts'

/** A server that says which cookie it read, and sets one. */
const startJar = async (
  issuer: string,
  maxAge?: number,
): Promise<(...cookies: string[]) => Promise<string>> => {
  const jar = cookieJar(issuer)
  const app = new Koa()
  app.use(ctx => {
    ctx.body = JSON.stringify(jar.read(ctx) ?? null)
    jar.set(ctx, 'value', maxAge)
  })
  const server = createServer(app.callback())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return (...cookies) =>
    sendBytes(port, ['GET / HTTP/1.1', 'Host: x', ...cookies.map(cookie => `Cookie: ${cookie}`)])
}

const bodyOf = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4)
const cookieIn = (answer: string): string | undefined => /^set-cookie: (.*)\r$/im.exec(answer)?.[1]

describe('the cookie we set', () => {
  for (const [issuer, line] of [
    ['https://op.test', '__Host-lintel=value; Path=/; HttpOnly; SameSite=Lax; Secure'],
    ['https://op.test/sso', '__Host-lintel=value; Path=/; HttpOnly; SameSite=Lax; Secure'],
    ['https://localhost:4443', '__Host-lintel=value; Path=/; HttpOnly; SameSite=Lax; Secure'],
    ['http://localhost:4000', 'lintel-4000=value; Path=/; HttpOnly; SameSite=Lax'],
    ['http://localhost', 'lintel-80=value; Path=/; HttpOnly; SameSite=Lax'],
    ['http://[::1]:4001', 'lintel-4001=value; Path=/; HttpOnly; SameSite=Lax'],
  ] as const)
    it(`SEC-031 of ${issuer}`, async () => {
      expect(cookieIn(await (await startJar(issuer))())).toBe(line)
      expect(cookieIn(await (await startJar(issuer, 60))())).toBe(`${line}; Max-Age=60`)
    })
})

it('SEC-033 is read when it is there once, whole and no longer than ours are', async () => {
  const read = await startJar('http://localhost:4000')
  const long = 'x'.repeat(200)
  const cases: [string[], string | null][] = [
    [['lintel-4000=abc'], 'abc'],
    [['a=b; lintel-4000=abc; c=d'], 'abc'],
    [['a=b;lintel-4000=abc;c=d'], 'abc'],
    [['a=b', 'lintel-4000=abc'], 'abc'],
    [['lintel-4000='], ''],
    [['lintel-4000=a=b'], 'a=b'],
    [['lintel-4000="abc"'], '"abc"'],
    [[`lintel-4000=${long}`], long],
    [[`lintel-4000=${long}x`], null],
    [['lintel-4000=abc; lintel-4000=abc'], null],
    [['lintel-4000=abc', 'lintel-4000=def'], null],
    [['lintel-4001=abc'], null],
    [['lintel-40000=abc'], null],
    [['LINTEL-4000=abc'], null],
    [['xlintel-4000=abc'], null],
    [['lintel-4000'], null],
    [['__Host-lintel=abc'], null],
    [['a=lintel-4000=abc'], null],
    [[], null],
  ]
  for (const [cookies, value] of cases)
    expect(JSON.parse(bodyOf(await read(...cookies))), cookies.join(' | ').slice(0, 80)).toBe(value)
})
