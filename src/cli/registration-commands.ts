/** `lintel client initial-access-token`, and the tokens that clients manage themselves with (RFC 7591, RFC 7592). */
import type { Command } from 'commander'
import { createInitialAccessToken, replaceRegistrationToken } from '../admin/registration-operations.ts'
import type { Config } from '../config.ts'
import { registrationPath } from '../oauth/registration-answer.ts'
import { usageError } from './failure.ts'
import { onServices, operator } from './on-services.ts'
import { parseGivenDuration } from './option-values.ts'
import type { Answer, Terminal } from './terminal.ts'
import { date, record } from './words.ts'

const sayWhenOff = ({ registration }: Config, terminal: Terminal): void => {
  if (registration === 'off')
    terminal.say('warning: LINTEL_REGISTRATION is off: /register answers 404 until it is token or open')
}

export const describeInitialAccessToken = (command: Command, terminal: Terminal): void => {
  command
    .description('make a token with which an app may register one client at /register')
    .option('--expires-in <duration>', 'how long it may be used', '24h')
  onServices(command, terminal, async ({ services, config }) => {
    const { expiresIn } = command.opts<{ expiresIn: string }>()
    const ttl = parseGivenDuration('--expires-in', expiresIn)
    if (ttl === 0) throw usageError('--expires-in must be longer than that')
    sayWhenOff(config, terminal)
    const { token, expiresAt } = await createInitialAccessToken(services, ttl, operator)
    const value = { initial_access_token: token, expires_at: expiresAt }
    return {
      value,
      text: `${record({ ...value, expires_at: date(expiresAt) })}\n\nIt is shown this once, and works once.`,
    }
  })
}

/** Gives a client that registered itself another token to manage itself with. */
export const replaceToken = async (
  { services, config, terminal }: Parameters<Parameters<typeof onServices>[2]>[0],
  id: string,
): Promise<Answer> => {
  sayWhenOff(config, terminal)
  const { client, token } = await replaceRegistrationToken(services, id, operator)
  const value = {
    client_id: client.id,
    registration_access_token: token,
    registration_client_uri: `${services.issuer}${registrationPath}/${client.id}`,
  }
  return { value, text: `${record(value)}\n\nThe token is shown this once; the old one has ended.` }
}
