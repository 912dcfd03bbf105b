/** A browser that asks for a code: follows redirects, keeps cookies, fills in the sign-in form where a server shows one. */
import { type Answer, type Connection, header } from './connection.ts'

export type Person = { username: string; password: string }

type Cookie = { value: string; path: string }

export class BrowserJar {
  readonly #cookies = new Map<string, Cookie>()

  keep(answer: Answer) {
    for (const [, name = '', value = '', attributes = ''] of answer.head.matchAll(
      /\r\nset-cookie: *([^=]+)=([^;\r]*)([^\r]*)/gi,
    )) {
      const path = /; *path=([^;]+)/i.exec(attributes)?.[1] ?? '/'
      if (value === '' || /max-age=0|expires=[^;]*1970/i.test(attributes))
        this.#cookies.delete(`${path} ${name}`)
      else this.#cookies.set(`${path} ${name}`, { value: `${name}=${value}`, path })
    }
  }

  /** The Cookie header for a path, or nothing. */
  header(path: string) {
    const fitting = [...this.#cookies.values()]
      .filter(cookie => path.startsWith(cookie.path))
      .map(({ value }) => value)
    return fitting.length === 0 ? '' : `Cookie: ${fitting.join('; ')}\r\n`
  }
}

/** Goes from an authorization request to the redirect that carries the code, through whatever pages the server puts between. */
export async function signIn(
  connection: Connection,
  jar: BrowserJar,
  { path, issuer, person }: { path: string; issuer: string; person: Person | undefined },
) {
  let at = path
  let answer = await connection.get(at, jar.header(at))
  for (let step = 0; step < 12; step++) {
    jar.keep(answer)
    if (answer.status >= 400) break
    const location = header(answer, 'location')
    if (location) {
      if (new URL(location, issuer).origin !== new URL(issuer).origin) return codeIn(location)
      at = pathOf(new URL(location, issuer))
      answer = await connection.get(at, jar.header(at))
    } else {
      const form = person && findForm(answer.body, person)
      if (!form) throw new Error(`no way on from ${at}: ${answer.status} ${answer.body.slice(0, 300)}`)
      at = pathOf(new URL(form.action, issuer + at))
      const headers = `Origin: ${new URL(issuer).origin}\r\nSec-Fetch-Site: same-origin\r\n`
      answer = await connection.post(at, form.body, headers + jar.header(at))
    }
  }
  throw new Error(`no code after ${at}: ${answer.status} ${answer.body.slice(0, 300)}`)
}

export function codeIn(location: string | undefined) {
  const code = location && /[?&]code=([^&]+)/.exec(location)?.[1]
  if (!code) throw new Error(`no code in ${location}`)
  return code
}

function pathOf(url: URL) {
  return url.pathname + url.search
}

/** The form with a user name or a password to type, filled in and sent by its first button; hidden inputs keep their values. */
function findForm(html: string, person: Person) {
  const typed: Record<string, string> = { username: person.username, password: person.password }
  for (const [, attributes = '', content = ''] of html.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gis)) {
    const inputs = [...content.matchAll(/<input\b[^>]*>/gi)].map(([tag]) => describe(tag))
    if (!inputs.some(({ name, type }) => name in typed && type !== 'hidden')) continue
    const [button] = [...content.matchAll(/<button\b[^>]*>/gi)].map(([tag]) => describe(tag)).filter(isSubmit)
    const body = new URLSearchParams()
    for (const { name, type, value } of inputs) {
      if (type === 'hidden') body.append(name, value)
      else if (typed[name] !== undefined) body.append(name, typed[name])
    }
    if (button?.name) body.append(button.name, button.value)
    return { action: attribute(attributes, 'action'), body: body.toString() }
  }
  return undefined
}

function describe(tag: string) {
  return { type: attribute(tag, 'type'), name: attribute(tag, 'name'), value: attribute(tag, 'value') }
}

function isSubmit({ type }: { type: string }) {
  return type === '' || type === 'submit'
}

function attribute(tag: string, name: string) {
  const value = new RegExp(`\\s${name}=(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i').exec(` ${tag}`)
  const named: Record<string, string> = { amp: '&', quot: '"', lt: '<', gt: '>', '#39': "'", '#x27': "'" }
  return (value?.[1] ?? value?.[2] ?? value?.[3] ?? '').replace(
    /&(\w+|#\w+);/g,
    (whole, entity: string) => named[entity] ?? whole,
  )
}
