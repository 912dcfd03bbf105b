// @ts-check

/**
 * Where an app is in this run of the demo.
 * @typedef {object} Site
 * @property {string} url what people open
 * @property {string[]} origins every address it may be opened at, this one first
 * @property {string} backend how another server on this machine reaches it: Node resolves no *.localhost
 *
 * A sample app. One that has no `place` is a program for the terminal: it is registered, and how to run it
 * is printed.
 * @typedef {object} App
 * @property {string} name
 * @property {'web' | 'spa' | 'bff' | 'api' | 'cli' | 'start'} kind
 * @property {string} summary one line for the person who looks at the demo
 * @property {string} script what `node` runs; told ISSUER, CLIENT_ID, CLIENT_SECRET, PORT, HOST and BASE_URL
 * @property {{ offset: number, host: string, ip: string }} [place] port above the provider's, and host names:
 *   each app has another site, so that the browser keeps them as far apart as apps of two companies
 * @property {(site: Site) => Record<string, unknown>} [client] its registration (RFC 7591)
 * @property {(site: Site) => { identifier: string, name: string, scopes: string }} [resource] for an API:
 *   what access tokens can be for
 * @property {(sites: Record<string, Site>) => Record<string, string>} [environment] what it is told besides,
 *   of the other apps, by their names
 */

const tasksApi = (/** @type {Record<string, Site>} */ { Tasks }) => ({ API_URL: Tasks?.url ?? '' })

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
  {
    name: 'Board',
    kind: 'spa',
    summary: 'single-page app: the tokens are in the page’s memory',
    script: 'spa/server.js',
    place: { offset: 3, host: 'app-three.localhost', ip: '127.0.0.1' },
    client: ({ url, origins }) => ({
      client_id: 'board',
      client_name: 'Board',
      client_uri: url,
      token_endpoint_auth_method: 'none',
      redirect_uris: origins.map(origin => `${origin}/callback`),
      post_logout_redirect_uris: origins.map(origin => `${origin}/signed-out`),
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'openid profile tasks:read tasks:write',
    }),
    environment: tasksApi,
  },
  {
    name: 'Desk',
    kind: 'bff',
    summary: 'page with a server that keeps the tokens: our own',
    script: 'bff/server.js',
    place: { offset: 4, host: 'app-four.localhost', ip: '[::1]' },
    client: site => ({
      ...confidentialWebApp(site),
      client_id: 'desk',
      client_name: 'Desk',
      first_party: true,
      scope: 'openid profile tasks:read tasks:write',
    }),
    environment: tasksApi,
  },
  {
    name: 'Tasks',
    kind: 'api',
    summary: 'the API of Board, Desk and the terminal',
    script: 'api/server.js',
    // An address that Node resolves as well, and no name of the provider: its cookies do not go there.
    place: { offset: 5, host: '127.0.0.1', ip: '127.0.0.1' },
    resource: ({ url }) => ({
      identifier: url,
      name: 'Tasks',
      scopes: 'tasks:read tasks:write tasks:count',
    }),
    environment: ({ Board }) => ({ ALLOWED_ORIGINS: Board?.origins.join(' ') ?? '' }),
  },
  {
    name: 'Person',
    kind: 'cli',
    summary: 'in the terminal: signs you in by the browser',
    script: 'cli/person.js',
    client: () => ({
      client_id: 'terminal',
      client_name: 'Terminal',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'openid profile tasks:read tasks:write',
    }),
    environment: tasksApi,
  },
  {
    name: 'Machine',
    kind: 'cli',
    summary: 'in the terminal: signs in as itself',
    script: 'cli/machine.js',
    client: () => ({
      client_id: 'counter',
      client_name: 'Counter',
      grant_types: ['client_credentials'],
      response_types: [],
      scope: 'tasks:count',
    }),
    environment: tasksApi,
  },
  {
    name: 'Start page',
    kind: 'start',
    summary: 'a tour, and which app holds which session',
    script: 'start/server.js',
    place: { offset: 6, host: 'start.localhost', ip: '127.0.0.1' },
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
