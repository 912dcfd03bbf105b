/** What the page after sign-out says of each app. */
import { afterEach, expect, it } from 'vitest'
import { listeningApp, openApp } from '../account/support.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
afterEach(() => server.stop())

const badges = (body: string): Record<string, string> =>
  Object.fromEntries(
    [...body.matchAll(/<li><bdi>(\w+)<\/bdi> <span class="badge ([\w-]+)"/g)].map(
      ([, app = '', told = '']) => [app, told],
    ),
  )

it('an app that was told is signed out, one that does not answer is being told, one that listens to nobody cannot be', async () => {
  server = await startServer({
    fetch: async ({ url }) => {
      if (url.includes('deaf')) throw new Error('nobody answers')
      return { status: 200, headers: {}, body: Buffer.alloc(0) }
    },
  })
  const alice = await server.createUser()
  const browser = server.browser()
  const apps = [
    await listeningApp(server, 'Atlas'),
    await listeningApp(server, 'Deaf'),
    await listeningApp(server, 'Mute', { backchannel_logout_uri: undefined }),
  ]
  const signOut = async (): Promise<Record<string, string>> => {
    for (const app of apps) await openApp(server, browser, app, alice)
    return badges((await browser.submit(await browser.open('/logout'), { decision: 'yes' })).body)
  }
  // The page waits half a second for the apps to be told, which a busy machine may not manage the first time.
  let told = await signOut()
  for (let tries = 0; tries < 4 && told['Atlas'] !== 'told'; tries++) told = await signOut()
  expect(told).toEqual({ Atlas: 'told', Deaf: 'telling', Mute: 'not-told' })
})
