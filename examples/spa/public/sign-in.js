// @ts-check
/** @type {typeof import('oidc-client-ts')} */
const oidc = Reflect.get(globalThis, 'oidc')

const { issuer = '', clientId = '', apiUrl = '' } = document.body.dataset

/**
 * Tokens live in this page's memory, and nowhere else: what is in localStorage or sessionStorage any script
 * of this origin can read, later as well, and a copied tab would take a rotating refresh token along, which
 * the provider must take for theft. A reload forgets them, and asks the provider again (see `begin`).
 */
const memory = new oidc.WebStorageStateStore({ store: new oidc.InMemoryWebStorage() })

const manager = new oidc.UserManager({
  authority: issuer,
  client_id: clientId,
  redirect_uri: `${location.origin}/callback`,
  post_logout_redirect_uri: `${location.origin}/signed-out`,
  scope: 'openid profile tasks:read tasks:write',
  resource: apiUrl, // the access token is for the API alone (RFC 8707)
  redirectMethod: 'replace', // going back leads to where one was before, not into a sign-in again
  userStore: memory,
  // From leaving to coming back, state and code_verifier have to be kept somewhere: in this tab, then gone.
  stateStore: new oidc.WebStorageStateStore({ store: sessionStorage }),
  automaticSilentRenew: false, // done below, so that a session's end and a lost network are told apart
})

/** No token: only that somebody was signed in in this tab, so that a reload asks again. */
const wasSignedIn = 'board-was-signed-in'

/** @typedef {import('oidc-client-ts').User} User */
/** @typedef {{ user?: User, notice?: string, error?: unknown }} Start */

/**
 * What this page begins with: coming back from the provider, a reload, or nothing yet. Undefined while the
 * browser is being sent to the provider.
 * @returns {Promise<Start | undefined>}
 */
export async function begin() {
  const isBack = new URLSearchParams(location.search).has('state')
  const { pathname } = location
  if (isBack && pathname === '/callback') return finish()
  if (isBack && pathname === '/signed-out') {
    const isOurs = await manager.signoutRedirectCallback().then(
      () => true,
      () => false,
    )
    history.replaceState(null, '', '/')
    return isOurs
      ? { notice: 'You are signed out: here, at the provider and in every app that listens to it.' }
      : {}
  }
  if (pathname !== '/') history.replaceState(null, '', '/')
  if (sessionStorage.getItem(wasSignedIn) === null) return {}
  // A reload. The whole page goes to the provider and back, with nothing shown: a hidden frame would get no
  // cookie there, for browsers keep sites apart, and this way a session that has ended shows at once.
  await manager.signinRedirect({ prompt: 'none', state: { silent: true } })
  return undefined
}

/** @returns {Promise<Start>} */
async function finish() {
  try {
    // Checks state, issuer, audience, times and sub, and redeems the code with its verifier.
    const user = await manager.signinRedirectCallback()
    sessionStorage.setItem(wasSignedIn, 'yes')
    return { user }
  } catch (error) {
    // Whatever it was, nobody is signed in, and asking again by itself would never end.
    sessionStorage.removeItem(wasSignedIn)
    const wasSilent = error instanceof oidc.ErrorResponse && Object(error.state).silent === true
    if (wasSilent && silence.has(error.error ?? '')) return { notice: ended }
    return { error }
  } finally {
    history.replaceState(null, '', '/')
  }
}

/** Answers of a provider that would have to show a page first. */
const silence = new Set([
  'login_required',
  'consent_required',
  'interaction_required',
  'account_selection_required',
])
const ended = 'Your session has ended at the provider, so it has ended here as well.'

export const signIn = () => manager.signinRedirect()

export async function signOut() {
  sessionStorage.removeItem(wasSignedIn)
  await manager.signoutRedirect({ state: 'leaving' }) // comes back, so that the answer is known to be ours
}

/**
 * New tokens for the refresh token, which is good for once: the provider gives another with each answer.
 * @returns {Promise<Start>} nobody, when the session has ended; fails when the provider cannot be reached
 */
export async function renew() {
  try {
    const user = await manager.signinSilent()
    return user ? { user } : { notice: ended }
  } catch (error) {
    if (!(error instanceof oidc.ErrorResponse)) throw error
    sessionStorage.removeItem(wasSignedIn)
    await manager.removeUser()
    return { notice: ended }
  }
}

/** Calls back shortly before the access token ends. @param {() => void} callback */
export const onExpiring = callback => manager.events.addAccessTokenExpiring(callback)

/**
 * Calls the API, as whoever is signed in.
 * @param {string} path
 * @param {{ method?: string, json?: unknown }} [request]
 */
export async function callApi(path, { method = 'GET', json } = {}) {
  const user = await manager.getUser()
  return fetch(apiUrl + path, {
    method,
    headers: {
      Authorization: `Bearer ${user?.access_token}`,
      ...(json !== undefined && { 'Content-Type': 'application/json' }),
    },
    ...(json !== undefined && { body: JSON.stringify(json) }),
    credentials: 'omit',
    referrerPolicy: 'no-referrer',
  })
}
