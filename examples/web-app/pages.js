// @ts-check
import { html } from './html.js'
import { behindTheScenes } from './token-view.js'

/**
 * @typedef {{ issuer: string, baseUrl: string, tryNext?: string, cookieName: string }} Site
 * @typedef {'refused' | 'unknown-attempt' | 'other-provider' | 'broken'} Trouble
 */

/** @param {{ site: Site, notice?: string }} page */
export function welcomePage({ site, notice }) {
  const provider = new URL(site.issuer).host
  return layout({
    site,
    title: 'Notes',
    body: html`
      ${note(notice)}
      <section class="welcome">
        <div class="stack" aria-hidden="true"><p>one password</p><p>many doors</p><p>water the ficus</p></div>
        <h1>Small thoughts,<br>kept for you.</h1>
        <p class="lead">Notes has no passwords of its own. You sign in at <b>${provider}</b>, once, for every app.</p>
        <p class="actions">
          <a class="button" href="/login" data-action="sign-in">Sign in</a>
          <a href="/login?silent">Am I signed in already?</a>
        </p>
        <ol class="steps">
          <li><b>You go to ${provider}</b> with a request that carries <code>state</code>, <code>nonce</code> and
            a PKCE challenge.</li>
          <li><b>You come back with a code.</b> It is good for once and for a minute, and only Notes can use it.</li>
          <li><b>Notes trades it for tokens,</b> server to server, and checks the signature. Then it shows them.</li>
        </ol>
      </section>`,
  })
}

/**
 * @param {{
 *   site: Site, notice?: string,
 *   signedIn: import('./sessions.js').SignedIn, notes: import('./notebook.js').Note[]
 * }} page
 */
export function notesPage({ site, notice, signedIn, notes }) {
  const { claims } = signedIn
  const username = claims.preferred_username ?? claims.email ?? claims.sub
  return layout({
    site,
    title: 'My notes – Notes',
    account: html`
      <p class="who"><span>Signed in as</span> <b data-user="${username}">${username}</b></p>
      <form method="post" action="/sign-out"><button class="quiet" data-action="sign-out">Sign out</button></form>`,
    body: html`
      ${note(notice)}
      <h1>${claims.given_name ?? claims.name ?? username}’s notes</h1>
      <form class="new-note" method="post" action="/notes">
        <label class="hidden" for="text">A new note</label>
        <input id="text" name="text" maxlength="280" required autocomplete="off" placeholder="Write a note">
        <button>Keep it</button>
      </form>
      <ul class="notes">
        ${notes.map(
          ({ id, text }) => html`
            <li>
              <p>${text}</p>
              <form method="post" action="/notes/remove">
                <button class="quiet" name="id" value="${id}" aria-label="Remove this note: ${text}">Remove</button>
              </form>
            </li>`,
        )}
      </ul>
      ${notes.length === 0 && html`<p class="empty">No notes. The first one is yours to write.</p>`}
      ${behindTheScenes({ site, signedIn })}`,
  })
}

/** @param {{ site: Site, kind: Trouble, error?: unknown }} page */
export function errorPage({ site, kind, error }) {
  const { heading, advice } = explanation(kind, codeOf(error), new URL(site.issuer).host)
  return layout({
    site,
    title: `Error: ${heading} – Notes`,
    body: html`
      <section class="trouble">
        <h1>${heading}</h1>
        <p class="lead">${advice}</p>
        ${details(kind, error)}
        <p class="actions">
          <a class="button" href="${site.baseUrl}/login" data-action="sign-in">Try again</a>
          <a href="${site.baseUrl}/">To the first page</a>
        </p>
      </section>`,
  })
}

/**
 * @param {Trouble} kind
 * @param {string | undefined} code
 * @param {string} provider
 */
function explanation(kind, code, provider) {
  if (kind === 'unknown-attempt') {
    return {
      heading: 'This sign-in did not begin here',
      advice:
        'Perhaps it was finished before, or took too long, or began at another address. Nothing has happened to you; just begin again.',
    }
  }
  if (kind === 'other-provider') {
    return {
      heading: 'That is not our provider',
      advice: `Somebody sent you here to sign in at another place than ${provider}. Notes does not know it.`,
    }
  }
  if (kind === 'broken') {
    return {
      heading: `${provider} does not answer as it should`,
      advice: 'Notes cannot sign anybody in or out without it. Please try again in a moment.',
    }
  }
  if (code === 'access_denied') {
    return {
      heading: 'You said no, and that is fine',
      advice: 'Notes was told nothing about you. Should you change your mind, sign in again and allow it.',
    }
  }
  if (code === 'temporarily_unavailable' || code === 'server_error') {
    return {
      heading: `${provider} has a problem`,
      advice: 'It says so itself. Please try again in a moment.',
    }
  }
  return { heading: 'Signing in did not work', advice: `${provider} sent you back without signing you in.` }
}

/** For whoever has to mend it. @param {Trouble} kind @param {unknown} error */
function details(kind, error) {
  const code = codeOf(error)
  if (code) {
    const { error_description: description } = /** @type {{ error_description?: string }} */ (error)
    return html`<p class="details"><code data-error="${code}">${code}</code> ${description}</p>`
  }
  return kind === 'refused' && error instanceof Error && html`<p class="details">${error.message}</p>`
}

/** What OAuth calls it, where the provider said so. @param {unknown} error @returns {string | undefined} */
function codeOf(error) {
  const code = /** @type {{ error?: unknown } | undefined} */ (error)?.error
  return typeof code === 'string' ? code : undefined
}

/** @param {string | undefined} text */
const note = text => text && html`<p class="notice" role="status">${text}</p>`

/** @param {{ site: Site, title: string, body: unknown, account?: unknown }} page */
function layout({ site, title, body, account }) {
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${title}</title>
  <link rel="icon" href="/icon.svg">
  <link rel="stylesheet" href="/style.css">
  <script type="module" src="/countdown.js"></script>
</head>
<body data-now="${Math.floor(Date.now() / 1000)}">
  <header>
    <a class="brand" href="/"><img src="/icon.svg" alt="" width="28" height="28"> Notes</a>
    ${account}
  </header>
  <main>${body}</main>
  <footer>
    ${site.tryNext && html`<p>Try single sign-on: <a href="${site.tryNext}">open ${new URL(site.tryNext).host}</a></p>`}
    <p>A sample app. It shows its tokens so that you can see what happens; a real app never does.</p>
  </footer>
</body>
</html>`.text
}
