/** Every page of administration as administrators may meet it. */
import type { AdminFrame, AdminViews } from '../../src/http/admin-views.ts'

export const now = 1_760_000_000

const frame = (place: AdminFrame['place'], more: Partial<AdminFrame> = {}): AdminFrame => ({
  user: { username: 'grace', name: 'Grace Hopper' },
  place,
  action: '/id/here',
  formToken: 'b.token',
  now,
  ...more,
})

const line = {
  at: now - 60,
  event: 'authorize.rejected',
  reason: 'redirect_mismatch',
  who: 'alice',
  whoId: 'u1',
  app: 'Field Notes',
  appId: 'notes',
  ip: '192.0.2.1',
  requestId: 'r1',
}

const session = {
  id: 's1',
  username: 'alice',
  userId: 'u1',
  device: { browser: 'Firefox', system: 'Linux' },
  ip: '192.0.2.1',
  createdAt: now - 7200,
  seenAt: now - 60,
}

const client: AdminViews['client']['client'] = {
  id: 'notes',
  name: 'Field Notes',
  kind: 'server',
  isFirstParty: true,
  isDisabled: true,
  needsPkce: true,
  authMethod: 'client_secret_basic',
  scope: 'openid profile',
  redirectUris: ['https://notes.example/callback'],
  postLogoutRedirectUris: ['https://notes.example/'],
  links: [['client_uri', 'https://notes.example/']],
  createdAt: now - 90_000,
  updatedAt: now,
}

const account: AdminViews['user']['account'] = {
  id: 'u1',
  sub: 'sub-1',
  username: 'alice',
  name: 'Alice Example',
  email: 'alice@example.com',
  emailVerified: true,
  isAdmin: true,
  isSelf: true,
  isDisabled: true,
  hasPassword: true,
  createdAt: now - 90_000,
  groups: ['engineering', 'on-call'],
}

const key: AdminViews['keys']['keys'][number] = {
  kid: 'es256-abc',
  alg: 'ES256',
  state: 'active',
  moments: [
    { at: now - 90_000, what: 'active', isAhead: false },
    { at: now + 90_000, what: 'retiring', isAhead: true },
  ],
  mayBeCompromised: true,
}

const empty = { username: undefined, emailVerified: false, isAdmin: false, groups: [] }

export const adminSamples: { [Name in keyof AdminViews]: [title: string, data: AdminViews[Name]][] } = {
  overview: [
    [
      'with troubles',
      {
        ...frame('overview'),
        issuer: 'https://id.example.com',
        discovery: 'https://id.example.com/.well-known/openid-configuration',
        version: '1.2.3',
        counts: { users: '10000+', clients: '3', sessions: '1', failed: 2 },
        troubles: ['there is no active RS256 key'],
        signIns: [{ ...line, event: 'login.succeeded' }],
        refusals: [line, { at: now, event: 'never heard of' }],
        keys: [{ alg: 'ES256', since: now - 5, next: now + 90_000 }],
      },
    ],
    [
      'all well',
      {
        ...frame('overview'),
        issuer: 'https://id.example.com',
        discovery: 'https://id.example.com/.well-known/openid-configuration',
        version: '1.2.3',
        counts: { users: '1', clients: '0', sessions: '1', failed: 0 },
        troubles: [],
        signIns: [],
        refusals: [],
        keys: [],
      },
    ],
  ],
  clients: [
    ['none', { ...frame('clients'), clients: [] }],
    ['none found', { ...frame('clients'), search: 'x', clients: [] }],
    [
      'many',
      {
        ...frame('clients', { done: 'deleted' }),
        search: 'notes',
        next: 'notes',
        clients: [
          { ...client, isDisabled: false, isFirstParty: false },
          { ...client, kind: 'browser' },
        ],
      },
    ],
  ],
  'new-client': [['kinds', { ...frame('clients'), kinds: ['server', 'browser', 'native', 'machine'] }]],
  'client-form': [
    ['new', { ...frame('clients'), kind: 'server', typed: {}, newId: 'n1', scopes: ['openid'] }],
    ['machine', { ...frame('clients'), kind: 'machine', typed: {}, newId: 'n1', scopes: ['api:read'] }],
    [
      'refused',
      {
        ...frame('clients', { problem: 'redirect_uris: "x" must be absolute' }),
        kind: 'native',
        typed: { client_name: 'Tool', redirect_uris: 'x', firstParty: true },
        client: { id: 'notes', name: 'Field Notes' },
        faulty: 'redirect_uris',
        scopes: ['openid'],
      },
    ],
  ],
  client: [
    [
      'new',
      {
        ...frame('clients', { done: 'created' }),
        issuer: 'https://id.example.com',
        discovery: 'https://id.example.com/.well-known/openid-configuration',
        client,
        secrets: [{ createdAt: now, expiresAt: now + 90_000, lastUsedAt: now }, { createdAt: now }],
        newSecret: 'lintel_secret',
        warnings: ['redirect_uris: plain http'],
        recipes: [{ id: 'auth.js', label: 'Auth.js', lacks: ['a callback'], text: 'A=1' }],
        metadata: '{}',
      },
    ],
    [
      'public, from its own page',
      {
        ...frame('clients', { action: '/id/admin/apps/notes' }),
        issuer: 'https://id.example.com',
        discovery: 'https://id.example.com/.well-known/openid-configuration',
        client: { ...client, scope: undefined, needsPkce: false, redirectUris: [], links: [] },
        secrets: [{ createdAt: now }],
        warnings: [],
        recipes: [],
        metadata: '{}',
      },
    ],
  ],
  'test-sign-in': [
    [
      'before',
      {
        ...frame('clients'),
        client,
        scopes: [{ name: 'openid', chosen: true }],
        redirectUris: ['https://a.example/cb', 'https://b.example/cb'],
        chosenUri: 'https://b.example/cb',
      },
    ],
    [
      'refused',
      {
        ...frame('clients'),
        client: { ...client, kind: 'machine' },
        scopes: [],
        redirectUris: [],
        outcome: { kind: 'refused', error: 'invalid_scope', description: 'no such scope' },
      },
    ],
    [
      'tokens',
      {
        ...frame('clients'),
        client,
        scopes: [],
        redirectUris: [],
        outcome: {
          kind: 'tokens',
          asks: 'consent',
          answer: '{}',
          tokens: [
            { name: 'id_token', header: '{}', payload: '{}' },
            { name: 'access_token', payload: '{}' },
          ],
          userinfo: '{}',
        },
      },
    ],
  ],
  confirm: [
    [
      'a user',
      {
        ...frame('users', { problem: 'the last one' }),
        what: 'delete_user',
        name: 'alice',
        back: '/id/admin/users/u1',
        crumbs: [['/id/admin/users/u1', 'alice']],
      },
    ],
    [
      'a key',
      {
        ...frame('keys'),
        what: 'compromise_key',
        name: 'kid',
        back: '/id/admin/keys',
        crumbs: [['/id/admin/keys', 'kid']],
      },
    ],
  ],
  users: [
    ['none found', { ...frame('users'), search: 'x', users: [] }],
    [
      'of every kind',
      {
        ...frame('users'),
        next: 'u1',
        users: [
          { ...account, isDisabled: false },
          { ...account, isAdmin: false, isDisabled: false, name: undefined, email: undefined },
          account,
        ],
      },
    ],
  ],
  'user-form': [
    ['new', { ...frame('users'), typed: empty, errors: [], groups: [] }],
    [
      'refused',
      {
        ...frame('users'),
        typed: { username: 'alice', emailVerified: true, isAdmin: true, groups: ['on-call'] },
        account,
        errors: [
          { field: 'username', reason: 'taken' },
          { field: 'email', reason: 'never heard of' },
        ],
        groups: ['engineering', 'on-call'],
      },
    ],
  ],
  user: [
    [
      'with everything',
      {
        ...frame('users', { action: '/id/admin/users/u1', done: 'disable' }),
        account,
        passwordLink: 'https://id.example.com/set-password?token=t',
        sessions: [session],
        apps: [{ id: 'notes', name: 'Field Notes', since: now, sessions: 1 }],
      },
    ],
    [
      'with nothing',
      {
        ...frame('users'),
        account: {
          ...account,
          name: undefined,
          email: undefined,
          isSelf: false,
          isDisabled: false,
          hasPassword: false,
          groups: [],
        },
        sessions: [],
        apps: [],
      },
    ],
  ],
  sessions: [
    ['none', { ...frame('sessions'), sessions: [] }],
    [
      'some',
      { ...frame('sessions'), next: 's1', sessions: [session, { ...session, device: {}, ip: undefined }] },
    ],
  ],
  groups: [
    ['none', { ...frame('groups'), groups: [] }],
    [
      'refused',
      {
        ...frame('groups', { problem: 'taken' }),
        typed: 'x',
        groups: [{ id: 'g1', name: 'on-call', members: 2, createdAt: now }],
      },
    ],
  ],
  resources: [
    ['none', { ...frame('resources'), resources: [], typed: {} }],
    [
      'refused',
      {
        ...frame('resources', { problem: 'taken' }),
        typed: { identifier: 'x', name: 'y', scopes: 'z' },
        resources: [
          { id: 'r1', identifier: 'https://api.example', name: 'API', scopes: ['a', 'b'], format: 'opaque' },
        ],
      },
    ],
  ],
  refusals: [
    ['none', { ...frame('refusals'), refusals: [] }],
    [
      'a mismatch',
      {
        ...frame('refusals'),
        next: '17',
        refusals: [
          {
            ...line,
            description: 'not registered',
            received: 'https://a.example/x',
            registered: ['https://a.example/y'],
            nearest: 'https://a.example/y',
          },
          { at: now, event: 'login.failed', registered: [] },
        ],
      },
    ],
  ],
  keys: [
    [
      'of every state',
      {
        ...frame('keys', { done: 'rotated' }),
        algorithms: ['ES256'],
        keys: [
          { ...key, state: 'announced' },
          key,
          { ...key, state: 'retiring' },
          { ...key, state: 'retired' },
          {
            ...key,
            state: 'gone',
            moments: [{ at: now, what: 'compromised', isAhead: false }],
            mayBeCompromised: false,
          },
        ],
      },
    ],
  ],
  outbox: [
    ['none', { ...frame('outbox'), failed: 0, deliveries: [] }],
    [
      'of every state',
      {
        ...frame('outbox'),
        state: 'failed',
        next: '1',
        failed: 1,
        deliveries: [
          {
            id: 3,
            kind: 'logout',
            app: 'Field Notes',
            appId: 'notes',
            state: 'pending',
            attempts: 1,
            createdAt: now,
          },
          { id: 2, kind: 'logout', app: 'gone', state: 'delivered', attempts: 1, createdAt: now },
          { id: 1, kind: 'other', state: 'failed', attempts: 3, error: 'refused', createdAt: now },
        ],
      },
    ],
  ],
}
