/** What a recipe is: ready-to-paste settings of one framework for one client, and what it needs of the client. */
import type { ClientKind } from '../../http/admin-views.ts'
import type { Client } from '../../oauth/client/client.ts'

export const kindOf = (client: Client): ClientKind =>
  !client.grantTypes.has('authorization_code')
    ? 'machine'
    : !client.isPublic
      ? 'server'
      : client.isNative
        ? 'native'
        : 'browser'

/** Where the app is called back. */
export type Callback = {
  redirectUri: string
  /** Whether the client has it among its metadata. */
  registered: boolean
  /** The app's own address, without a slash at its end. */
  base: string
  /** What the app calls this provider in its callback address. */
  name: string
  /** Another part of the callback address that is the app's to choose, such as Keycloak's realm. */
  realm: string
}

/** What settings are made of. */
export type Facts = Callback & {
  issuer: string
  clientId: string
  isPublic: boolean
  /** How it authenticates where its metadata says so. */
  authMethod: string | undefined
  /** The scopes the framework wants, as far as the client may have them. */
  scopes: readonly string[]
  mayRefresh: boolean
  postLogoutRedirectUri: string | undefined
}

type Language =
  | 'apache'
  | 'caddy'
  | 'csharp'
  | 'ini'
  | 'js'
  | 'nginx'
  | 'python'
  | 'ruby'
  | 'sh'
  | 'text'
  | 'toml'
  | 'ts'
  | 'yaml'

export type Recipe = {
  /** As it is named behind `--for`. */
  id: string
  label: string
  language: Language
  kinds: readonly ClientKind[]
  /**
   * Paths that the framework wants to be called back at, its default first; `:name` and `:realm` are chosen there.
   * None: any address will do.
   */
  callbacks?: readonly string[]
  /** What stands for `:name` where no registered address says it. */
  defaultName?: string
  /** What it asks for; `registered`: all that the client may have, or its own APIs where there is no person. */
  scopes: readonly string[] | 'registered'
  /** It never reads UserInfo: what it wants to know must stand in the ID token. */
  readsIdTokenOnly?: true
  sendsNoPkce?: true
  /** It takes ID tokens signed with RS256 only. */
  wantsRs256?: true
  /** Ways to authenticate that it knows; any, where it does not say. */
  authMethods?: readonly string[]
  /** It asks for new tokens in the background. */
  refreshes?: true
  /** Where it comes back to after signing out here: a path. */
  afterLogout?: string
  /** Where it wants to be told of sessions that ended: a path, or `?…` behind the redirect URI. */
  backChannel?: string
  render: (facts: Facts) => string
}

/** The sign that starts a line of comment. */
export const commentSign = ({ language }: Recipe): string =>
  ['ts', 'js', 'csharp'].includes(language) ? '//' : '#'

/** Quoted for JavaScript, JSON, YAML, TOML, C# and Python alike. */
export const inQuotes = (text: string): string => JSON.stringify(text)

/** The same in the style that JavaScript is written in. */
export const inJs = (text: string): string => (/['\\\n]/.test(text) ? inQuotes(text) : `'${text}'`)

/** Quoted for a shell, where nothing in it counts. */
export const forShell = (text: string): string =>
  /^[\w.:/@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

/** Lines of which some may be left out. */
export const lines = (...all: (string | false | undefined)[]): string =>
  all.filter(line => line !== false && line !== undefined).join('\n')

/** Where secrets are to be found by the app: never in a file that is checked in. */
export const secretVariable = 'LINTEL_CLIENT_SECRET'

export const isPlainHttp = ({ issuer }: Facts): boolean => issuer.startsWith('http:')
