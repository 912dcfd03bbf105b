import { describe, expect, it } from 'vitest'
import { grantedScope, nextStep, type Situation } from '../../src/oauth/authorize/next-step.ts'
import type { AuthorizationRequest } from '../../src/oauth/authorize/request.ts'

const now = 1_800_000_000

const request = (change: Partial<AuthorizationRequest> = {}): AuthorizationRequest => ({
  clientId: 'web',
  replyTo: { redirectUri: 'https://web.test/cb', responseMode: 'query' },
  scope: ['openid'],
  ignoredScope: [],
  resources: [],
  prompt: [],
  ...change,
})

const alice = { sessionId: 'session-a', sub: 'sub-a', authTime: now - 100 }
const asked = { sessionId: 'session-a', authenticated: true }
const chosen = { sessionId: 'session-a', authenticated: false }

/** Alice, who allowed `openid` before, with nothing behind her. */
const situation = (change: Partial<Situation> = {}): Situation => ({
  present: alice,
  signIn: undefined,
  consented: new Set(['openid']),
  isFirstParty: false,
  isKnownBrowser: true,
  now,
  ...change,
})

const anonymous = { present: undefined }
const never = { consented: undefined }

type Case = [what: string, Partial<AuthorizationRequest>, Partial<Situation>, string]

const cases: Case[] = [
  ['nobody is signed in', {}, anonymous, 'sign-in'],
  ['nobody is signed in, whatever was allowed', {}, { ...anonymous, isFirstParty: true }, 'sign-in'],
  ['the session that signed in has ended meanwhile', {}, { ...anonymous, signIn: asked }, 'sign-in'],
  ['somebody who allowed it', {}, {}, 'respond'],
  ['somebody who never allowed anything', {}, never, 'consent'],
  ['a new scope', { scope: ['openid', 'email'] }, {}, 'consent'],
  ['offline_access alone is new', { scope: ['openid', 'offline_access'] }, {}, 'respond'],
  ['offline_access and another are new', { scope: ['openid', 'email', 'offline_access'] }, {}, 'consent'],
  ['no scope at all, never asked', { scope: [] }, never, 'consent'],
  ['no scope at all, asked before', { scope: [] }, {}, 'respond'],
  ['no scope at all, allowed before with none', { scope: [] }, { consented: new Set<string>() }, 'respond'],
  ['a first-party app is never asked for', { scope: ['email'] }, { ...never, isFirstParty: true }, 'respond'],

  ['prompt=consent', { prompt: ['consent'] }, {}, 'consent'],
  ['prompt=consent of a first-party app', { prompt: ['consent'] }, { isFirstParty: true }, 'respond'],

  ['prompt=login', { prompt: ['login'] }, {}, 'sign-in again'],
  ['prompt=login, asked on this request', { prompt: ['login'] }, { signIn: asked }, 'respond'],
  ['prompt=login, only chosen', { prompt: ['login'] }, { signIn: chosen }, 'sign-in again'],
  [
    'prompt=login, asked in another session',
    { prompt: ['login'] },
    { signIn: { ...asked, sessionId: 'session-b' } },
    'sign-in again',
  ],
  [
    'prompt=login, signed in this very second by another request',
    { prompt: ['login'] },
    { present: { ...alice, authTime: now } },
    'sign-in again',
  ],
  ['prompt=login of a first-party app', { prompt: ['login'] }, { isFirstParty: true }, 'sign-in again'],
  ['prompt=login consent', { prompt: ['login', 'consent'] }, { signIn: asked }, 'consent'],

  ['prompt=select_account', { prompt: ['select_account'] }, {}, 'choose-account'],
  ['prompt=select_account, chosen', { prompt: ['select_account'] }, { signIn: chosen }, 'respond'],
  ['prompt=select_account, signed in', { prompt: ['select_account'] }, { signIn: asked }, 'respond'],
  [
    'prompt=select_account, chosen, and another became active since',
    { prompt: ['select_account'] },
    { signIn: { ...chosen, sessionId: 'session-b' } },
    'choose-account',
  ],
  ['prompt=select_account with nobody', { prompt: ['select_account'] }, anonymous, 'choose-account'],
  [
    'prompt=select_account at a new browser',
    { prompt: ['select_account'] },
    { ...anonymous, isKnownBrowser: false },
    'sign-in',
  ],
  [
    'prompt=select_account with a hint, and nobody',
    { prompt: ['select_account'], hintedSub: 'sub-a' },
    anonymous,
    'sign-in',
  ],
  [
    'prompt=select_account, chosen, and signed out since',
    { prompt: ['select_account'] },
    { ...anonymous, signIn: chosen },
    'sign-in',
  ],
  ['prompt=login select_account', { prompt: ['login', 'select_account'] }, {}, 'choose-account'],
  ['the same, chosen', { prompt: ['login', 'select_account'] }, { signIn: chosen }, 'sign-in again'],
  ['the same, signed in', { prompt: ['login', 'select_account'] }, { signIn: asked }, 'respond'],

  ['max_age=0', { maxAge: 0 }, {}, 'sign-in again'],
  [
    'max_age=0 in the second of the sign-in',
    { maxAge: 0 },
    { present: { ...alice, authTime: now } },
    'sign-in again',
  ],
  ['max_age=0, asked on this request', { maxAge: 0 }, { signIn: asked }, 'respond'],
  ['max_age in the past', { maxAge: 99 }, {}, 'sign-in again'],
  ['max_age reached and not passed', { maxAge: 100 }, {}, 'respond'],
  ['max_age in the past, asked on this request', { maxAge: 99 }, { signIn: asked }, 'respond'],
  ['max_age in the past, only chosen', { maxAge: 99 }, { signIn: chosen }, 'sign-in again'],
  ['max_age far off', { maxAge: 9_999_999_999 }, {}, 'respond'],
  [
    'max_age with a clock that was set back',
    { maxAge: 5 },
    { present: { ...alice, authTime: now + 60 } },
    'respond',
  ],

  ['the hint of this person', { hintedSub: 'sub-a' }, {}, 'respond'],
  ['the hint of another', { hintedSub: 'sub-b' }, {}, 'sign-in'],
  ['the hint of another, who did not sign in', { hintedSub: 'sub-b' }, { signIn: asked }, 'wrong-person'],
  ['the hint of another, not chosen', { hintedSub: 'sub-b' }, { signIn: chosen }, 'sign-in'],
  ['an unusable hint where nobody may be asked', { hintedSub: '', prompt: ['none'] }, {}, 'sign-in'],
  ['a hint, and nobody', { hintedSub: 'sub-a' }, anonymous, 'sign-in'],

  ['prompt=none changes nothing here', { prompt: ['none'] }, {}, 'respond'],
  ['prompt=none with nobody', { prompt: ['none'] }, anonymous, 'sign-in'],
  ['prompt=none, a new scope', { prompt: ['none'], scope: ['email'] }, {}, 'consent'],
  ['prompt=none, too long ago', { prompt: ['none'], maxAge: 1 }, {}, 'sign-in again'],
]

describe('nextStep', () => {
  it.each(cases)('%s: %#', (_, change, circumstances, expected) => {
    const step = nextStep(request(change), situation(circumstances))
    expect(step.kind === 'sign-in' && step.askAgain ? 'sign-in again' : step.kind).toBe(expected)
  })

  it('changes nothing that it is handed', () => {
    const one = Object.freeze(
      request({ prompt: Object.freeze(['login']) as never, scope: Object.freeze(['a']) as never }),
    )
    nextStep(one, Object.freeze(situation()))
  })
})

describe('grantedScope', () => {
  const scope = ['openid', 'offline_access', 'email']
  const without = ['openid', 'email']
  const nobodyAsked = { consented: undefined, consentedNow: false, isFirstParty: false }
  it.each([
    ['it was never shown', nobodyAsked, true, without],
    [
      'other scopes are remembered',
      { ...nobodyAsked, consented: new Set(['openid', 'email']) },
      true,
      without,
    ],
    ['consent was shown now', { ...nobodyAsked, consentedNow: true }, true, scope],
    ['it is remembered', { ...nobodyAsked, consented: new Set(['offline_access']) }, true, scope],
    ['the app is first-party', { ...nobodyAsked, isFirstParty: true }, true, scope],
    ['the client has no refresh tokens', { ...nobodyAsked, consentedNow: true }, false, without],
    ['a first-party client has none', { ...nobodyAsked, isFirstParty: true }, false, without],
  ] as const)('offline_access where %s', (_, circumstances, canRefresh, expected) => {
    expect(grantedScope(request({ scope }), circumstances, canRefresh)).toEqual(expected)
  })
})
