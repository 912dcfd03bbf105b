/**
 * Refresh families and sessions against a model of them: whatever people, clients and time do in whatever order, the
 * real server says what the model says. And the algebra of scope, resource and rotation as properties.
 */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Refusal } from '../../src/http/refusal.ts'
import { endSessions, newSession } from '../../src/identity/session.ts'
import { newUser, type User } from '../../src/identity/user.ts'
import { newCode } from '../../src/oauth/authorize/code.ts'
import type { Resource, ResourceDirectory } from '../../src/oauth/client/resource-server.ts'
import { newAuthorization } from '../../src/oauth/grant/authorization.ts'
import { withdrawConsent } from '../../src/oauth/grant/consent.ts'
import { audienceOf, resourcesMeant } from '../../src/oauth/parameters/resource.ts'
import { splitScope } from '../../src/oauth/parameters/scope.ts'
import { judgeRotation } from '../../src/oauth/tokens/refresh-token.ts'
import { GuardFailed } from '../../src/store/commit.ts'
import { seconds } from '../../src/store/single-use.ts'
import { databaseKinds, sized } from '../support/databases.ts'
import { getWithToken, type JsonAnswer } from '../support/flow.ts'
import { startServer, type TestClient, type TestServer } from '../support/server.ts'
import { refresh, revoke, tokenRequest } from '../support/tokens.ts'

const hour = 3600
const day = 24 * hour
const life = {
  session: 12 * hour,
  idle: hour,
  refresh: 30 * day,
  refreshIdle: 14 * day,
  access: 900,
  code: 60,
}
const grace = 10

/** What the model knows of one family; times in seconds. */
type Family = {
  client: TestClient
  isPublic: boolean
  isOffline: boolean
  authorizationId: string
  code: { text: string; madeAt: number; usedAt: number | undefined }
  /** Every token that was given, by generation. */
  tokens: string[]
  rotatedAt: number
  expiresAt: number
  revoked: boolean
  accessTokens: { text: string; expiresAt: number; revoked: boolean }[]
}

type Model = {
  user: User
  session: { id: string; seenAt: number; expiresAt: number; ended: boolean }
  withdrawn: Set<string>
  families: Family[]
}

/** A moment that something ends at, as the model knows it. */
type Moment = 'code' | 'grace' | 'access' | 'session idle' | 'session' | 'refresh idle' | 'refresh'

type Pause = { for: number } | { until: Moment; delta: number }

type Action =
  | { do: 'redeem'; family: number }
  | { do: 'refresh'; family: number; age: number; times: number }
  | { do: 'revoke'; family: number; age: number }
  | { do: 'revoke access'; family: number; which: number }
  | { do: 'use access'; family: number; which: number }
  | { do: 'end session' }
  | { do: 'withdraw'; family: number }

type Command = { pause: Pause; action: Action }

/** Two families of one person in one session, of any two kinds. */
const kinds = fc.tuple(
  ...([0, 1] as const).map(() => fc.record({ isPublic: fc.boolean(), isOffline: fc.boolean() })),
)
const family = fc.nat(1)
/** How many generations back: mostly the present token or the one before. */
const age = fc.oneof({ weight: 14, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(4) })
const which = fc.nat(3)

/** Mostly none; then to just before, at, or just after the end of something of the family that is next. */
const pause: fc.Arbitrary<Pause> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ for: 0 }) },
  { weight: 3, arbitrary: fc.record({ for: fc.constantFrom(1, 2, 5, 30, 59, 60, 61, 300, 1800) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      until: fc.constantFrom<Moment>('grace', 'grace', 'access', 'session idle', 'code'),
      delta: fc.constantFrom(-1, 0, 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      until: fc.constantFrom<Moment>('session', 'refresh idle', 'refresh'),
      delta: fc.constantFrom(-1, 0, 1),
    }),
  },
)
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('refresh' as const),
      family,
      age,
      times: fc.constantFrom(1, 1, 1, 1, 4),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('redeem' as const), family }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('use access' as const), family, which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke access' as const), family, which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke' as const), family, age }) },
  { weight: 1, arbitrary: fc.constant({ do: 'end session' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('withdraw' as const), family }) },
)
const commands = fc.array(fc.record({ pause, action }), { minLength: 5, maxLength: 30, size: 'max' })

describe.each(databaseKinds)('refresh families on %s', kind => {
  let server: TestServer
  let clients: { web: TestClient; spa: TestClient }
  beforeEach(async () => {
    server = await startServer({ kind })
    const more = { grant_types: ['authorization_code', 'refresh_token'], scope: 'openid offline_access' }
    clients = {
      web: await server.createClient({ client_id: 'web', ...more }),
      spa: await server.createClient({ client_id: 'spa', token_endpoint_auth_method: 'none', ...more }),
    }
  })
  afterEach(() => server.stop())

  const now = (): number => seconds(server.services.now())

  /** To the beginning of the second that is so many seconds ahead: what follows is to happen within one. */
  const moveTo = (second: number): void =>
    server.sleep(second + 0.01 - server.services.now().getTime() / 1000)

  /** What takes longer than its second on a busy machine says nothing: the model cannot know when it happened. */
  const within = async <T>(run: () => Promise<T>): Promise<T> => {
    if (server.services.now().getTime() % 1000 > 200) moveTo(now() + 1)
    const started = now()
    try {
      return await run()
    } finally {
      fc.pre(now() === started)
    }
  }

  /** A person in a session, with an authorization and its code for each kind of family. */
  const begin = async (wanted: readonly { isPublic: boolean; isOffline: boolean }[]): Promise<Model> => {
    moveTo(now() + 1)
    const at = server.services.now()
    const { user, write } = newUser({ username: `user-${at.getTime()}` }, at)
    const session = newSession(
      { userId: user.id, amr: ['pwd'], acr: 'urn:test' },
      {
        browserId: '-',
        visit: { requestId: '-', ip: '127.0.0.1', userAgent: '-' },
        now: at,
        idleTtl: life.idle,
        ttl: life.session,
      },
    )
    const made = wanted.map(({ isPublic, isOffline }) => {
      const client = isPublic ? clients.spa : clients.web
      const authorization = newAuthorization(
        {
          userId: user.id,
          clientId: client.id,
          scope: isOffline ? ['openid', 'offline_access'] : ['openid'],
          dropped: [],
          resources: [],
          offline: isOffline,
          signedIn: { sessionId: session.id, authTime: seconds(at), amr: ['pwd'], acr: 'urn:test' },
          ttl: life.code + life.refresh + life.access,
        },
        at,
      )
      const code = newCode(
        {
          authorizationId: authorization.id,
          clientId: client.id,
          redirectUri: client.redirectUri,
          codeChallenge: undefined,
          nonce: undefined,
          ttl: life.code,
        },
        at,
      )
      return { client, isOffline, authorization, code }
    })
    await server.services.store.commit([
      write,
      session.write,
      ...made.flatMap(({ authorization, code }) => [authorization.write, code.write]),
    ])
    return {
      user,
      session: { id: session.id, seenAt: seconds(at), expiresAt: seconds(at) + life.session, ended: false },
      withdrawn: new Set(),
      families: made.map(({ client, isOffline, authorization, code }) => ({
        client,
        isPublic: client.secret === undefined,
        isOffline,
        authorizationId: authorization.id,
        code: { text: code.code, madeAt: seconds(at), usedAt: undefined },
        tokens: [],
        rotatedAt: 0,
        expiresAt: 0,
        revoked: false,
        accessTokens: [],
      })),
    }
  }

  const stands = (model: Model, family: Family): boolean => {
    const { session } = model
    const lives = !session.ended && session.expiresAt > now() && session.seenAt + life.idle > now()
    return !family.revoked && !model.withdrawn.has(family.client.id) && (family.isOffline || lives)
  }

  const remember = (family: Family, answer: JsonAnswer): string => {
    family.accessTokens.push({
      text: String(answer.json['access_token']),
      expiresAt: now() + life.access,
      revoked: false,
    })
    return String(answer.json['refresh_token'])
  }

  const expectRefused = (answer: JsonAnswer, what: string): void =>
    expect({ status: answer.status, error: answer.json['error'] }, what).toEqual({
      status: 400,
      error: 'invalid_grant',
    })

  const expectGiven = (answer: JsonAnswer, what: string): void =>
    expect({ status: answer.status, error: answer.json['error'] }, what).toEqual({
      status: 200,
      error: undefined,
    })

  /** INV-1: a code succeeds at most once; a second use ends what the first one gave. */
  const redeem = async (model: Model, family: Family): Promise<void> => {
    // Of a code of more than an hour ago the row may be gone.
    if (now() - family.code.madeAt > hour - 120) return
    const answer = await tokenRequest(server, family.client, 'authorization_code', {
      code: family.code.text,
      redirect_uri: family.client.redirectUri,
    })
    if (family.code.usedAt !== undefined) {
      expectRefused(answer, 'a code used twice')
      family.revoked = true
      return
    }
    if (now() - family.code.madeAt >= life.code || !stands(model, family))
      return expectRefused(answer, 'code')
    expectGiven(answer, 'code')
    family.code.usedAt = now()
    family.tokens = [remember(family, answer)]
    family.rotatedAt = now()
    family.expiresAt = now() + life.refresh
  }

  const verdictOn = (family: Family, generation: number): 'rotates' | 'repeats' | 'reused' => {
    const present = family.tokens.length - 1
    if (generation === present) return 'rotates'
    const isPrevious = generation === present - 1
    return isPrevious && (!family.isPublic || now() - family.rotatedAt <= grace) ? 'repeats' : 'reused'
  }

  const use = async (model: Model, family: Family, age: number, times: number): Promise<void> => {
    const generation = Math.max(0, family.tokens.length - 1 - age)
    const token = family.tokens[generation]
    if (token === undefined) return
    const answers = await Promise.all(
      Array.from({ length: times }, () => refresh(server, family.client, token)),
    )
    const what = `${family.client.id} ${family.isOffline ? 'offline' : 'bound'} ${generation}/${family.tokens.length - 1}`
    const ended =
      !stands(model, family) || family.expiresAt <= now() || family.rotatedAt + life.refreshIdle <= now()
    const verdict = verdictOn(family, generation)
    for (const answer of answers) {
      if (ended || verdict === 'reused') expectRefused(answer, `${what} ${verdict}`)
      else expectGiven(answer, `${what} ${verdict}`)
    }
    if (ended) return
    if (verdict === 'reused') {
      family.revoked = true
      return
    }
    const successors = new Set(answers.map(answer => remember(family, answer)))
    expect(successors.size, `${what}: one successor`).toBe(1)
    const [successor = ''] = successors
    if (verdict === 'repeats') expect(successor, what).toBe(family.tokens[generation + 1])
    else {
      expect(family.tokens, what).not.toContain(successor)
      family.tokens.push(successor)
      family.rotatedAt = now()
    }
    if (!family.isOffline && now() - model.session.seenAt >= 60) model.session.seenAt = now()
  }

  const revokeToken = async (family: Family, age: number): Promise<void> => {
    const token = family.tokens[Math.max(0, family.tokens.length - 1 - age)]
    if (token === undefined) return
    expect((await revoke(server, family.client, token)).status).toBe(200)
    family.revoked = true
  }

  /** INV-3: what has ended is accepted nowhere. */
  const useAccess = async (model: Model, family: Family, which: number): Promise<void> => {
    const access = family.accessTokens[Math.max(0, family.accessTokens.length - 1 - which)]
    if (!access) return
    const answer = await getWithToken(server, '/userinfo', access.text)
    const lives = stands(model, family) && !access.revoked && access.expiresAt > now()
    expect(answer.status, `access token of ${family.client.id}`).toBe(lives ? 200 : 401)
    if (lives) expect(answer.json['sub']).toBe(model.user.sub)
  }

  const revokeAccess = async (family: Family, which: number): Promise<void> => {
    const access = family.accessTokens[Math.max(0, family.accessTokens.length - 1 - which)]
    if (!access) return
    expect((await revoke(server, family.client, access.text)).status).toBe(200)
    access.revoked = true
  }

  const endSession = async (model: Model): Promise<void> => {
    model.session.ended = true
    try {
      await server.services.store.commit(
        await endSessions(server.services, [{ id: model.session.id, userId: model.user.id }], 'signed_out'),
      )
    } catch (error) {
      // It was ended before, here or by its age.
      if (!(error instanceof GuardFailed)) throw error
    }
  }

  const endOf = (model: Model, moment: Moment, family: Family): number =>
    ({
      code: family.code.madeAt + life.code,
      grace: family.rotatedAt + grace,
      access: family.accessTokens.at(-1)?.expiresAt ?? 0,
      'session idle': model.session.seenAt + life.idle,
      session: model.session.expiresAt,
      'refresh idle': family.rotatedAt + life.refreshIdle,
      refresh: family.expiresAt,
    })[moment]

  const familyAt = (model: Model, index: number): Family => {
    const found = model.families[index]
    if (!found) throw new Error('there is no such family')
    return found
  }

  const wait = (model: Model, { pause, action }: Command): void => {
    const next = familyAt(model, 'family' in action ? action.family : 0)
    const target = 'for' in pause ? now() + pause.for : endOf(model, pause.until, next) + pause.delta
    if (target > now()) moveTo(target)
  }

  const act = async (model: Model, action: Action): Promise<void> => {
    if (action.do === 'end session') return endSession(model)
    const family = familyAt(model, action.family)
    if (action.do === 'redeem') return redeem(model, family)
    if (action.do === 'refresh') return use(model, family, action.age, action.times)
    if (action.do === 'revoke') return revokeToken(family, action.age)
    if (action.do === 'use access') return useAccess(model, family, action.which)
    if (action.do === 'revoke access') return revokeAccess(family, action.which)
    model.withdrawn.add(family.client.id)
    await server.services.store.commit([
      withdrawConsent(model.user.id, family.client.id, server.services.now()),
    ])
  }

  const run = async (model: Model, command: Command): Promise<void> => {
    wait(model, command)
    await within(() => act(model, command.action))
  }

  /** INV-2: a family has one head, and it is the one that the model knows. */
  const compareRows = async (model: Model): Promise<void> => {
    const rows = await server.services.store.search<{ authorization_id: string; generation: number }>(knex =>
      knex('refresh_family')
        .select('authorization_id', 'generation')
        .whereIn(
          'authorization_id',
          model.families.map(family => family.authorizationId),
        ),
    )
    for (const family of model.families) {
      const own = rows.filter(row => row.authorization_id === family.authorizationId)
      if (family.expiresAt > now() + day)
        expect(
          own.map(row => row.generation),
          family.client.id,
        ).toEqual([family.tokens.length - 1])
      else expect(own.length).toBeLessThanOrEqual(1)
    }
  }

  it('INV-1, INV-2, INV-3: under any interleaving the server says what the model says', async () => {
    await fc.assert(
      fc.asyncProperty(kinds, fc.nat(5), commands, async (wanted, late, list) => {
        const model = await begin(wanted)
        // Now and then the code of one is redeemed later, or never.
        for (const [index, one] of model.families.entries())
          if (index !== late) await within(() => redeem(model, one))
        for (const command of list) await run(model, command)
        await compareRows(model)
        for (const one of model.families)
          await within(async () => {
            await useAccess(model, one, 0)
            await use(model, one, 0, 1)
            await use(model, one, 1, 1)
          })
      }),
      { numRuns: sized(kind === 'sqlite' ? 150 : 40, 3000, 'runs') },
    )
  }, 600_000)
})

const scopeName = fc.stringMatching(/^[\x21\x23-\x5b\x5d-\x7e]{1,12}$/)

describe('splitScope', () => {
  it('is the set of the names, in their order, however many spaces stand between', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(scopeName, fc.integer({ min: 1, max: 200 })), { maxLength: 100 }),
        fc.nat(200),
        (words, leading) => {
          const text = ' '.repeat(leading) + words.map(([name, spaces]) => name + ' '.repeat(spaces)).join('')
          expect(splitScope(text)).toEqual([...new Set(words.map(([name]) => name))])
        },
      ),
    )
  })

  it('is its own inverse: what it gives, joined, gives the same again', () => {
    fc.assert(
      fc.property(fc.array(scopeName, { maxLength: 100 }), names => {
        const once = splitScope(names.join(' '))
        expect(splitScope(once.join(' '))).toEqual(once)
      }),
    )
  })

  it('takes text of any kind apart or refuses it with invalid_scope, and does nothing else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => {
        try {
          for (const name of splitScope(text)) expect(name).toMatch(/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/)
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal)
          expect(error).toMatchObject({ error: 'invalid_scope', status: 400 })
        }
      }),
    )
  })

  it('refuses more than 100 names, wherever the spaces are, and SEC-069 a hundred thousand at once', () => {
    const many = (count: number, spaces = 1): string =>
      Array.from({ length: count }, (_, index) => `s${index}`).join(' '.repeat(spaces))
    expect(splitScope(many(100))).toHaveLength(100)
    for (const text of [many(101), ` ${many(101)}`, many(101, 50), many(100_000), ` ${many(100_000, 3)} `]) {
      const before = performance.now()
      expect(() => splitScope(text)).toThrow(/more than 100/)
      expect(performance.now() - before).toBeLessThan(50)
    }
  })
})

const issuer = 'https://op.test'

const resourceOf = (name: string, scopes: string[]): Resource => ({
  id: name,
  identifier: `https://${name}.test`,
  name,
  scopes,
  tokenFormat: 'jwt',
  tokenTyp: 'at+jwt',
  alg: 'ES256',
  lifetime: null,
  createdAt: 0,
  updatedAt: 0,
  version: 0,
})

const all = ['one', 'two', 'three'].map(name => resourceOf(name, [`${name}:read`, `${name}:write`]))
const directory: ResourceDirectory = {
  find: identifier => all.find(resource => resource.identifier === identifier),
  ofScope: scope => all.find(resource => resource.scopes.includes(scope)),
  all: () => all,
  reload: async () => undefined,
}
const anyScope = fc.subarray([
  'openid',
  'profile',
  'offline_access',
  ...all.flatMap(one => one.scopes),
  'unknown',
])
const anyNamed = fc.subarray(all.map(resource => resource.identifier))

describe('resourcesMeant and audienceOf', () => {
  it('named: exactly those, in their order, never the issuer, whatever the scope', () => {
    fc.assert(
      fc.property(anyScope, anyNamed, (scope, named) => {
        fc.pre(named.length > 0)
        expect(resourcesMeant(named, scope, directory).map(one => one.identifier)).toEqual(named)
        const aud = audienceOf({ resources: named, scope }, issuer, directory)
        expect([aud].flat()).toEqual(named)
        expect([aud].flat()).not.toContain(issuer)
        expect(Array.isArray(aud)).toBe(named.length > 1)
      }),
    )
  })

  it('not named: the API whose scopes there are, with the issuer when openid is; two APIs are refused', () => {
    fc.assert(
      fc.property(anyScope, scope => {
        const apis = all.filter(resource => resource.scopes.some(name => scope.includes(name)))
        if (apis.length > 1) {
          expect(() => resourcesMeant([], scope, directory)).toThrow(/more than one API/)
          return
        }
        const expected = [
          ...apis.map(resource => resource.identifier),
          ...(apis.length === 0 || scope.includes('openid') ? [issuer] : []),
        ]
        const aud = audienceOf({ resources: [], scope }, issuer, directory)
        expect([aud].flat()).toEqual(expected)
        expect(Array.isArray(aud)).toBe(expected.length > 1)
        expect(new Set(expected).size).toBe(expected.length)
      }),
    )
  })

  it('less scope never adds an audience that more scope did not have, the issuer of an API’s token aside', () => {
    fc.assert(
      fc.property(anyScope, fc.nat(), (scope, seed) => {
        fc.pre(all.filter(one => one.scopes.some(name => scope.includes(name))).length <= 1)
        const less = scope.filter((_, index) => (seed >> index) & 1)
        const wide = [audienceOf({ resources: [], scope }, issuer, directory)].flat()
        const narrow = [audienceOf({ resources: [], scope: less }, issuer, directory)].flat()
        for (const aud of narrow.filter(one => one !== issuer)) expect(wide).toContain(aud)
      }),
    )
  })
})

describe('judgeRotation', () => {
  const rotated = fc.record({ generation: fc.nat(1000), rotatedAt: fc.integer({ min: 0, max: 2 ** 33 }) })
  const later = fc.nat(2 ** 31)
  const judge = (
    one: { generation: number; rotatedAt: number },
    generation: number,
    isPublic: boolean,
    after: number,
  ) => judgeRotation(one, generation, { isPublic, now: new Date((one.rotatedAt + after) * 1000) })

  it('the present token rotates, at any time, and no other does', () => {
    fc.assert(
      fc.property(
        rotated,
        fc.integer({ min: -5, max: 1005 }),
        fc.boolean(),
        later,
        (one, generation, isPublic, after) => {
          expect(judge(one, generation, isPublic, after) === 'rotates').toBe(generation === one.generation)
        },
      ),
    )
  })

  it('only the token before may repeat: for 10 seconds, or for those who authenticate until the successor is used', () => {
    fc.assert(
      fc.property(
        rotated,
        fc.integer({ min: -5, max: 1005 }),
        fc.boolean(),
        later,
        (one, generation, isPublic, after) => {
          const may = generation === one.generation - 1 && (!isPublic || after <= grace)
          expect(judge(one, generation, isPublic, after) === 'repeats').toBe(may)
        },
      ),
    )
  })

  it('what is reuse stays reuse: time and further rotations never make a token good again', () => {
    fc.assert(
      fc.property(
        rotated,
        fc.nat(1000),
        fc.boolean(),
        later,
        later,
        fc.nat(5),
        (one, generation, isPublic, after, more, rotations) => {
          fc.pre(generation <= one.generation && judge(one, generation, isPublic, after) === 'reused')
          expect(judge(one, generation, isPublic, after + more)).toBe('reused')
          const next = { generation: one.generation + rotations, rotatedAt: one.rotatedAt + after }
          if (rotations > 0) expect(judge(next, generation, isPublic, more)).toBe('reused')
        },
      ),
    )
  })
})
