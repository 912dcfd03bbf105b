// @ts-check
import { escaped } from './pages.js'

/** @type {Record<string, string>} */
const meanings = {
  typ: 'kind of token',
  alg: 'signature algorithm',
  kid: 'key of the provider',
  iss: 'made by',
  sub: 'about whom: your id, for ever',
  aud: 'made for',
  azp: 'asked for by',
  client_id: 'asked for by',
  iat: 'made at',
  nbf: 'good from',
  exp: 'good until',
  auth_time: 'when you signed in',
  sid: 'session at the provider',
  nonce: 'ties it to this sign-in',
  at_hash: 'ties the access token to it',
  acr: 'how sure it is you',
  amr: 'how you signed in',
  jti: 'number of this token',
  scope: 'allows',
  name: 'your name',
  given_name: 'your given name',
  family_name: 'your family name',
  preferred_username: 'your username',
  email: 'your e-mail address',
  email_verified: 'checked by the provider',
  picture: 'your picture',
  locale: 'your language',
  groups: 'your groups',
  updated_at: 'profile changed at',
}

const instants = ['iat', 'nbf', 'exp', 'auth_time', 'updated_at']

/** @param {import('./provider.js').Customer} customer */
export function tokenPanel({ sid, idToken, accessToken }) {
  return `
    <section class="panel">
      <h2>What the shop got from the provider</h2>
      <p class="sid-card">Your session there is <code class="sid">${escaped(sid ?? 'not told')}</code>
        <small>Compare it with another app in this browser: one session, many apps. When it ends anywhere,
        the provider tells the shop, and the shop forgets you.</small></p>
      ${ticket('ID token', 'Who you are. Meant for the shop, which has checked it.', idToken, true)}
      ${ticket('Access token', 'A key to UserInfo, where the shop asked for your name and e-mail address.', accessToken, false)}
    </section>`
}

/** @param {string} name @param {string} purpose @param {string} token @param {boolean} open */
function ticket(name, purpose, token, open) {
  const [header, payload, signature] = token.split('.')
  const isJwt = header && payload && signature
  const until = isJwt ? part(payload).exp : undefined
  return `
    <details class="ticket"${open ? ' open' : ''}>
      <summary><b>${name}</b> ${countdown(until)}<small>${purpose}</small></summary>
      ${
        isJwt
          ? `<div class="parts">
              <section class="header"><h3>Header</h3><p class="raw"><code>${escaped(header)}</code></p>${claims(part(header))}</section>
              <section class="payload"><h3>Payload</h3><p class="raw"><code>${escaped(payload)}</code></p>${claims(part(payload))}</section>
              <section class="signature"><h3>Signature</h3><p class="raw"><code>${escaped(signature)}</code></p>
                <p>Made with the provider’s private key over the two parts above. Its public keys are at its
                <code>jwks_uri</code>, so anybody can check this and nobody else can make it.</p></section>
            </div>`
          : `<p class="raw"><code>${escaped(token)}</code></p><p>No JWT: only the provider can read it.</p>`
      }
    </details>`
}

/** @param {Record<string, unknown>} values */
function claims(values) {
  const rows = Object.entries(values).map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    const instant = instants.includes(name)
      ? new Date(Number(value) * 1000).toISOString().replace('.000Z', 'Z')
      : ''
    return `
      <div><dt><code>${escaped(name)}</code> <small>${meanings[name] ?? ''}</small></dt>
        <dd><code>${escaped(text)}</code> <small>${instant}</small></dd></div>`
  })
  return `<dl>${rows.join('')}</dl>`
}

/** @param {unknown} until */
function countdown(until) {
  if (typeof until !== 'number') return ''
  const minutes = Math.ceil(until / 60 - Date.now() / 60_000)
  return `<time data-until="${until}">${minutes > 0 ? `${minutes} min left` : 'expired'}</time>`
}

/** Decodes one part of a token, without checking anything. @param {string} text */
function part(text) {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString())
  } catch {
    return {}
  }
}
