/** An authorization request, parsed once into what the flow needs; the type follows from the parser. */
import type { Params } from '../../http/params.ts'
import { Refusal } from '../../http/refusal.ts'
import type { Services } from '../../services.ts'
import type { Client } from '../client/client.ts'
import { invalidRequest, unauthorizedClient, unsupportedResponseType } from '../errors.ts'
import { parseMaxAge } from '../parameters/max-age.ts'
import { parsePkce } from '../parameters/pkce.ts'
import { parsePrompt } from '../parameters/prompt.ts'
import { parseOwnResource, resourcesMeant } from '../parameters/resource.ts'
import { parseScope } from '../parameters/scope.ts'
import { readIdTokenHint } from '../tokens/id-token.ts'
import type { ReplyTo } from './reply-to.ts'
import { responseModes } from './response-modes.ts'

export const responseTypes = ['code'] as const

const longestText = 2000

/** A text that is handed through or shown; capped, so that no stored request grows without bound. */
const shortText = (params: Params, name: string): string | undefined => {
  const value = params.get(name)
  if (value !== undefined && value.length > longestText)
    throw invalidRequest(`${name} is longer than ${longestText} characters`)
  return value
}

const parseResponse = (params: Params, client: Client): void => {
  const responseType = params.get('response_type')
  if (responseType === undefined) throw invalidRequest('response_type is missing')
  if (responseType !== 'code')
    throw unsupportedResponseType(`response_type must be: ${responseTypes.join(', ')}`)
  if (!client.grantTypes.has('authorization_code'))
    throw unauthorizedClient('this client is not registered for the authorization code grant')
  const mode = params.get('response_mode')
  if (mode !== undefined && !responseModes.has(mode))
    throw invalidRequest(`response_mode must be of: ${[...responseModes.keys()].join(', ')}`)
}

/** Parameters that we do not take, each with the error that its specification names. */
const refuseUnsupported = (params: Params): void => {
  if (params.has('request')) throw new Refusal('request_not_supported', 'request objects are not supported')
  if (params.has('request_uri'))
    throw new Refusal('request_uri_not_supported', 'request_uri is not supported')
  if (params.has('registration'))
    throw new Refusal('registration_not_supported', 'registration is not supported')
}

const parseTexts = (params: Params) => {
  shortText(params, 'state')
  const nonce = shortText(params, 'nonce')
  const loginHint = shortText(params, 'login_hint')?.slice(0, 300)
  const uiLocales = params.get('ui_locales')?.slice(0, 200)
  return {
    ...(nonce === undefined ? {} : { nonce }),
    ...(loginHint === undefined ? {} : { loginHint }),
    ...(uiLocales === undefined ? {} : { uiLocales }),
  }
}

/** An unusable hint is as good as a person who is not signed in (contracts.md section 6, Errors). */
const parseHint = (services: Pick<Services, 'issuer' | 'keys'>, params: Params): { hintedSub?: string } => {
  const text = params.get('id_token_hint')
  if (text === undefined) return {}
  const hint = readIdTokenHint(services, text)
  if (hint) return { hintedSub: hint.sub }
  return parsePrompt(params).prompt.includes('none') ? { hintedSub: '' } : {}
}

/**
 * Parses an authorization request whose way back is known already.
 *
 * @throws Refusal that goes back to the app (RFC 6749 section 4.1.2.1)
 */
export const parseAuthorizationRequest = (
  services: Pick<Services, 'issuer' | 'keys' | 'resources'>,
  params: Params,
  client: Client,
  replyTo: ReplyTo,
) => {
  params.refuseRepeated()
  refuseUnsupported(params)
  parseResponse(params, client)
  const request = {
    clientId: client.id,
    replyTo: replyTo.stored,
    ...parseScope(params, client, services.resources),
    ...parseOwnResource(params, client, services.resources),
    ...parsePkce(params, client),
    ...parsePrompt(params),
    ...parseMaxAge(params, client),
    ...parseTexts(params),
    ...parseHint(services, params),
  }
  resourcesMeant(request.resources, request.scope, services.resources)
  return request
}

export type AuthorizationRequest = ReturnType<typeof parseAuthorizationRequest>
