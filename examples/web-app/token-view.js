// @ts-check
import { html } from './html.js'

/** What each claim means, in a few words. */
const meanings = /** @type {Record<string, string>} */ ({
  typ: 'what kind of token this is',
  alg: 'how it is signed',
  kid: 'which of the provider’s keys signed it',
  iss: 'who made it: the provider',
  sub: 'who you are, for ever; the only safe key for your data',
  aud: 'whom it is for; nobody else may accept it',
  azp: 'which app asked for it',
  client_id: 'which app asked for it',
  iat: 'when it was made',
  nbf: 'not good before',
  exp: 'good until',
  auth_time: 'when you last proved who you are',
  sid: 'your session at the provider',
  nonce: 'made for this very sign-in, so it cannot be replayed',
  at_hash: 'ties the access token to this ID token',
  c_hash: 'ties the code to this ID token',
  acr: 'how sure the provider is that it is you',
  amr: 'how you proved it',
  jti: 'the number of this token',
  scope: 'what the token allows',
  cnf: 'the key that must be shown along with it',
  name: 'your name',
  given_name: 'your given name',
  family_name: 'your family name',
  preferred_username: 'the name you sign in with',
  email: 'your e-mail address',
  email_verified: 'whether the provider has checked it',
  picture: 'your picture',
  locale: 'your language',
  updated_at: 'when your profile last changed',
  groups: 'the groups you are in',
})

const times = new Set(['iat', 'nbf', 'exp', 'auth_time', 'updated_at'])

/** @param {{ site: import('./pages.js').Site, signedIn: import('./sessions.js').SignedIn }} view */
export function behindTheScenes({ site, signedIn }) {
  const { idToken, accessToken, refreshToken, sid } = signedIn
  return html`
    <section class="scenes" aria-labelledby="scenes">
      <h2 id="scenes">Behind the scenes</h2>
      <dl class="facts">
        <div><dt>Session at the provider <code>sid</code></dt>
          <dd><code class="sid">${sid ?? 'not told'}</code> Compare it with another app in this browser: one session, many apps.</dd></div>
        <div><dt>Session at Notes</dt>
          <dd>The cookie <code>${site.cookieName}</code>, for this host alone. It ends with the one above.</dd></div>
        <div><dt>Refresh token</dt>
          <dd>${
            refreshToken
              ? html`Kept on the server, never shown.
                  <form method="post" action="/renew"><button class="small">Renew the tokens</button></form>`
              : 'The provider gave none.'
          }</dd></div>
      </dl>
      ${tokenCard({ name: 'ID token', purpose: 'says to Notes who you are', token: idToken, open: true })}
      ${tokenCard({ name: 'Access token', purpose: 'opens the provider’s APIs; Notes only carries it', token: accessToken })}
    </section>`
}

/** @param {{ name: string, purpose: string, token: string, open?: boolean }} card */
function tokenCard({ name, purpose, token, open }) {
  const decoded = decode(token)
  return html`
    <details class="token"${open && html` open`}>
      <summary><b>${name}</b> <span>${purpose}</span> ${decoded && timeLeft(decoded.payload.exp)}</summary>
      ${
        decoded
          ? html`
            <p class="raw"><code><span class="header">${decoded.raw.header}</span>.<span
              class="payload">${decoded.raw.payload}</span>.<span class="signature">${decoded.raw.signature}</span></code></p>
            <h3 class="header">Header <small>how to check it</small></h3>
            ${claimList(decoded.header)}
            <h3 class="payload">Payload <small>what it says: the claims</small></h3>
            ${claimList(decoded.payload)}
            <h3 class="signature">Signature <small>why to believe it</small></h3>
            <p>${Buffer.from(decoded.raw.signature, 'base64url').length} bytes that only the provider can make, over
              header and payload as they stand. Anybody can read a token; nobody can change one unnoticed.</p>`
          : html`
            <p class="raw"><code>${token}</code></p>
            <p>Not a JWT but a reference: only the provider can say what it means.</p>`
      }
    </details>`
}

/** @param {Record<string, unknown>} claims */
function claimList(claims) {
  return html`<dl class="claims">
    ${Object.entries(claims).map(
      ([name, value]) => html`
        <div>
          <dt><code>${name}</code> <small>${meanings[name]}</small></dt>
          <dd><code>${typeof value === 'string' ? value : JSON.stringify(value)}</code>
            ${times.has(name) && html` <small>${clockTime(value)}</small>`}
            ${name === 'exp' && timeLeft(value)}</dd>
        </div>`,
    )}
  </dl>`
}

/** @param {unknown} exp seconds */
function timeLeft(exp) {
  if (typeof exp !== 'number') return undefined
  const seconds = exp - Math.floor(Date.now() / 1000)
  const text = seconds > 0 ? `${Math.ceil(seconds / 60)} min left` : 'expired'
  return html`<time data-until="${exp}" datetime="${new Date(exp * 1000).toISOString()}">${text}</time>`
}

/** @param {unknown} seconds */
const clockTime = seconds =>
  `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** Reads a JWT without checking it: for showing only. Undefined when it is none. @param {string} token */
function decode(token) {
  const [header, payload, signature, ...more] = token.split('.')
  if (!header || !payload || !signature || more.length > 0) return undefined
  try {
    return { raw: { header, payload, signature }, header: parsePart(header), payload: parsePart(payload) }
  } catch {
    return undefined
  }
}

/** @param {string} part */
const parsePart = part => JSON.parse(Buffer.from(part, 'base64url').toString())
