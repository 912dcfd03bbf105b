// @ts-check
import * as openid from 'openid-client'

/**
 * A setting that the command cannot do without.
 * @param {string} name
 */
export function setting(name) {
  const value = process.env[name]
  if (value) return value
  console.error(`${name} is missing in the environment: see README.md`)
  process.exit(2)
}

/** The provider, by its own description. Plain http only on this machine. */
export function discover() {
  const issuer = setting('ISSUER')
  const isHere = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(issuer)
  const authentication = process.env.CLIENT_SECRET
    ? openid.ClientSecretBasic(process.env.CLIENT_SECRET)
    : openid.None() // a program on somebody's computer cannot keep a secret
  return openid.discovery(new URL(issuer), setting('CLIENT_ID'), undefined, authentication, {
    execute: isHere ? [openid.allowInsecureRequests] : [],
  })
}

/**
 * Calls the API, and fails with what it says.
 * @param {string} accessToken
 * @param {string} path
 * @param {unknown} [json] sent with POST
 */
export async function callApi(accessToken, path, json) {
  const answer = await fetch(setting('API_URL') + path, {
    method: json === undefined ? 'GET' : 'POST',
    headers: {
      Authorization: `Bearer ${accessToken}`,
      ...(json !== undefined && { 'Content-Type': 'application/json' }),
    },
    ...(json !== undefined && { body: JSON.stringify(json) }),
    redirect: 'error', // a token goes to the API and nowhere else
  })
  if (answer.ok) return answer.json()
  const why = answer.headers.get('WWW-Authenticate') ?? (await answer.text())
  throw new Error(`the API answered ${answer.status}: ${why}`)
}

/** Runs a command: what goes wrong is said in a line, and the exit code is 1. @param {() => Promise<void>} command */
export async function run(command) {
  try {
    await command()
  } catch (error) {
    const { error: code, error_description: description, message, cause } = Object(error)
    const why = [message, Object(cause).message].filter(Boolean).join(': ')
    console.error(
      code ? `The provider refused: ${code}${description ? `, ${description}` : ''}` : `Failed: ${why}`,
    )
    process.exitCode = 1
  }
}
