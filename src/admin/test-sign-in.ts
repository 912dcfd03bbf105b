/**
 * A test sign-in: the authorization that an app would ask for, run by an administrator for themselves, with PKCE, and
 * the tokens that it would get. It goes through what `/authorize` and `/token` go through, and no redirect is made: the
 * answer has the app's registered redirect URI in it and stays here. What it gives is revoked before it is shown, and
 * shown without signatures (docs/decisions/0009-test-sign-in.md).
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Context } from 'koa'
import type { TestSignInView } from '../http/admin-views.ts'
import { Params } from '../http/params.ts'
import { Refusal } from '../http/refusal.ts'
import { grantedScope, nextStep } from '../oauth/authorize/next-step.ts'
import { ReplyTo } from '../oauth/authorize/reply-to.ts'
import { parseAuthorizationRequest } from '../oauth/authorize/request.ts'
import { newGrant } from '../oauth/authorize/respond.ts'
import type { Client } from '../oauth/client/client.ts'
import { revokeAuthorization } from '../oauth/grant/authorization.ts'
import { claimsOf } from '../oauth/grant/claims.ts'
import { consentsOf } from '../oauth/grant/consent.ts'
import { type GrantNeeds, grants } from '../oauth/token/grants.ts'
import { denyAccessToken } from '../oauth/tokens/denylist.ts'
import type { TokenResponse, TokenSettings } from '../oauth/tokens/issue.ts'
import type { TokenReader } from '../oauth/tokens/presented-token.ts'
import type { Services } from '../services.ts'
import { changed } from '../store/change.ts'
import type { Write } from '../store/commit.ts'
import { seconds } from '../store/single-use.ts'
import { adminToldOf, toldOf } from './actor.ts'
import type { Admin } from './admin-room.ts'

export type TestNeeds = GrantNeeds & Pick<Services, 'clients'>
export type TestSettings = TokenSettings & { codeTtl: number }

export type Outcome = NonNullable<TestSignInView['outcome']>

type Wanted = { client: Client; scope: readonly string[]; redirectUri: string | undefined }

/** Runs it. What the app would be refused is an outcome like another. */
export const runTestSignIn = async (
  services: TestNeeds,
  settings: TestSettings,
  readToken: TokenReader,
  { ctx, admin, wanted }: { ctx: Context; admin: Admin; wanted: Wanted },
): Promise<Outcome> => {
  try {
    return wanted.client.grantTypes.has('authorization_code')
      ? await asPerson(services, settings, readToken, { ctx, admin, wanted })
      : await asMachine(services, settings, readToken, { ctx, admin, wanted })
  } catch (error) {
    if (!(error instanceof Refusal) || error.status >= 500) throw error
    return { kind: 'refused', error: error.error, description: error.description }
  }
}

type Run = { ctx: Context; admin: Admin; wanted: Wanted }

const asPerson = async (
  services: TestNeeds,
  settings: TestSettings,
  readToken: TokenReader,
  { ctx, admin, wanted }: Run,
): Promise<Outcome> => {
  const { store, now, issuer } = services
  const { client } = wanted
  const verifier = randomBytes(32).toString('base64url')
  const asked = Params.parse(
    String(
      new URLSearchParams({
        client_id: client.id,
        redirect_uri: wanted.redirectUri ?? client.redirectUris[0] ?? '',
        response_type: 'code',
        scope: wanted.scope.join(' '),
        state: 'test',
        nonce: 'test',
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
      }),
    ),
  )
  const replyTo = ReplyTo.match(asked, client, issuer)
  const request = parseAuthorizationRequest(services, asked, client, replyTo)
  const { session, user } = admin
  const consent = (await consentsOf(store, user.id)).find(({ clientId }) => clientId === client.id)
  const situation = {
    present: { sessionId: session.id, sub: user.sub, authTime: session.authTime },
    signIn: undefined,
    consented: consent && new Set(consent.scope.split(' ')),
    isFirstParty: client.isFirstParty,
    isKnownBrowser: true,
    now: seconds(now()),
  }
  const step = nextStep(request, situation).kind
  const canRefresh = client.grantTypes.has('refresh_token')
  const scope = grantedScope(request, { ...situation, consentedNow: true }, canRefresh)
  const { authTime, amr, acr } = session
  const { authorizationId, code, writes } = newGrant(
    { client, request, scope, person: { userId: user.id, sessionId: session.id, authTime, amr, acr } },
    { codeTtl: settings.codeTtl, ttl: settings.codeTtl + settings.accessTokenTtl },
    now(),
  )
  const told = {
    event: 'authorization.granted',
    clientId: client.id,
    userId: user.id,
    reason: 'test_sign_in',
    detail: { scope: scope.join(' '), authorization: authorizationId },
  } as const
  await store.commit([...writes, ...toldOf(services, admin.actor, told)])
  const end = [
    revokeAuthorization(authorizationId, 'test_sign_in', now()),
    ...toldOf(services, admin.actor, { ...told, event: 'grant.revoked' }),
  ]
  const answer = await ending(services, end, readToken, () =>
    redeem(services, settings, ctx, client, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: request.replyTo.redirectUri,
      code_verifier: verifier,
    }),
  )
  return {
    kind: 'tokens',
    asks: step === 'consent' ? 'consent' : step === 'respond' ? 'nothing' : 'sign-in',
    ...answer,
  }
}

const asMachine = async (
  services: TestNeeds,
  settings: TestSettings,
  readToken: TokenReader,
  { ctx, admin, wanted }: Run,
): Promise<Outcome> => {
  const told = adminToldOf(services, admin.actor, {
    event: 'authorization.granted',
    clientId: wanted.client.id,
    reason: 'test_sign_in',
  })
  const answer = await ending(services, told, readToken, () =>
    redeem(services, settings, ctx, wanted.client, {
      grant_type: 'client_credentials',
      ...(wanted.scope.length === 0 ? {} : { scope: wanted.scope.join(' ') }),
    }),
  )
  return { kind: 'tokens', asks: 'nothing', ...answer }
}

/** What the token endpoint would answer to the app; the app itself is not there to authenticate. */
const redeem = (
  services: TestNeeds,
  settings: TestSettings,
  ctx: Context,
  client: Client,
  parameters: Record<string, string>,
): Promise<TokenResponse> => {
  const grant = grants.get(parameters['grant_type'] ?? '')
  if (!grant) throw new Error(`no grant ${parameters['grant_type']}`)
  return grant(services, settings, {
    ctx,
    client,
    params: Params.parse(String(new URLSearchParams(parameters))),
  })
}

type Shown = Pick<Extract<Outcome, { kind: 'tokens' }>, 'answer' | 'tokens' | 'userinfo'>

/** Takes the tokens, reads them, and ends all that was given, whatever happens in between. */
const ending = async (
  services: TestNeeds,
  end: readonly Write[],
  readToken: TokenReader,
  take: () => Promise<TokenResponse>,
): Promise<Shown> => {
  let writes = [...end]
  try {
    const answer = await take()
    const access = await readToken(answer.access_token)
    if (access) writes = [...writes, denyAccessToken(access.jti, access.expiresAt), changed('denylist')]
    const userinfo =
      access?.standing && access.audience.includes(services.issuer) && access.scope.includes('openid')
        ? { sub: access.standing.sub, ...(await claimsOf(services.store, access.standing, access.scope)) }
        : undefined
    return {
      answer: inJson({ ...answer, ...withheld(answer) }),
      tokens: [
        ...(answer.id_token === undefined ? [] : [{ name: 'id_token', ...decoded(answer.id_token) }]),
        {
          name: 'access_token',
          ...(answer.access_token.includes('.')
            ? decoded(answer.access_token)
            : { payload: inJson(access?.claims) }),
        },
      ],
      userinfo: userinfo && inJson(userinfo),
    }
  } finally {
    await services.store.commit(writes)
  }
}

const inJson = (value: unknown): string => JSON.stringify(value, null, 2)

/** In place of what could be used. */
const withheld = (answer: TokenResponse): Record<string, string> =>
  Object.fromEntries(
    ['access_token', 'id_token', 'refresh_token'].filter(name => name in answer).map(name => [name, '…']),
  )

/** A JWT without its signature: nobody takes it for one. */
const decoded = (token: string): { header: string; payload: string } => {
  const [header = '', payload = ''] = token.split('.')
  const part = (text: string): string => inJson(JSON.parse(Buffer.from(text, 'base64url').toString()))
  return { header: part(header), payload: part(payload) }
}
