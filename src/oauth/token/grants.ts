/** What `/token` redeems. One row a grant type. */
import type { Context } from 'koa'
import type { Params } from '../../http/params.ts'
import type { Services } from '../../services.ts'
import type { Client } from '../client/client.ts'
import type { TokenResponse, TokenSettings } from '../tokens/issue.ts'
import { authorizationCodeGrant } from './authorization-code-grant.ts'
import { clientCredentialsGrant } from './client-credentials-grant.ts'
import { refreshTokenGrant } from './refresh-token-grant.ts'

export type GrantNeeds = Pick<
  Services,
  'issuer' | 'store' | 'keys' | 'now' | 'audit' | 'log' | 'resources' | 'refreshTokenKey'
>

export type Grant = (
  services: GrantNeeds,
  settings: TokenSettings,
  request: { ctx: Context; client: Client; params: Params },
) => Promise<TokenResponse>

export const grants = new Map<string, Grant>([
  ['authorization_code', authorizationCodeGrant],
  ['refresh_token', refreshTokenGrant],
  ['client_credentials', clientCredentialsGrant],
])
