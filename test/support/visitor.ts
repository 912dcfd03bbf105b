/** A browser as an app sees it: keeps the app's cookies, follows nothing. Whoever answers, a handler or a server. */
export type Visitor = (url: string | URL, init?: RequestInit) => Promise<Response>

export const visitor = (answer: (request: Request) => Promise<Response>): Visitor => {
  const cookies = new Map<string, string>()
  return async (url, init = {}) => {
    const request = new Request(url, { ...init, redirect: 'manual' })
    request.headers.set('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '))
    const answered = await answer(request)
    for (const line of answered.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '' || /;\s*max-age=0/i.test(line)) cookies.delete(name)
      else cookies.set(name, value)
    }
    return answered
  }
}

/** A form, as `fetch` sends it. */
export const posted = (fields: Record<string, string>): RequestInit => ({
  method: 'POST',
  body: new URLSearchParams(fields),
})
