#!/usr/bin/env node
// @ts-check
// For a machine: no person, no browser. The program signs in as itself (client_credentials).
import * as openid from 'openid-client'
import { callApi, discover, run, setting } from './provider.js'

await run(async () => {
  const configuration = await discover()
  const tokens = await openid.clientCredentialsGrant(configuration, {
    scope: 'tasks:count',
    resource: setting('API_URL'), // for this API alone (RFC 8707)
  })
  // No refresh token comes, and none is needed: the secret gets another access token any time.
  console.error(`The provider gave a token for ${tokens.scope}, good for ${tokens.expires_in} seconds.`)
  console.log(JSON.stringify(await callApi(tokens.access_token, '/count')))
})
