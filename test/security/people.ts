/** People at small browsers, on their way through the pages. */
import { type Answer, type Browser, formOn } from '../support/browser.ts'
import { type AuthorizeOptions, authorizeUrl, getCode, pkcePair } from '../support/flow.ts'
import type { TestClient, TestServer } from '../support/server.ts'

export type Person = { username: string; password: string }

/** A user who can sign in; no more of it is at hand than what a person types. */
export const makePerson = async (
  server: TestServer,
  user: Parameters<TestServer['createUser']>[0] = {},
): Promise<Person> => {
  const { username, password } = await server.createUser(user)
  return { username, password }
}

/** The address of a request with a challenge, as most apps send it. */
export const challengedUrl = (client: TestClient, parameters: AuthorizeOptions = {}): string =>
  authorizeUrl(client, {
    code_challenge: pkcePair().challenge,
    code_challenge_method: 'S256',
    ...parameters,
  })

/** Opens what an app links to. */
export const openRequest = (
  browser: Browser,
  client: TestClient,
  parameters: AuthorizeOptions = {},
): Promise<Answer> => browser.open(challengedUrl(client, parameters))

/** A browser at which people have signed in, one after the other, and allowed the client. */
export const browserOf = async (
  server: TestServer,
  client: TestClient,
  ...people: Person[]
): Promise<Browser> => {
  const browser = server.browser()
  for (const [index, person] of people.entries()) {
    if (index === 0) await getCode(browser, client, person)
    else await addPerson(browser, client, person)
  }
  return browser
}

/** Somebody else signs in where another is signed in already. */
export const addPerson = async (browser: Browser, client: TestClient, person: Person): Promise<Answer> => {
  const chooser = await openRequest(browser, client, { prompt: 'select_account' })
  let page = await browser.submit(chooser, { account: 'other' })
  page = await browser.submit(page, { ...person })
  return page.body.includes('name="decision"') ? browser.submit(page, { decision: 'allow' }) : page
}

/** What an app is told without a page: whose session it is, or the error. */
export const silently = async (browser: Browser, client: TestClient): Promise<URLSearchParams> => {
  const answer = await browser.send(challengedUrl(client, { prompt: 'none' }))
  return new URL(String(answer.location)).searchParams
}

/** The usernames on the account chooser, with the value of each button. */
export const accountsOn = (chooser: Answer): Map<string, string> =>
  new Map(
    [...chooser.body.matchAll(/name="account" value="([^"]+)"[^>]*><bdi>([^<]*)<\/bdi>/g)].map(
      ([, value = '', username = '']) => [username, value],
    ),
  )

/** The one cookie that a browser holds. */
export const cookieOf = (browser: Browser): string => [...browser.cookies.values()].join()

/** Puts a cookie value where the browser's own stands. */
export const setCookieOf = (browser: Browser, value: string): void => {
  const [name] = [...browser.cookies.keys()]
  if (name === undefined) throw new Error('the browser has no cookie to replace')
  browser.cookies.set(name, value)
}

/** A browser that holds a copy of another's cookies. */
export const copyOf = (server: TestServer, browser: Browser): Browser => {
  const copy = server.browser()
  for (const [name, value] of browser.cookies) copy.cookies.set(name, value)
  return copy
}

/** Posts the form on a page as it is, with other values laid over it, and follows nothing. */
export const postForm = (
  browser: Browser,
  page: Answer,
  values: Record<string, string | undefined>,
  headers: Record<string, string> = {},
): Promise<Answer> => {
  const [named] = Object.keys(values).filter(name => name !== 'form_token')
  const { action, fields } = formOn(page, named)
  for (const [name, value] of Object.entries(values))
    if (value === undefined) fields.delete(name)
    else fields.set(name, value)
  const { origin } = new URL(page.url)
  return browser.send(action, { method: 'POST', body: fields.toString(), headers: { origin, ...headers } })
}
