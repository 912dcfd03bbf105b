// @ts-check

/**
 * Where an app is in this run of the demo.
 * @typedef {object} Site
 * @property {string} url what people open
 * @property {string[]} origins every address it may be opened at, this one first
 * @property {string} backend how another server on this machine reaches it: Node resolves no *.localhost
 *
 * A sample app. One that has no `place` is a program for the terminal: it is registered, and its
 * `command` is printed.
 * @typedef {object} App
 * @property {string} name
 * @property {'web' | 'spa' | 'bff' | 'api' | 'cli'} kind
 * @property {string} summary one line for the person who looks at the demo
 * @property {string} script what `node` runs; told ISSUER, CLIENT_ID, CLIENT_SECRET, PORT, HOST and BASE_URL
 * @property {{ offset: number, host: string, ip: string }} [place] port above the provider's, and host names:
 *   each app has another site, so that the browser keeps them as far apart as apps of two companies
 * @property {(site: Site) => Record<string, unknown>} [client] its registration (RFC 7591)
 * @property {(site: Site) => { identifier: string, name: string, scopes: string }} [resource] for an API:
 *   what access tokens can be for
 * @property {string} [command] what to type, for a program without a place
 */

/** Every sample app of the demo. A new one is an entry here and a folder beside. @type {App[]} */
export const apps = [
  {
    name: 'Notes',
    kind: 'web',
    summary: 'server-side app, our own: asks no consent',
    script: 'web-app/app.js',
    place: { offset: 1, host: 'app-one.localhost', ip: '127.0.0.1' },
    client: site => ({
      ...confidentialWebApp(site),
      client_id: 'notes',
      client_name: 'Notes',
      first_party: true,
    }),
  },
  {
    name: 'Shop',
    kind: 'web',
    summary: 'server-side app of somebody else: asks for consent',
    script: 'second-web-app/server.js',
    place: { offset: 2, host: 'app-two.localhost', ip: '[::1]' },
    client: site => ({ ...confidentialWebApp(site), client_id: 'shop', client_name: 'Shop' }),
  },
]

/** @param {Site} site */
function confidentialWebApp({ url, origins, backend }) {
  return {
    client_uri: url,
    initiate_login_uri: `${url}/login`,
    redirect_uris: origins.map(origin => `${origin}/callback`),
    post_logout_redirect_uris: origins.map(origin => `${origin}/signed-out`),
    backchannel_logout_uri: `${backend}/backchannel-logout`,
    backchannel_logout_session_required: true,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    scope: 'openid profile email offline_access',
  }
}
