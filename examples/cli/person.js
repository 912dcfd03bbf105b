#!/usr/bin/env node
// @ts-check
// For a person: the browser signs them in, and comes back to a port of the moment on this machine (RFC 8252).
import * as openid from 'openid-client'
import { openInBrowser, waitForAnswer } from './loopback.js'
import { callApi, discover, run, setting } from './provider.js'
import { forgetTokens, keepTokens, keptTokens } from './token-file.js'

const usage = `Usage: person.js                list your tasks
       person.js add "Buy a key"  add one
       person.js sign-out         forget the tokens, here and at the provider`

const [command = 'list', ...words] = process.argv.slice(2)
if (!['list', 'add', 'sign-out'].includes(command) || (command === 'add' && words.length === 0)) {
  console.error(usage)
  process.exit(2)
}

await run(async () => {
  const configuration = await discover()
  if (command === 'sign-out') return signOut(configuration)

  const accessToken = (await refreshed(configuration)) ?? (await signIn(configuration))
  if (command === 'add') await callApi(accessToken, '/tasks', { text: words.join(' ') })
  const tasks = /** @type {{ text: string, done: boolean }[]} */ (await callApi(accessToken, '/tasks'))
  for (const { text, done } of tasks) console.log(`${done ? '[x]' : '[ ]'} ${text}`)
})

/**
 * An access token for the refresh token of last time. Undefined when there is none, or when the session at
 * the provider has ended meanwhile.
 * @param {openid.Configuration} configuration
 */
async function refreshed(configuration) {
  const kept = await keptTokens()
  if (!kept) return undefined
  try {
    const tokens = await openid.refreshTokenGrant(configuration, kept.refreshToken)
    // Good for once: the next run needs the one that came now.
    await keepTokens({ ...kept, refreshToken: tokens.refresh_token ?? kept.refreshToken })
    console.error(`You are still signed in as ${kept.username}.`)
    return tokens.access_token
  } catch (error) {
    if (!(error instanceof openid.ResponseBodyError && error.error === 'invalid_grant')) throw error
    await forgetTokens()
    console.error('Your session at the provider has ended.')
    return undefined
  }
}

/** @param {openid.Configuration} configuration */
async function signIn(configuration) {
  const codeVerifier = openid.randomPKCECodeVerifier()
  const state = openid.randomState()
  const nonce = openid.randomNonce()
  const { redirectUri, answer } = await waitForAnswer(state)
  const url = openid.buildAuthorizationUrl(configuration, {
    redirect_uri: redirectUri,
    scope: 'openid profile tasks:read tasks:write',
    resource: setting('API_URL'),
    state,
    nonce,
    code_challenge: await openid.calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
  })
  console.error(`Open this address in a browser to sign in:\n\n  ${url.href}\n`)
  openInBrowser(url.href)

  const tokens = await openid.authorizationCodeGrant(configuration, await answer, {
    expectedState: state,
    expectedNonce: nonce,
    pkceCodeVerifier: codeVerifier,
    idTokenExpected: true,
  })
  const claims = tokens.claims()
  const username = String(claims?.preferred_username ?? claims?.sub)
  console.error(`Hello, ${username}.`)
  if (tokens.refresh_token) await keepTokens({ username, refreshToken: tokens.refresh_token })
  return tokens.access_token
}

/** @param {openid.Configuration} configuration */
async function signOut(configuration) {
  const kept = await keptTokens()
  if (kept && configuration.serverMetadata().revocation_endpoint)
    await openid.tokenRevocation(configuration, kept.refreshToken)
  await forgetTokens()
  console.error(kept ? 'Signed out of the terminal. The browser keeps its session.' : 'Nobody was signed in.')
}
