/** A small browser: cookies, redirects within the issuer, forms. A real one stands in test/browser. */
import { Agent, type Dispatcher, request } from 'undici'

export type Answer = {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
  /** The address it came from. */
  url: string
  /** Where a redirect leads, or undefined. */
  location: string | undefined
}

type Sent = { method?: string; body?: string; headers?: Record<string, string> }

const agent = new Agent({ keepAliveTimeout: 1000, connections: 64 })

const attribute = (tag: string, name: string): string | undefined => {
  const match = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)
  return match?.[1]
    ?.replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}

/** A page or a header without the nonce of its scripts, to compare one answer with another. */
export const withoutNonce = (text: string): string => text.replace(/nonce(="|-)[\w-]{24}/g, 'nonce')

/** Name and value of a Set-Cookie line. */
export const cookieIn = (line: string): [name: string, value: string] => {
  const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
  return [name, value]
}

/** The first form of a page that has an input or button of this name. */
export const formOn = (page: Answer, name?: string): { action: string; fields: URLSearchParams } => {
  const forms = page.body.match(/<form[\s\S]*?<\/form>/g) ?? []
  const form = name === undefined ? forms[0] : forms.find(one => one.includes(`name="${name}"`))
  if (!form)
    throw new Error(
      `no form${name ? ` with ${name}` : ''} on ${page.url} (${page.status}):\n${page.body.slice(0, 2000)}`,
    )
  const fields = new URLSearchParams()
  for (const tag of form.match(/<input[^>]*type="hidden"[^>]*>/g) ?? [])
    fields.append(attribute(tag, 'name') ?? '', attribute(tag, 'value') ?? '')
  return { action: new URL(attribute(form, 'action') ?? '', page.url).href, fields }
}

export class Browser {
  readonly cookies = new Map<string, string>()
  /** Every Set-Cookie line that came. */
  readonly setCookies: string[] = []
  readonly #issuer: string
  readonly #origin: string
  readonly #dispatcher: Dispatcher

  /** `dispatcher` is how it connects: to a proxy with https, for one. */
  constructor(issuer: string, origin: string, dispatcher: Dispatcher = agent) {
    this.#issuer = issuer
    this.#origin = origin
    this.#dispatcher = dispatcher
  }

  /** Sends one request to the issuer, `/token` being under its path, and follows nothing. */
  async send(address: string, { method = 'GET', body, headers = {} }: Sent = {}): Promise<Answer> {
    const url = new URL(address.startsWith('/') ? this.#issuer + address : address, `${this.#issuer}/`)
    const issuer = new URL(this.#issuer)
    if (url.origin !== issuer.origin) throw new Error(`${url.href} is not at the issuer`)
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await request(this.#origin + url.pathname + url.search, {
      dispatcher: this.#dispatcher,
      method: method as 'GET',
      headers: {
        host: issuer.host,
        accept: 'text/html',
        ...(cookie ? { cookie } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
    })
    const lines = [answer.headers['set-cookie'] ?? []].flat()
    for (const line of lines) {
      this.setCookies.push(line)
      this.cookies.set(...cookieIn(line))
    }
    const { location } = answer.headers
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: await answer.body.text(),
      url: url.href,
      location: typeof location === 'string' ? location : undefined,
    }
  }

  /** Follows redirects as long as they stay at the issuer. */
  async follow(answer: Answer): Promise<Answer> {
    let last = answer
    for (let hops = 0; hops < 10 && last.location !== undefined; hops++) {
      const next = new URL(last.location, last.url)
      if (next.origin !== new URL(this.#issuer).origin) return last
      last = await this.send(next.href)
    }
    return last
  }

  async open(address: string): Promise<Answer> {
    return this.follow(await this.send(address))
  }

  /** Sends a form of a page as its button would, and follows. */
  async submit(
    page: Answer,
    values: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const { action, fields } = formOn(page, Object.keys(values)[0])
    for (const [name, value] of Object.entries(values)) fields.set(name, value)
    const origin = new URL(this.#issuer).origin
    return this.follow(
      await this.send(action, { method: 'POST', body: fields.toString(), headers: { origin, ...headers } }),
    )
  }
}
