// @ts-check
import { tour } from './tour.js'

/** @typedef {{ app: import('./server.js').App, status: import('./server.js').Status | undefined }} Seen */

/** @param {import('./server.js').App} app */
export const iconOf = ({ name }) => `/icons/${encodeURIComponent(name)}.svg`

/** @param {unknown} text */
const escaped = text => String(text).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)

/** @param {{ site: { issuer: string, username: string }, seen: Seen[] }} view */
export function page({ site, seen }) {
  const steps = tour.map(
    ([title, text]) => `<li><h3>${title}</h3><p>${withLinks(text, site.issuer, seen)}</p></li>`,
  )
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Lintel: one sign-in, every door</title>
  <link rel="icon" href="/icon.svg">
  <link rel="stylesheet" href="/style.css">
  <script type="module" src="/live.js"></script>
</head>
<body>
  <header class="beam">
    <p class="brand"><img src="/icon.svg" alt="" width="34" height="34"> Lintel</p>
    <p><a href="${escaped(site.issuer)}/account" target="_blank" rel="noreferrer">Your account at ${escaped(new URL(site.issuer).host)}</a></p>
  </header>
  <main>
    <div class="hero">
      <h1>One sign-in, every door</h1>
      <p>These apps are on sites of their own and know nothing of each other. They all ask one provider who you are.
        Your username is <b>${escaped(site.username)}</b>; the password stands in the terminal that runs the demo.</p>
    </div>
    <div id="doors">${doors(seen)}</div>
    <h2 id="tour">The tour, in five steps</h2>
    <ol class="tour" aria-labelledby="tour">${steps.join('')}</ol>
  </main>
  <footer>
    <p>The doors show who is signed in where, as it happens.
      <noscript>Without JavaScript: <a href="/">look again</a>.</noscript></p>
  </footer>
</body>
</html>`
}

/** What changes while one looks. @param {Seen[]} seen */
export function doors(seen) {
  const sids = new Set(seen.flatMap(({ status }) => status?.sessions?.map(({ sid }) => sid) ?? []))
  const open = seen.filter(({ status }) => (status?.sessions?.length ?? 0) > 0).length
  const summary =
    open === 0
      ? 'All doors are closed: nobody is signed in.'
      : `${count(sids.size, 'session')} at the provider, ${count(open, 'open door')}.`
  const parts = {
    doors: seen.filter(({ app }) => ['web', 'spa', 'bff'].includes(app.kind)).map(door),
    apis: seen.filter(({ app }) => app.kind === 'api').map(api),
    commands: seen.filter(({ app }) => app.command).map(command),
  }
  return `
    <p class="summary" role="status">${summary}</p>
    <ul class="doors">${parts.doors.join('')}</ul>
    <div class="rooms">${parts.apis.join('')}
      <section><h2>Terminal</h2><dl class="commands">${parts.commands.join('')}</dl></section>
    </div>`
}

/** @param {number} number @param {string} thing */
const count = (number, thing) => `${number} ${thing}${number === 1 ? '' : 's'}`

/** @param {Seen} seen */
function door({ app, status }) {
  const { name, summary, url = '' } = app
  const sessions = status?.sessions ?? []
  const state = !status
    ? '<p class="state">does not answer</p>'
    : sessions.length === 0
      ? '<p class="state">signed out</p>'
      : sessions.slice(0, 3).map(session).join('')
  return `
    <li class="${sessions.length > 0 ? 'open' : 'closed'}">
      <a href="${escaped(url)}" target="_blank" rel="noreferrer"><img src="${iconOf(app)}" alt="" width="40" height="40">
        <b>${escaped(name)}</b></a>
      <small>${escaped(summary)}</small>
      <div class="who">${state}</div>
    </li>`
}

/** The same session looks the same at every door. @param {{ username: string, sid?: string }} session */
function session({ username, sid = '' }) {
  const hue = [...sid].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 6, 0)
  return `<p class="state hue-${hue}"><b>${escaped(username)}</b> <code title="sid ${escaped(sid)}">${escaped(sid.slice(-6) || 'no sid')}</code></p>`
}

/** @param {Seen} seen */
function api({ app: { name, url = '' }, status }) {
  const rows = (status?.calls ?? []).slice(0, 4).map(
    ({ at, call, client, answer }) =>
      `<tr><td>${escaped(at)}</td><td>${escaped(client)}</td><td><code>${escaped(call)}</code></td>
          <td class="${answer.startsWith('2') ? 'yes' : 'no'}">${escaped(answer)}</td></tr>`,
  )
  return `
    <section>
      <h2><a href="${escaped(url)}" target="_blank" rel="noreferrer">${escaped(name)}</a>, the API, saw</h2>
      ${
        rows.length > 0
          ? `<table><thead><tr><th>UTC</th><th>App</th><th>Call</th><th>Answer</th></tr></thead><tbody>${rows.join('')}</tbody></table>`
          : '<p class="soft">No call yet. Board, Desk and the terminal call it.</p>'
      }
    </section>`
}

/** @param {Seen} seen */
const command = ({ app: { name, summary, command = '' } }) =>
  `<div><dt>${escaped(name)} <small>${escaped(summary)}</small></dt><dd><code>${escaped(command)}</code></dd></div>`

/** @param {string} text @param {string} issuer @param {Seen[]} seen */
function withLinks(text, issuer, seen) {
  return escaped(text).replace(/\{(\w+)\}/g, (_, name) => {
    const url =
      name === 'account' ? `${issuer}/account/sessions` : seen.find(({ app }) => app.name === name)?.app.url
    const words = name === 'account' ? 'your account' : name
    return url ? `<a href="${escaped(url)}" target="_blank" rel="noreferrer">${words}</a>` : words
  })
}
