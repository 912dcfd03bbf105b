// @ts-check
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { accessTokens, need, Refusal } from './access-token.js'
import { page } from './page.js'
import { addTask, changeTask, countTasks, tasksOf } from './tasks.js'

const { ISSUER, HOST = '127.0.0.1', PORT = '4005', STATUS_KEY, TOKEN_TYP = 'at+jwt' } = process.env
const baseUrl = process.env.BASE_URL ?? `http://127.0.0.1:${PORT}`
/** What a token has to be for: this API's own name, which is its address. */
const resource = process.env.RESOURCE ?? baseUrl
const allowedOrigins = new Set((process.env.ALLOWED_ORIGINS ?? '').split(' ').filter(Boolean))
if (!ISSUER) {
  console.error('Tasks needs ISSUER in the environment: see README.md')
  process.exit(1)
}

const callerOf = accessTokens({ issuer: ISSUER, audience: resource, typ: TOKEN_TYP })
const metadataUrl = new URL('/.well-known/oauth-protected-resource', baseUrl).href

/** What came lately: who called what, and how it ended. Never a token, never a person. */
const seen = /** @type {{ at: string, call: string, client: string, answer: string }[]} */ ([])

/**
 * @typedef {{ caller: import('./access-token.js').Caller, id: string, body: () => Promise<Record<string, unknown>> }} Call
 * @typedef {{ status?: number, json: unknown }} Answer
 * @typedef {{ scope: string | undefined, answer: (call: Call) => Answer | undefined | Promise<Answer | undefined> }} Operation
 */

/** The API: what each call needs, and what it does. @type {Record<string, Operation>} */
const operations = {
  'GET /tasks': { scope: 'tasks:read', answer: ({ caller }) => ({ json: tasksOf(caller.sub) }) },
  'POST /tasks': {
    scope: 'tasks:write',
    answer: async ({ caller, body }) => {
      const task = addTask(caller.sub, (await body()).text)
      return task ? { status: 201, json: task } : { status: 422, json: { error: 'text is needed' } }
    },
  },
  'PUT /tasks/:id': {
    scope: 'tasks:write',
    answer: async ({ caller, id, body }) => {
      const task = changeTask(caller.sub, id, (await body()).done)
      return task && { json: task }
    },
  },
  /** For programs that act for themselves. */
  'GET /count': { scope: 'tasks:count', answer: () => ({ json: countTasks() }) },
  /** What the API saw: everything it knows of a caller is in the token. */
  'GET /me': {
    scope: undefined,
    answer: ({ caller: { claims } }) => ({
      json: { checked_at: new Date().toISOString(), asked_the_provider: false, claims },
    }),
  },
}

const scopes = Object.values(operations).flatMap(({ scope }) => scope ?? [])

/** How a client finds out, from a 401 alone, who gives tokens for this API (RFC 9728, section 3.2). */
const metadata = {
  resource,
  resource_name: 'Tasks',
  authorization_servers: [ISSUER],
  scopes_supported: [...new Set(scopes)],
  bearer_methods_supported: ['header'],
}

const server = createServer(async (request, response) => {
  const { method = '', url = '/', headers } = request
  const [pathname = '/'] = url.split('?')
  const origin = headers.origin ?? ''
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.setHeader('Vary', 'Origin')
  // Only the apps that are named may read an answer from a browser. The metadata is for everybody.
  const isMetadata = pathname === new URL(metadataUrl).pathname
  if (isMetadata) response.setHeader('Access-Control-Allow-Origin', '*')
  else if (allowedOrigins.has(origin)) {
    response.setHeader('Access-Control-Allow-Origin', origin)
    response.setHeader('Access-Control-Expose-Headers', 'WWW-Authenticate')
  }
  try {
    if (method === 'OPTIONS') return preflight(response, isMetadata || allowedOrigins.has(origin))
    if (isMetadata) return sendJson(response, 200, metadata)
    if (method === 'GET' && pathname in files) return await sendFile(response, files[pathname] ?? '')
    if (pathname === '/status') return sendJson(response, ...status(headers.authorization))
    await answer(request, response, pathname)
  } catch (error) {
    console.error(error)
    if (!response.headersSent) sendJson(response, 503, { error: 'the provider cannot be reached' })
  }
})
server.listen(Number(PORT), HOST, () => console.log(`Tasks: ${baseUrl}`))

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @param {string} pathname
 */
async function answer(request, response, pathname) {
  const [, first = '', id = ''] = pathname.split('/')
  const path = id ? `/${first}/:id` : `/${first}`
  const allowed = ['GET', 'POST', 'PUT'].filter(method => operations[`${method} ${path}`])
  const operation = operations[`${request.method} ${path}`]
  if (allowed.length === 0) return sendJson(response, 404, { error: 'there is nothing here' })
  if (!operation) {
    response.setHeader('Allow', allowed.join(', '))
    return sendJson(response, 405, { error: `this can only be asked with ${allowed.join(' or ')}` })
  }
  const call = `${request.method} ${path}`
  let client = 'nobody'
  try {
    const caller = await callerOf(request.headers.authorization)
    client = caller.clientId
    if (operation.scope) need(caller, operation.scope)
    const { status = 200, json } = (await operation.answer({
      caller,
      id,
      body: () => readJson(request),
    })) ?? {
      status: 404,
      json: { error: 'there is no such task' },
    }
    note(call, client, String(status))
    sendJson(response, status, json)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { status, error: code, description } = error
    note(call, client, `${status} ${code ?? 'no token'}`)
    if (status !== 422) response.setHeader('WWW-Authenticate', error.challenge(metadataUrl))
    sendJson(response, status, { error: code ?? 'token_needed', error_description: description })
  }
}

/** @param {string} call @param {string} client @param {string} answered */
function note(call, client, answered) {
  const at = new Date().toISOString().slice(11, 19)
  console.log(`${at} ${call}, by ${client}: ${answered}`)
  seen.unshift({ at, call, client, answer: answered })
  seen.length = Math.min(seen.length, 12)
}

/** Everything that was called lately, for who has the key; off without one. @param {string} [authorization] @returns {[number, unknown]} */
function status(authorization) {
  return STATUS_KEY && authorization === `Bearer ${STATUS_KEY}` ? [200, { calls: seen }] : [404, {}]
}

/** @param {import('node:http').ServerResponse} response @param {boolean} isAllowed */
function preflight(response, isAllowed) {
  if (isAllowed) {
    response.setHeader('Access-Control-Allow-Methods', 'GET, POST, PUT')
    response.setHeader('Access-Control-Allow-Headers', 'Authorization, Content-Type')
    response.setHeader('Access-Control-Max-Age', '600')
  }
  response.writeHead(204).end()
}

/** @param {import('node:http').ServerResponse} response @param {number} status @param {unknown} json */
function sendJson(response, status, json) {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(`${JSON.stringify(json)}\n`)
}

/** A page for people who open the address, and what it needs. @type {Record<string, string>} */
const files = { '/': 'text/html', '/style.css': 'text/css', '/icon.svg': 'image/svg+xml' }

/** @param {import('node:http').ServerResponse} response @param {string} type */
async function sendFile(response, type) {
  const name = Object.keys(files).find(one => files[one] === type) ?? ''
  const body =
    type === 'text/html'
      ? page({ resource, issuer: ISSUER ?? '', operations, seen })
      : await readFile(new URL(`public${name}`, import.meta.url))
  response
    .writeHead(200, {
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Security-Policy':
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'Referrer-Policy': 'no-referrer',
    })
    .end(body)
}

/** @param {import('node:http').IncomingMessage} request @returns {Promise<Record<string, unknown>>} */
async function readJson(request) {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > 10_000) throw new Refusal(422, 'invalid_body', 'it is too long')
  }
  try {
    return Object(JSON.parse(text))
  } catch {
    throw new Refusal(422, 'invalid_body', 'it is no JSON')
  }
}
