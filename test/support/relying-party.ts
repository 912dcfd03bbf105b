/** A small app on an origin of its own, with openid-client as it comes: signs in, signs out, listens to logout. */
import { randomBytes } from 'node:crypto'
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from 'jose'
import * as oidc from 'openid-client'
import type { TestClient, TestServer } from './server.ts'
import { htmlPage, type Site, type SiteHandlers, type SiteVisit, startSite } from './site.ts'

export type RelyingPartyOptions = {
  /** The name of its host, and what people call it. */
  hostname: string
  name?: string
  /** Registered besides what the app itself needs. */
  metadata?: Record<string, unknown>
  scope?: string
  /** Sent with every authorization request; what `/login` is asked with comes on top. */
  parameters?: Record<string, string>
  /** Where its callback sends the browser when somebody is signed in; `/` by default. */
  afterwards?: string
}

type SignedIn = { username: string; sub: string; sid: string; idToken: string; responseMode: string }

export type RelyingParty = Site & {
  client: TestClient
  /** Everybody who is signed in. */
  signedIn: () => SignedIn[]
  /** The claims of every logout token that was taken. */
  logoutTokens: JWTPayload[]
  /** Moves its clock as the server's was moved. */
  sleep: (seconds: number) => void
}

type Attempt = { state: string; nonce: string; verifier: string; isPopup: boolean }

/** Starts an app and registers it. */
export const startRelyingParty = async (
  server: TestServer,
  options: RelyingPartyOptions,
): Promise<RelyingParty> => {
  const { hostname, name = hostname, scope = 'openid profile', afterwards = '/' } = options
  const cookie = hostname.replaceAll('.', '-')
  const sessions = new Map<string, SignedIn>()
  // By `state` and not in a cookie: an answer that is posted from another site brings no Lax cookie along.
  const attempts = new Map<string, Attempt>()
  const logoutTokens: JWTPayload[] = []
  let skew = 0

  const configuration = async (): Promise<oidc.Configuration> => {
    const execute = [oidc.allowInsecureRequests]
    const found = await oidc.discovery(
      new URL(server.issuer),
      client.id,
      { ...(client.secret === undefined ? {} : { client_secret: client.secret }), [oidc.clockSkew]: skew },
      undefined,
      { execute },
    )
    return found
  }
  const sessionOf = ({ cookies }: SiteVisit): SignedIn | undefined => sessions.get(cookies.get(cookie) ?? '')

  const finish = async (answer: URLSearchParams, responseMode: string) => {
    const attempt = attempts.get(answer.get('state') ?? '')
    if (!attempt)
      return { status: 400, html: htmlPage('<p data-error="unknown_state">unknown state</p>', name) }
    attempts.delete(attempt.state)
    const refused = answer.get('error')
    if (refused !== null)
      return { html: htmlPage(`<h1>Refused</h1><p data-error="${refused}">${refused}</p>`, name) }
    const tokens = await oidc.authorizationCodeGrant(
      await configuration(),
      new URL(`${site.origin}/cb?${answer}`),
      { expectedState: attempt.state, expectedNonce: attempt.nonce, pkceCodeVerifier: attempt.verifier },
    )
    const claims = tokens.claims()
    if (!claims) throw new Error('no ID token came')
    const id = randomBytes(16).toString('hex')
    sessions.set(id, {
      username: String(claims['preferred_username']),
      sub: claims.sub,
      sid: String(claims['sid']),
      idToken: tokens.id_token ?? '',
      responseMode,
    })
    const cookies = [`${cookie}=${id}; Path=/; HttpOnly; SameSite=Lax`]
    if (!attempt.isPopup) return { to: afterwards, cookies }
    const told = JSON.stringify({ username: claims['preferred_username'] })
    return {
      cookies,
      html: htmlPage(`<script>opener.postMessage(${told}, location.origin); close()</script>`, name),
    }
  }

  const handlers: SiteHandlers = {
    'GET /': visit => {
      const session = sessionOf(visit)
      return {
        html: htmlPage(
          session
            ? `<h1>${name}</h1><p data-user="${session.username}" data-sid="${session.sid}">${session.username}</p>
               <form method="post" action="/sign-out"><button data-action="sign-out">Sign out</button></form>`
            : `<h1>${name}</h1><a href="/login" data-action="sign-in">Sign in</a>
               <button id="popup">Sign in in a window</button><output></output>
               <script>
                 document.querySelector('#popup').onclick = () => open('/login?popup', 'sign-in', 'width=500,height=600')
                 onmessage = event => { document.querySelector('output').textContent = event.origin + ' ' + event.data.username }
               </script>`,
          name,
        ),
      }
    },
    'GET /login': async ({ url }) => {
      const attempt = {
        state: oidc.randomState(),
        nonce: oidc.randomNonce(),
        verifier: oidc.randomPKCECodeVerifier(),
        isPopup: url.searchParams.has('popup'),
      }
      attempts.set(attempt.state, attempt)
      const asked = Object.fromEntries([...url.searchParams].filter(([key]) => key !== 'popup'))
      const to = oidc.buildAuthorizationUrl(await configuration(), {
        redirect_uri: `${site.origin}/cb`,
        scope,
        state: attempt.state,
        nonce: attempt.nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(attempt.verifier),
        code_challenge_method: 'S256',
        ...options.parameters,
        ...asked,
      })
      return { to: to.href }
    },
    'GET /cb': ({ url }) => finish(url.searchParams, 'query'),
    'POST /cb': ({ form }) => finish(form, 'form_post'),
    /** Here first, then at the provider with a hint. */
    'POST /sign-out': async visit => {
      const session = sessionOf(visit)
      sessions.delete(visit.cookies.get(cookie) ?? '')
      const to = oidc.buildEndSessionUrl(await configuration(), {
        ...(session ? { id_token_hint: session.idToken } : {}),
        post_logout_redirect_uri: `${site.origin}/signed-out`,
        state: 'left',
      })
      return { to: to.href }
    },
    /** A page that posts the logout to the provider from here. */
    'GET /post-sign-out': async visit => {
      const session = sessionOf(visit)
      const url = oidc.buildEndSessionUrl(await configuration(), {
        ...(session ? { id_token_hint: session.idToken } : {}),
        post_logout_redirect_uri: `${site.origin}/signed-out`,
        state: 'posted',
      })
      const inputs = [...url.searchParams].map(([key, value]) => `<input name="${key}" value="${value}">`)
      return {
        html: htmlPage(
          `<form method="post" action="${url.origin}${url.pathname}">${inputs.join('')}<button>Post</button></form>`,
          name,
        ),
      }
    },
    'GET /signed-out': ({ url }) => ({
      html: htmlPage(
        `<h1>Bye</h1><p data-left="${url.searchParams.get('state') ?? ''}">signed out</p>`,
        name,
      ),
    }),
    'POST /backchannel-logout': async ({ form }) => {
      const { payload } = await jwtVerify(
        form.get('logout_token') ?? '',
        createRemoteJWKSet(new URL((await configuration()).serverMetadata().jwks_uri ?? '')),
        { typ: 'logout+jwt', issuer: server.issuer, audience: client.id, clockTolerance: Math.abs(skew) + 5 },
      )
      logoutTokens.push(payload)
      for (const [id, session] of sessions) if (session.sid === payload['sid']) sessions.delete(id)
      return {}
    },
  }
  const site = await startSite(hostname, handlers)
  const client = await server.createClient({
    client_name: name,
    redirect_uris: [`${site.origin}/cb`],
    post_logout_redirect_uris: [`${site.origin}/signed-out`],
    initiate_login_uri: `${site.origin}/login`,
    client_uri: `${site.origin}/`,
    backchannel_logout_uri: `${site.origin}/backchannel-logout`,
    backchannel_logout_session_required: true,
    ...options.metadata,
  })
  return {
    ...site,
    client,
    signedIn: () => [...sessions.values()],
    logoutTokens,
    sleep: seconds => {
      skew += seconds
    },
  }
}
