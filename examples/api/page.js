// @ts-check

/** @param {unknown} text */
const escaped = text => String(text).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)

/**
 * What somebody sees who opens the API's address: what it is, what it wants, what it saw.
 * @param {{
 *   resource: string, issuer: string,
 *   operations: Record<string, { scope: string | undefined }>,
 *   seen: { at: string, call: string, client: string, answer: string }[],
 * }} view
 */
export function page({ resource, issuer, operations, seen }) {
  const rows = Object.entries(operations).map(
    ([call, { scope }]) =>
      `<tr><td><code>${call}</code></td><td>${
        scope ? `<code>${scope}</code>` : 'any token for this API'
      }</td></tr>`,
  )
  const calls = seen.map(
    ({ at, call, client, answer }) =>
      `<tr><td>${at}</td><td><code>${escaped(call)}</code></td><td>${escaped(client)}</td>
        <td class="${answer.startsWith('2') ? 'yes' : 'no'}">${escaped(answer)}</td></tr>`,
  )
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Tasks – an API</title>
  <link rel="icon" href="/icon.svg">
  <link rel="stylesheet" href="/style.css">
</head>
<body>
  <main>
    <p class="brand"><img src="/icon.svg" alt="" width="30" height="30"> Tasks</p>
    <h1>An API, for programs</h1>
    <p class="lead">There is nothing to sign in to here. Programs come with an access token from
      <b>${escaped(new URL(issuer).host)}</b>, and the API checks each one by itself, with the provider’s public keys:
      who made it, whom it is for, until when, and what it allows.</p>
    <pre><code>$ curl -i ${escaped(resource)}/tasks
<b>HTTP/1.1 401 Unauthorized</b>
WWW-Authenticate: Bearer resource_metadata="${escaped(resource)}/.well-known/oauth-protected-resource"</code></pre>
    <div class="sheets">
      <section>
        <h2>What it offers</h2>
        <table><thead><tr><th>Call</th><th>Needs</th></tr></thead><tbody>${rows.join('')}</tbody></table>
        <p>A client that knows only the address finds the rest in the
          <a href="/.well-known/oauth-protected-resource">protected resource metadata</a>.</p>
      </section>
      <section>
        <h2>What it saw</h2>
        ${
          calls.length > 0
            ? `<table class="seen"><thead><tr><th>UTC</th><th>Call</th><th>By</th><th>Answer</th></tr></thead><tbody>${calls.join('')}</tbody></table>`
            : '<p>Nobody has called yet.</p>'
        }
        <p><a href="/">Look again</a></p>
      </section>
    </div>
  </main>
</body>
</html>`
}
