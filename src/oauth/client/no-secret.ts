/** The method `none`: a public client that only says who it is. */
import type { Context } from 'koa'
import type { Params } from '../../http/params.ts'
import type { Presented } from './auth-methods.ts'
import type { Client } from './client.ts'

/** A `client_id` and nothing to prove it; Basic with an empty password says the same. */
export const readNone = (ctx: Context, params: Params): Presented | undefined => {
  if (
    ctx.req.headers.authorization !== undefined ||
    params.has('client_secret') ||
    params.has('client_assertion')
  )
    return undefined
  const clientId = params.get('client_id')
  return clientId === undefined ? undefined : { clientId, secrets: [] }
}

export const verifyNone = async (client: Client): Promise<string | undefined> =>
  client.isPublic ? undefined : 'wrong_credentials'
