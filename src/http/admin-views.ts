/** What the pages of administration are given. */
import type { FieldError } from './page.ts'

export type AdminPlace =
  | 'overview'
  | 'clients'
  | 'users'
  | 'groups'
  | 'resources'
  | 'sessions'
  | 'refusals'
  | 'keys'
  | 'outbox'

/** The frame of every page: who is at it, where it stands, and its form. */
export type AdminFrame = {
  user: { username: string; name?: string | undefined }
  place: AdminPlace
  action: string
  formToken: string
  now: number
  /** What has just been done, by its name in the catalogue. */
  done?: string | undefined
  /** Why what a form asked for was not done: words for operators, as the command line has them. */
  problem?: string | undefined
}

/** A list that is read page by page: where the next one begins. */
type Listed = { search?: string | undefined; next?: string | undefined }

export type AuditLine = {
  at: number
  event: string
  reason?: string | undefined
  who?: string | undefined
  whoId?: string | undefined
  app?: string | undefined
  appId?: string | undefined
  ip?: string | undefined
  requestId?: string | undefined
}

export type OverviewView = AdminFrame & {
  issuer: string
  discovery: string
  version: string
  counts: { users: string; clients: string; sessions: string; failed: number }
  troubles: string[]
  signIns: AuditLine[]
  refusals: AuditLine[]
  keys: { alg: string; since: number; next?: number | undefined }[]
}

/** What an app is, as far as settings differ: it can keep a secret, runs in a browser, on a device, or without a person. */
export type ClientKind = 'server' | 'browser' | 'native' | 'machine'

export type ClientsView = AdminFrame &
  Listed & {
    clients: {
      id: string
      name: string
      kind: ClientKind
      createdAt: number
      isFirstParty: boolean
      isDisabled: boolean
    }[]
  }

/** The fields of an app's form, as typed. */
export type ClientForm = Partial<
  Record<
    | 'client_name'
    | 'redirect_uris'
    | 'post_logout_redirect_uris'
    | 'client_uri'
    | 'initiate_login_uri'
    | 'backchannel_logout_uri'
    | 'scope',
    string | undefined
  >
> & { firstParty?: boolean; withoutPkce?: boolean }

export type ClientFormView = AdminFrame & {
  kind: ClientKind
  typed: ClientForm
  /** An app that is there already. */
  client?: { id: string; name: string } | undefined
  /** The id of the app to be: the same form sent twice makes one. */
  newId?: string | undefined
  /** The field that `problem` is about. */
  faulty?: string | undefined
  scopes: string[]
}

export type NewClientView = AdminFrame & { kinds: ClientKind[] }

export type ClientView = AdminFrame & {
  issuer: string
  discovery: string
  client: {
    id: string
    name: string
    kind: ClientKind
    isFirstParty: boolean
    isDisabled: boolean
    needsPkce: boolean
    authMethod: string
    scope?: string | undefined
    redirectUris: readonly string[]
    postLogoutRedirectUris: readonly string[]
    links: [label: string, url: string][]
    createdAt: number
    updatedAt: number
  }
  secrets: { createdAt: number; expiresAt?: number | undefined; lastUsedAt?: number | undefined }[]
  /** Shown once. */
  newSecret?: string | undefined
  warnings: string[]
  recipes: { id: string; label: string; lacks: string[]; text: string }[]
  metadata: string
}

export type TestSignInView = AdminFrame & {
  client: { id: string; name: string; kind: ClientKind }
  scopes: { name: string; chosen: boolean }[]
  redirectUris: readonly string[]
  chosenUri?: string | undefined
  outcome?:
    | { kind: 'refused'; error: string; description: string }
    | {
        kind: 'tokens'
        asks: 'consent' | 'nothing' | 'sign-in'
        answer: string
        tokens: { name: string; header?: string | undefined; payload: string }[]
        userinfo?: string | undefined
      }
    | undefined
}

export type ConfirmView = AdminFrame & {
  /** By its name in the catalogue: `delete_client`, say. */
  what: string
  name: string
  back: string
  crumbs: [href: string, text: string][]
}

export type UsersView = AdminFrame &
  Listed & {
    users: {
      id: string
      username: string
      name?: string | undefined
      email?: string | undefined
      isAdmin: boolean
      isDisabled: boolean
      createdAt: number
    }[]
  }

export type UserFormView = AdminFrame & {
  typed: {
    username?: string | undefined
    name?: string | undefined
    email?: string | undefined
    emailVerified: boolean
    isAdmin: boolean
    groups: string[]
  }
  account?: { id: string; username: string } | undefined
  errors: FieldError<'username' | 'name' | 'email'>[]
  groups: string[]
}

export type UserView = AdminFrame & {
  account: {
    id: string
    sub: string
    username: string
    name?: string | undefined
    email?: string | undefined
    emailVerified: boolean
    isAdmin: boolean
    isSelf: boolean
    isDisabled: boolean
    hasPassword: boolean
    createdAt: number
    groups: string[]
  }
  /** Shown once. */
  passwordLink?: string | undefined
  sessions: SessionLine[]
  apps: { id: string; name: string; since: number; sessions: number }[]
}

export type SessionLine = {
  id: string
  username: string
  userId: string
  device: { browser?: string | undefined; system?: string | undefined }
  ip?: string | undefined
  createdAt: number
  seenAt: number
}

export type SessionsView = AdminFrame & Pick<Listed, 'next'> & { sessions: SessionLine[] }

export type GroupsView = AdminFrame & {
  groups: { id: string; name: string; members: number; createdAt: number }[]
  typed?: string | undefined
}

export type ResourcesView = AdminFrame & {
  resources: { id: string; identifier: string; name: string; scopes: readonly string[]; format: string }[]
  typed: { identifier?: string | undefined; name?: string | undefined; scopes?: string | undefined }
}

export type RefusalsView = AdminFrame &
  Pick<Listed, 'next'> & {
    refusals: (AuditLine & {
      description?: string | undefined
      received?: string | undefined
      registered: string[]
      nearest?: string | undefined
    })[]
  }

export type KeysView = AdminFrame & {
  algorithms: string[]
  keys: {
    kid: string
    alg: string
    state: 'announced' | 'active' | 'retiring' | 'retired' | 'gone'
    moments: { at: number; what: string; isAhead: boolean }[]
    mayBeCompromised: boolean
  }[]
}

export type OutboxView = AdminFrame &
  Pick<Listed, 'next'> & {
    state?: 'pending' | 'delivered' | 'failed' | undefined
    /** How many failed for good. */
    failed: number
    deliveries: {
      id: number
      kind: string
      app?: string | undefined
      appId?: string | undefined
      state: 'pending' | 'delivered' | 'failed'
      attempts: number
      error?: string | undefined
      createdAt: number
      nextAt?: number | undefined
    }[]
  }

/** Every page of administration. */
export type AdminViews = {
  overview: OverviewView
  clients: ClientsView
  'new-client': NewClientView
  'client-form': ClientFormView
  client: ClientView
  'test-sign-in': TestSignInView
  confirm: ConfirmView
  users: UsersView
  'user-form': UserFormView
  user: UserView
  sessions: SessionsView
  groups: GroupsView
  resources: ResourcesView
  refusals: RefusalsView
  keys: KeysView
  outbox: OutboxView
}
