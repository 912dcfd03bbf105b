// @ts-check
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'

const minutes = 5

/**
 * Listens on a free port of 127.0.0.1, until the browser comes back with this `state`. The address and not
 * the name `localhost`: who listens at a name is for others to decide (RFC 8252, section 8.3).
 * @param {string} state
 * @returns {Promise<{ redirectUri: string, answer: Promise<URL> }>}
 */
export async function waitForAnswer(state) {
  const server = createServer()
  await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(undefined))
  })
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  const redirectUri = `http://127.0.0.1:${port}/callback`
  const answer = new Promise((resolve, reject) => {
    const tooLong = setTimeout(() => {
      server.close()
      server.closeAllConnections()
      reject(new Error(`nobody signed in within ${minutes} minutes`))
    }, minutes * 60_000)
    server.on('request', (request, response) => {
      const url = request.url?.startsWith('/callback?') ? new URL(request.url, redirectUri) : undefined
      // Any page in the browser can call this port. Only who knows the state is the provider's answer.
      if (request.method !== 'GET' || url?.searchParams.get('state') !== state) {
        response.writeHead(404, { 'Content-Type': 'text/plain' }).end('There is nothing here.\n')
        return
      }
      const isRefused = url.searchParams.has('error')
      response
        .writeHead(200, {
          'Content-Type': 'text/html; charset=utf-8',
          'Content-Security-Policy':
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
          'Cache-Control': 'no-store',
          'Referrer-Policy': 'no-referrer',
          Connection: 'close', // or the command would wait for the browser to let go
        })
        .end(page(isRefused ? 'Not signed in' : 'You are signed in'))
      resolve(url)
      clearTimeout(tooLong)
      server.close()
      server.closeIdleConnections() // browsers open one more than they need
    })
  })
  return { redirectUri, answer }
}

/** Tries to; the address is printed anyway. NO_BROWSER keeps it from trying. @param {string} url */
export function openInBrowser(url) {
  if (process.env.NO_BROWSER || !process.stderr.isTTY) return
  const command = { darwin: 'open', win32: 'explorer' }[String(process.platform)] ?? 'xdg-open'
  spawn(command, [url], { stdio: 'ignore', detached: true })
    .on('error', () => {}) // there is none: a server, a container
    .unref()
}

/** @param {string} heading */
const page = heading => `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${heading} – terminal</title>
  <link rel="icon" href="data:,">
  <style>
    :root { color-scheme: light dark }
    body { display: grid; place-items: center; min-height: 100vh; margin: 0; padding: 1.25rem; box-sizing: border-box;
      background: light-dark(#eef1f4, #101418); color: light-dark(#1a222a, #e4ebf1);
      font: 1.05rem/1.6 ui-monospace, "DejaVu Sans Mono", monospace }
    main { border: 1px solid light-dark(#c9d2da, #33404c); border-radius: .9rem; background: light-dark(#fff, #161c22);
      padding: 1rem 1.75rem 1.25rem }
    h1 { margin: .5rem 0 .25rem; font-size: 1.35rem }
    h1::before { content: "$ "; color: light-dark(#11704a, #6fd3a0) }
    p { margin: 0; color: light-dark(#55626e, #a9b7c4) }
  </style>
</head>
<body><main><h1>${heading}</h1><p>Go on in the terminal. You can close this page.</p></main></body>
</html>`
