/** Every page of ours as people meet it, and the way there: for looking at, for axe, for the pictures in docs/screens. */
import type { Page } from 'playwright-core'
import { adminScreens } from './admin-screens.ts'
import { authorizeUrl, pkcePair } from './flow.ts'
import type { TestClient, TestServer } from './server.ts'
import { htmlPage } from './site.ts'
import { decide, expectHeading, fillSignIn, type World } from './world.ts'

export type Screen = {
  /** The name of its pictures. */
  name: string
  heading: string
  /** The language of the browser; English where none is named. */
  locale?: string
  /** Made of what other pages show as well: looked at for pictures and in the long tests only. */
  isSeldom?: boolean
  /** Goes there; the page then stays. */
  open: (world: World, page: Page) => Promise<void>
}

const request = (server: TestServer, client: TestClient, more: Record<string, string | undefined> = {}) =>
  server.issuer +
  authorizeUrl(client, { code_challenge: pkcePair().challenge, code_challenge_method: 'S256', ...more })

const scope = 'openid profile email offline_access'

/** An app with everything that pages show of one. Nothing needs to answer there. */
const fieldNotes = (server: TestServer, more: Record<string, unknown> = {}): Promise<TestClient> =>
  server.createClient({
    client_name: 'Field Notes',
    client_uri: 'https://notes.example/',
    policy_uri: 'https://notes.example/privacy',
    tos_uri: 'https://notes.example/terms',
    redirect_uris: ['https://notes.example/callback'],
    initiate_login_uri: 'https://notes.example/login',
    grant_types: ['authorization_code', 'refresh_token'],
    ...more,
  })

const alice = { username: 'alice', name: 'Alice Example', email: 'alice@example.com' }

/** An app that answers. */
const answeringApp = async (
  { server, site }: World,
  more: Record<string, unknown> = {},
): Promise<TestClient> => {
  const answering = await site('app-one.localhost', {
    'GET /cb': () => ({ html: htmlPage('<h1>Back</h1>') }),
  })
  return fieldNotes(server, {
    redirect_uris: [`${answering.origin}/cb`],
    client_uri: `${answering.origin}/`,
    ...more,
  })
}

/** Signs somebody in, by an app of the house. */
const signedIn = async (world: World, page: Page, user: Parameters<TestServer['createUser']>[0] = alice) => {
  const person = await world.server.createUser(user)
  const app = await answeringApp(world, { first_party: true, client_name: 'Wiki' })
  await page.goto(request(world.server, app, { prompt: 'login' }))
  await fillSignIn(page, person)
  await expectHeading(page, 'Back')
  return { person, app }
}

const screensInEnglish: readonly Screen[] = [
  ...adminScreens,
  {
    name: 'sign-in',
    heading: 'Sign in',
    open: async ({ server }, page) => {
      await page.goto(request(server, await fieldNotes(server)))
    },
  },
  {
    name: 'sign-in-refused',
    heading: 'Sign in',
    open: async ({ server }, page) => {
      await page.goto(request(server, await fieldNotes(server)))
      await fillSignIn(page, { username: 'alice', password: 'a guess' })
      await page.waitForSelector('[data-error=invalid_credentials]')
    },
  },
  {
    name: 'sign-in-throttled',
    heading: 'Sign in',
    open: async ({ server }, page) => {
      await page.goto(request(server, await fieldNotes(server)))
      for (let tries = 0; tries < 12 && !(await page.isVisible('[data-error=too_many_attempts]')); tries++) {
        const answered = page.waitForResponse(response => response.request().method() === 'POST')
        await fillSignIn(page, { username: 'alice', password: `guess ${tries}` })
        await answered
        await page.waitForSelector('[data-error]')
      }
      await page.waitForSelector('[data-error=too_many_attempts]')
    },
  },
  {
    name: 'sign-in-again',
    heading: 'Confirm it’s you',
    open: async (world, page) => {
      await signedIn(world, page)
      await page.goto(request(world.server, await fieldNotes(world.server), { prompt: 'login' }))
    },
  },
  {
    name: 'consent',
    heading: 'Allow Field Notes to use your account?',
    open: async ({ server }, page) => {
      const person = await server.createUser(alice)
      await page.goto(request(server, await fieldNotes(server), { scope }))
      await fillSignIn(page, person)
    },
  },
  {
    name: 'consent-more',
    heading: 'Allow Field Notes to use your account?',
    open: async (world, page) => {
      const person = await world.server.createUser(alice)
      const app = await answeringApp(world)
      await page.goto(request(world.server, app, { scope: 'openid profile' }))
      await fillSignIn(page, person)
      await decide(page, 'allow')
      await expectHeading(page, 'Back')
      await page.goto(request(world.server, app, { scope: 'openid profile email' }))
    },
  },
  {
    name: 'consent-local',
    heading: 'Allow Field Notes for the terminal to use your account?',
    open: async ({ server }, page) => {
      const person = await server.createUser({ username: 'alice' })
      const native = await server.createClient({
        client_name: 'Field Notes for the terminal',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        redirect_uris: ['http://127.0.0.1/callback'],
      })
      await page.goto(request(server, native, { redirect_uri: 'http://127.0.0.1:51234/callback' }))
      await fillSignIn(page, person)
    },
  },
  {
    name: 'account-chooser',
    heading: 'Choose an account',
    open: async (world, page) => {
      await signedIn(world, page)
      await signedIn(world, page, { username: 'bob', name: 'Bob Builder' })
      await page.goto(request(world.server, await fieldNotes(world.server), { prompt: 'select_account' }))
    },
  },
  {
    name: 'logout',
    heading: 'Sign out?',
    open: async (world, page) => {
      await signedIn(world, page)
      const app = await fieldNotes(world.server, { post_logout_redirect_uris: ['https://notes.example/'] })
      const asked = new URLSearchParams({
        client_id: app.id,
        post_logout_redirect_uri: 'https://notes.example/',
      })
      await page.goto(`${world.server.issuer}/logout?${asked}`)
    },
  },
  {
    name: 'signed-out',
    heading: 'You’re signed out',
    open: async (world, page) => {
      await signedIn(world, page)
      const told = await answeringApp(world, {
        first_party: true,
        backchannel_logout_uri: 'http://localhost:1/logout',
      })
      await page.goto(request(world.server, told))
      await page.goto(`${world.server.issuer}/logout`)
      await decide(page, 'yes')
    },
  },
  {
    name: 'still-signed-in',
    heading: 'You’re still signed in',
    open: async (world, page) => {
      await signedIn(world, page)
      const app = await fieldNotes(world.server)
      await page.goto(`${world.server.issuer}/logout?client_id=${app.id}`)
      await decide(page, 'no')
    },
  },
  {
    name: 'set-up',
    heading: 'Welcome to Lintel',
    open: async ({ server }, page) => {
      await page.goto(setUpLink(server))
    },
  },
  {
    name: 'set-up-refused',
    heading: 'Welcome to Lintel',
    open: async ({ server }, page) => {
      await page.goto(setUpLink(server))
      await page.fill('input[name=username]', 'the admin')
      await page.fill('input[name=email]', 'me@localhost')
      await page.fill('input[name=password]', 'password')
      await page.click('form button')
      await page.waitForSelector('#summary')
    },
  },
  {
    name: 'form-post',
    heading: 'Signing you in',
    open: async (world, page) => {
      const person = await world.server.createUser(alice)
      const app = await answeringApp(world, { first_party: true })
      // As it is where no script sends it on.
      const devtools = await page.context().newCDPSession(page)
      await devtools.send('Emulation.setScriptExecutionDisabled', { value: true })
      await page.goto(request(world.server, app, { response_mode: 'form_post' }))
      await fillSignIn(page, person)
      await expectHeading(page, 'Signing you in')
      await page.waitForLoadState()
      await devtools.send('Emulation.setScriptExecutionDisabled', { value: false })
    },
  },
  {
    name: 'error-unknown-app',
    heading: 'We don’t know this app',
    open: async ({ server }, page) => {
      await page.goto(`${server.issuer}/authorize?client_id=nobody&response_type=code`)
    },
  },
  {
    name: 'error-redirect-uri',
    heading: 'We can’t send you back to this app',
    open: async ({ server }, page) => {
      const app = await fieldNotes(server)
      await page.goto(request(server, app, { redirect_uri: 'https://notes.example/other' }))
    },
  },
  {
    name: 'error-expired',
    heading: 'This page was open for too long',
    open: async ({ server }, page) => {
      await page.goto(request(server, await fieldNotes(server)))
      server.sleep(1801)
      await page.reload()
    },
  },
  {
    name: 'error-finished',
    heading: 'This was finished already',
    open: async (world, page) => {
      const person = await world.server.createUser(alice)
      const app = await answeringApp(world, { first_party: true })
      await page.goto(request(world.server, app))
      const signIn = page.url()
      await fillSignIn(page, person)
      await expectHeading(page, 'Back')
      await page.goto(signIn)
    },
  },
  {
    name: 'error-other-browser',
    heading: 'This was started in another browser',
    open: async (world, page) => {
      const other = await world.person()
      await other.page.goto(request(world.server, await fieldNotes(world.server)))
      await page.goto(other.page.url())
    },
  },
  {
    name: 'error-not-found',
    heading: 'There is nothing here',
    open: async ({ server }, page) => {
      await page.goto(`${server.issuer}/acount`)
    },
  },
  {
    name: 'home',
    heading: 'One door to all your apps',
    open: async ({ server }, page) => {
      await page.goto(`${server.issuer}/`)
    },
  },
  {
    name: 'home-signed-in',
    heading: 'Hello, Alice Example',
    open: async (world, page) => {
      await signedIn(world, page)
      await page.goto(`${world.server.issuer}/`)
    },
  },
  {
    name: 'account',
    heading: 'Alice Example',
    open: async (world, page) => {
      await signedIn(world, page)
      await page.goto(`${world.server.issuer}/account`)
    },
  },
  {
    name: 'own-sessions',
    heading: 'Where you’re signed in',
    open: async (world, page) => {
      const { person } = await signedIn(world, page)
      const other = await world.person()
      await other.page.goto(`${world.server.issuer}/account`)
      await fillSignIn(other.page, person)
      await expectHeading(other.page, 'Alice Example')
      await page.goto(`${world.server.issuer}/account/sessions`)
    },
  },
  {
    name: 'own-apps',
    heading: 'Connected apps',
    open: async (world, page) => {
      await signedIn(world, page)
      await page.goto(request(world.server, await answeringApp(world), { scope }))
      await decide(page, 'allow')
      await expectHeading(page, 'Back')
      await page.goto(`${world.server.issuer}/account/apps`)
    },
  },
  {
    name: 'own-password-refused',
    heading: 'Change your password',
    open: async (world, page) => {
      const { person } = await signedIn(world, page)
      await page.goto(`${world.server.issuer}/account/password`)
      await page.fill('input[name=current_password]', person.password)
      await page.fill('input[name=new_password]', 'short')
      await page.click('form button')
      await page.waitForSelector('#summary')
    },
  },
]

/** Long words, and pages that are longer for it. */
const germanHeadings: Record<string, string> = {
  'sign-in': 'Anmelden',
  consent: 'Darf Field Notes Ihr Konto verwenden?',
  account: 'Alice Example',
  'own-password-refused': 'Passwort ändern',
  'error-redirect-uri': 'Wir können Sie nicht zu dieser App zurückschicken',
  'admin-overview': 'Übersicht',
  'admin-app': 'Field Notes',
  'admin-keys': 'Signaturschlüssel',
}

export const screens: readonly Screen[] = [
  ...screensInEnglish,
  ...screensInEnglish.flatMap(screen => {
    const heading = germanHeadings[screen.name]
    return heading === undefined
      ? []
      : [{ ...screen, name: `${screen.name}-german`, heading, locale: 'de-DE' }]
  }),
]

/** The link that was printed when a server without an administrator started. */
export const setUpLink = (server: TestServer): string => {
  const link = /https?:\S+\/setup\?token=\S+/.exec(server.announced.join('\n'))
  if (!link) throw new Error('no set-up link was announced')
  return link[0]
}
