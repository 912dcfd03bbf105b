// @ts-check

/**
 * @typedef {{ notice?: string, error?: unknown }} Told
 * @typedef {{ issuer: string, apiUrl: string, tryNext?: string }} Site
 */

/** @param {unknown} text */
const escaped = text => String(text).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)

/** @param {Told & { site: Site, signedIn?: import('./provider.js').SignedIn }} view */
export function page({ site, signedIn, notice, error }) {
  const provider = escaped(new URL(site.issuer).host)
  const username = signedIn && escaped(signedIn.username)
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Desk</title>
  <link rel="icon" href="/icon.svg">
  <link rel="stylesheet" href="/style.css">
  ${signedIn ? '<script type="module" src="/desk.js"></script>' : ''}
</head>
<body>
  <header>
    <a class="brand" href="/"><img src="/icon.svg" alt="" width="30" height="30"> Desk</a>
    ${
      signedIn
        ? `<span class="who" data-user="${username}">${username}</span>
          <form method="post" action="/sign-out"><button class="quiet" data-action="sign-out">Sign out</button></form>`
        : ''
    }
  </header>
  <main>
    ${notice === undefined ? '' : `<p class="notice" role="status">${escaped(notice)}</p>`}
    ${error === undefined ? '' : refusal(error)}
    ${signedIn ? desk(site, signedIn) : welcome(provider)}
  </main>
  <footer>
    ${site.tryNext ? `<p>Try single sign-on: <a href="${escaped(site.tryNext)}">open ${escaped(new URL(site.tryNext).host)}</a></p>` : ''}
    <p>A sample app: a page with a server behind it that keeps the tokens to itself.</p>
  </footer>
</body>
</html>`
}

/** @param {unknown} error */
function refusal(error) {
  const { error: code, message } = Object(error)
  const text =
    code === 'access_denied'
      ? 'You said no, and Desk was told nothing about you.'
      : `Signing in did not work: ${message}`
  const hook = typeof code === 'string' ? ` data-error="${escaped(code)}"` : ''
  return `<p class="notice" role="alert"${hook}>${escaped(text)}</p>`
}

/** @param {string} provider */
const welcome = provider => `
  <section class="hero">
    <h1>Today, on one desk.</h1>
    <p class="lead">You sign in at <b>${provider}</b>. Desk’s server gets the tokens and keeps them; the page in your
      browser gets a cookie that no script can read, and asks Desk’s server for everything.</p>
    <p><a class="button" href="/login" data-action="sign-in">Sign in</a></p>
    <ol class="way" aria-label="The way of a call">
      <li><b>The page</b><span>a cookie and a header</span></li>
      <li><b>Desk’s server</b><span>puts the token on it</span></li>
      <li><b>The API</b><span>checks the token</span></li>
    </ol>
  </section>`

/** @param {Site} site @param {import('./provider.js').SignedIn} signedIn */
function desk({ apiUrl }, { sid, refreshToken, accessTokenEndsAt }) {
  return `
  <h1>Today</h1>
  <form class="new" hidden>
    <label class="hidden" for="text">A new task</label>
    <input id="text" required maxlength="140" autocomplete="off" placeholder="Something to do">
    <button>Add</button>
  </form>
  <ul class="tasks" aria-busy="true"><li class="soft">Fetching your tasks…</li></ul>
  <noscript><p class="notice">The tasks need JavaScript: the page fetches them from Desk’s server.</p></noscript>
  <section class="scenes">
    <h2>Who holds what</h2>
    <div class="sides">
      <section>
        <h3>This page</h3>
        <dl>
          <div><dt>Cookies a script can read</dt><dd><code data-cookies>?</code></dd></div>
          <div><dt>localStorage, sessionStorage</dt><dd><code data-storage>?</code></dd></div>
          <div><dt>Tokens</dt><dd>none: there is nothing here to steal</dd></div>
        </dl>
      </section>
      <section>
        <h3>Desk’s server</h3>
        <dl>
          <div><dt>Session at the provider</dt><dd><code class="sid">${escaped(sid ?? 'not told')}</code></dd></div>
          <div><dt>Access token</dt><dd>for <code>${escaped(apiUrl)}</code>, good until ${new Date(accessTokenEndsAt).toISOString().slice(11, 16)} UTC</dd></div>
          <div><dt>Refresh token</dt><dd>${refreshToken ? 'used by itself when the access token ends' : 'none'}</dd></div>
        </dl>
      </section>
    </div>
    <p class="actions" hidden>
      <button class="quiet" data-call="/api/me">Ask the API who I am</button>
      <button class="quiet" data-call="/api/count">Ask for too much</button>
      <button class="quiet" data-call="/api/tasks" data-bare>Call without the header</button>
    </p>
    <pre class="answer" role="status"></pre>
  </section>`
}
