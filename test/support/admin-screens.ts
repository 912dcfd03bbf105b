/** The rooms of administration as administrators meet them, with something in each. */
import type { Page } from 'playwright-core'
import { endDelivery, enqueue, listOutbox } from '../../src/store/outbox.ts'
import type { Screen } from './screens.ts'
import type { TestClient, TestServer } from './server.ts'
import { expectHeading, fillSignIn, type World } from './world.ts'

const person = { username: 'grace', name: 'Grace Hopper', email: 'grace@example.com', role: 'admin' as const }

/** Apps, people and APIs as a small company has them. */
const furnish = async (server: TestServer): Promise<{ app: TestClient }> => {
  const app = await server.createClient({
    client_id: 'field-notes',
    client_name: 'Field Notes',
    client_uri: 'https://notes.example/',
    redirect_uris: ['https://notes.example/auth/callback'],
    post_logout_redirect_uris: ['https://notes.example/'],
    backchannel_logout_uri: 'http://localhost:1/logout',
    grant_types: ['authorization_code', 'refresh_token'],
    first_party: true,
  })
  await server.createClient({
    client_id: 'dashboard',
    client_name: 'Dashboard',
    application_type: 'web',
    token_endpoint_auth_method: 'none',
    redirect_uris: ['https://dashboard.example/callback'],
  })
  await server.createResource({
    identifier: 'https://orders.example',
    name: 'Orders',
    scopes: ['orders:read', 'orders:write'],
  })
  await server.createClient({
    client_id: 'nightly-report',
    client_name: 'Nightly report',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    scope: 'orders:read',
  })
  await server.createUser({
    username: 'alice',
    name: 'Alice Example',
    email: 'alice@example.com',
    emailVerified: true,
    groups: ['engineering', 'on-call'],
  })
  await server.createUser({ username: 'bob', name: 'Bob Builder' })
  return { app }
}

/** An administrator at a page. */
const at =
  (path: string, then: (world: World, page: Page) => Promise<void> = async () => undefined) =>
  async (world: World, page: Page): Promise<void> => {
    const { server } = world
    await furnish(server)
    const grace = await server.createUser({ ...person, password: 'a small nanosecond of wire' })
    await page.goto(`${server.issuer}/admin${path}`)
    await fillSignIn(page, grace)
    await page.waitForSelector('.house')
    await then(world, page)
  }

/** Something that was refused, with the nearest match. */
const refuse = async ({ server }: World, page: Page): Promise<void> => {
  const wrong = new URLSearchParams({
    client_id: 'field-notes',
    response_type: 'code',
    redirect_uri: 'https://notes.example/auth/calback',
  })
  await page.request.get(`${server.issuer}/authorize?${wrong}`)
  await page.request.get(`${server.issuer}/authorize?client_id=nobody`)
  await page.reload()
}

/** A notice that did not get there, and one that is on its way; both are due when nobody looks any more. */
const failDelivery = async ({ services: { store, now } }: TestServer): Promise<void> => {
  const later = new Date(now().getTime() + 3_600_000)
  const notice = { kind: 'logout', clientId: 'field-notes', userId: null, payload: {}, now: later }
  await store.commit([enqueue(notice)])
  const [row] = await listOutbox(store, { limit: 1 })
  if (row) await store.commit([endDelivery(row, 'failed', now(), 'the app answered 500')])
  await store.commit([enqueue({ ...notice, clientId: 'dashboard' })])
}

const userId = async ({ services }: TestServer, username: string): Promise<string> =>
  (await services.store.search<{ id: string }>(knex => knex('user').select('id').where({ username })))[0]
    ?.id ?? ''

export const adminScreens: readonly Screen[] = [
  { name: 'admin-overview', heading: 'Overview', open: at('', refuse) },
  { name: 'admin-apps', heading: 'Apps', open: at('/apps') },
  { isSeldom: true, name: 'admin-app-kinds', heading: 'New app', open: at('/new/app') },
  {
    name: 'admin-app-refused',
    heading: 'New web app with a server',
    open: at('/new/app?kind=server', async (_, page) => {
      await page.fill('[name=client_name]', 'Wiki')
      await page.fill('[name=redirect_uris]', 'https://wiki.example/callback#top')
      await page.click('form.wide button')
      await page.waitForSelector('.faulty')
    }),
  },
  {
    name: 'admin-app-created',
    heading: 'Wiki',
    open: at('/new/app?kind=server', async (_, page) => {
      await page.fill('[name=client_name]', 'Wiki')
      await page.fill('[name=redirect_uris]', 'https://wiki.example/callback')
      await page.click('form.wide button')
      await page.waitForSelector('.once')
    }),
  },
  { name: 'admin-app', heading: 'Field Notes', open: at('/apps/field-notes') },
  {
    name: 'admin-test-sign-in',
    heading: 'Test sign-in',
    open: at('/apps/field-notes/test', async (_, page) => {
      await page.click('form.wide button')
      await page.waitForSelector('#result')
    }),
  },
  {
    isSeldom: true,
    name: 'admin-app-delete',
    heading: 'Delete Field Notes?',
    open: at('/apps/field-notes/delete'),
  },
  { isSeldom: true, name: 'admin-users', heading: 'Users', open: at('/users') },
  {
    name: 'admin-user',
    heading: 'Grace Hopper',
    open: at('/users', async ({ server }, page) => {
      await page.goto(`${server.issuer}/admin/users/${await userId(server, 'grace')}`)
    }),
  },
  {
    isSeldom: true,
    name: 'admin-user-created',
    heading: 'Carol Reed',
    open: at('/new/user', async (_, page) => {
      await page.fill('[name=username]', 'carol')
      await page.fill('[name=name]', 'Carol Reed')
      await page.click('form.wide button')
      await page.waitForSelector('.once')
    }),
  },
  {
    name: 'admin-user-refused',
    heading: 'New user',
    open: at('/new/user', async (_, page) => {
      await page.fill('[name=username]', 'alice')
      await page.click('form.wide button')
      await page.waitForSelector('#summary')
    }),
  },
  {
    name: 'set-password',
    heading: 'Choose a password',
    open: at('/new/user', async (_, page) => {
      await page.fill('[name=username]', 'carol')
      await page.click('form.wide button')
      await page.goto((await page.textContent('.once code')) ?? '')
      await expectHeading(page, 'Choose a password')
    }),
  },
  { isSeldom: true, name: 'admin-groups', heading: 'Groups', open: at('/groups') },
  { isSeldom: true, name: 'admin-apis', heading: 'APIs', open: at('/apis') },
  { isSeldom: true, name: 'admin-sessions', heading: 'Sessions', open: at('/sessions') },
  { name: 'admin-refusals', heading: 'Refusals', open: at('/refusals', refuse) },
  {
    name: 'admin-keys',
    heading: 'Signing keys',
    open: at('/keys', async (_, page) => {
      await page.click('[name=rotate][value=now]')
      await page.waitForSelector('.notice.good')
    }),
  },
  {
    name: 'admin-outbox',
    heading: 'Deliveries',
    open: at('/outbox', async ({ server }, page) => {
      await failDelivery(server)
      await page.goto(`${server.issuer}/admin/outbox`)
    }),
  },
]
