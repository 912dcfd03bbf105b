/** Client metadata by its registered names (RFC 7591 section 2, OIDC Registration section 2), parsed once. */
import { z } from 'zod'
import { isLoopbackHost } from '../../config/addresses.ts'
import type { Refusal } from '../../http/refusal.ts'
import { invalidClientMetadata, invalidRedirectUri } from '../errors.ts'
import { assertionAlgorithms } from './assertion-algorithms.ts'
import { profileNames } from './profile.ts'
import { looksNative, redirectUriFault } from './redirect-uri.ts'

/** What the tables offer; handed in by `main.ts`, for they stand later. */
export type Offered = {
  grantTypes: readonly string[]
  responseTypes: readonly string[]
  authMethods: readonly string[]
  signingAlgorithms: readonly string[]
  /** What a client that registers itself may ask for; of the operator's nothing is withheld. */
  scopes?: readonly string[]
}

/** Visible text without control characters or marks that turn its direction. */
const text = (longest: number) =>
  z
    .string()
    .max(longest)
    .refine(
      value => !/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(value),
      'holds control characters',
    )

/** An address that a person may click: https, or http as well. */
const link = text(2000).refine(value => {
  if (!/^https?:\/\/[^/?#\\]/i.test(value) || !URL.canParse(value)) return false
  const url = new URL(value)
  return (url.protocol === 'https:' || url.protocol === 'http:') && !url.username && !url.password
}, 'must be an http or https URL')

/** https, or http on loopback. */
const secureLink = link.refine(
  // What is no link at all comes here too.
  value => !URL.canParse(value) || /^https:/i.test(value) || isLoopbackHost(new URL(value).hostname),
  'must be https; http is for loopback only',
)

const origin = text(300).refine(
  value => URL.canParse(value) && new URL(value).origin === value,
  'must be an origin such as https://app.example',
)

const uris = z.array(z.string()).max(50)

const shape = z.object({
  client_name: text(200).optional(),
  client_uri: link.optional(),
  logo_uri: link.optional(),
  policy_uri: link.optional(),
  tos_uri: link.optional(),
  initiate_login_uri: secureLink.optional(),
  contacts: z.array(text(300)).max(20).optional(),
  redirect_uris: uris.optional(),
  post_logout_redirect_uris: uris.optional(),
  grant_types: z.array(text(100)).max(20).optional(),
  response_types: z.array(text(100)).max(20).optional(),
  token_endpoint_auth_method: text(100).optional(),
  application_type: z.enum(['web', 'native']).optional(),
  scope: text(2000)
    .regex(
      /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/,
      'must be scope names with single spaces between',
    )
    .optional(),
  jwks: z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })).max(20) }).optional(),
  jwks_uri: link.optional(),
  token_endpoint_auth_signing_alg: text(20).optional(),
  id_token_signed_response_alg: text(20).optional(),
  subject_type: z.enum(['public']).optional(),
  default_max_age: z.number().int().min(0).max(1e9).optional(),
  require_auth_time: z.boolean().optional(),
  backchannel_logout_uri: link.optional(),
  backchannel_logout_session_required: z.boolean().optional(),
  software_id: text(300).optional(),
  software_version: text(100).optional(),
})

/** Members whose meaning would be lost if they were ignored. */
const dynamicShape = shape.extend({
  sector_identifier_uri: z.undefined('is not supported: every client is told the same sub').optional(),
})

/** What only the operator may set (contracts.md section 3); at `/register` it is ignored. */
const operatorShape = shape.extend({
  first_party: z.boolean().optional(),
  profile: z.enum(profileNames).optional(),
  resource_server_for: z.array(text(500)).max(50).optional(),
  require_pkce: z.boolean().optional(),
  backchannel_logout_on_idle: z.boolean().optional(),
  allowed_origins: z.array(origin).max(50).optional(),
  scope_claims_in_id_token: z.boolean().optional(),
  access_token_format: z.enum(['jwt', 'opaque']).optional(),
})

export type ClientMetadata = z.output<typeof operatorShape>

/** The names that may be set, for suggestions. */
export const metadataNames = { anybody: Object.keys(shape.shape), operator: Object.keys(operatorShape.shape) }

const codeGrant = 'authorization_code'

/** Whether it is a native app: it says so, or it is a public client with nothing but native URIs. */
export const isNative = (
  metadata: Pick<ClientMetadata, 'application_type' | 'token_endpoint_auth_method' | 'redirect_uris'>,
): boolean =>
  metadata.application_type === 'native' ||
  (metadata.application_type === undefined &&
    metadata.token_endpoint_auth_method === 'none' &&
    looksNative(metadata.redirect_uris ?? []))

/**
 * Parses metadata as it was sent.
 *
 * @param by who writes it: the operator may set more, and more freely
 * @throws Refusal `invalid_redirect_uri` or `invalid_client_metadata` naming the member and what is wrong with it
 */
export const parseClientMetadata = (
  value: unknown,
  by: 'operator' | 'dynamic',
  offered: Offered,
): ClientMetadata => {
  const parsed = (by === 'operator' ? operatorShape : dynamicShape).safeParse(value)
  if (!parsed.success) throw shapeRefusal(parsed.error)
  const metadata: ClientMetadata = by === 'dynamic' ? narrowed(parsed.data, offered) : parsed.data
  refuseUnoffered(metadata, offered)
  refuseContradictions(metadata, by)
  refuseRedirectUris(metadata, by)
  return metadata
}

/**
 * What a stranger asks for and may not have is left out, and the answer says what was registered (RFC 7591 section 2).
 * Where nothing would be left it is refused: the default would be more than was asked for.
 */
const narrowed = (metadata: ClientMetadata, offered: Offered): ClientMetadata => {
  const left = (
    member: keyof ClientMetadata,
    asked: readonly string[],
    known: readonly string[],
  ): string[] => {
    const kept = [...new Set(asked)].filter(value => known.includes(value))
    if (kept.length === 0) throw invalidClientMetadata(`${member}: none of these may be registered here`)
    return kept
  }
  const { grant_types, response_types, scope } = metadata
  const kept = {
    ...metadata,
    ...(grant_types && { grant_types: left('grant_types', grant_types, offered.grantTypes) }),
    ...(response_types && { response_types: left('response_types', response_types, offered.responseTypes) }),
    ...(scope !== undefined && { scope: left('scope', scope.split(' '), offered.scopes ?? []).join(' ') }),
  }
  if (!(kept.grant_types ?? [codeGrant]).includes(codeGrant))
    throw invalidClientMetadata(`grant_types: must hold ${codeGrant}`)
  return kept
}

const shapeRefusal = (error: z.ZodError): Refusal => {
  const [issue] = error.issues
  const member = issue?.path[0] === undefined ? 'the metadata' : String(issue.path[0])
  const say = member === 'redirect_uris' ? invalidRedirectUri : invalidClientMetadata
  return say(`${member}: ${issue?.message ?? 'not valid'}`)
}

const refuseUnoffered = (metadata: ClientMetadata, offered: Offered): void => {
  const check = (
    member: keyof ClientMetadata,
    values: readonly string[] | undefined,
    known: readonly string[],
  ): void => {
    const odd = values?.find(value => !known.includes(value))
    if (odd !== undefined)
      throw invalidClientMetadata(`${member}: ${shown(odd.slice(0, 50))} is not one of: ${known.join(', ')}`)
  }
  const one = (value: string | undefined): string[] | undefined => (value === undefined ? undefined : [value])
  check('grant_types', metadata.grant_types, offered.grantTypes)
  check('response_types', metadata.response_types, offered.responseTypes)
  check('token_endpoint_auth_method', one(metadata.token_endpoint_auth_method), offered.authMethods)
  check('token_endpoint_auth_signing_alg', one(metadata.token_endpoint_auth_signing_alg), assertionAlgorithms)
  check('id_token_signed_response_alg', one(metadata.id_token_signed_response_alg), offered.signingAlgorithms)
}

const refuseContradictions = (metadata: ClientMetadata, by: 'operator' | 'dynamic'): void => {
  if (metadata.jwks !== undefined && metadata.jwks_uri !== undefined)
    throw invalidClientMetadata('jwks and jwks_uri must not both be set (RFC 7591 section 2)')
  if (metadata.jwks?.keys.some(key => ['d', 'p', 'q', 'k'].some(member => member in key)))
    throw invalidClientMetadata('jwks: holds a private or secret key; only public keys belong here')
  if (
    metadata.token_endpoint_auth_method === 'private_key_jwt' &&
    metadata.jwks === undefined &&
    metadata.jwks_uri === undefined
  )
    throw invalidClientMetadata('private_key_jwt needs jwks or jwks_uri')
  if (metadata.token_endpoint_auth_method === 'none') {
    if (metadata.require_pkce === false)
      throw invalidClientMetadata('require_pkce: false is for confidential clients only')
    if (metadata.grant_types?.includes('client_credentials'))
      throw invalidClientMetadata('grant_types: client_credentials needs a client that authenticates')
    if (metadata.resource_server_for !== undefined)
      throw invalidClientMetadata('resource_server_for: needs a client that authenticates')
  }
  if (metadata.backchannel_logout_uri?.includes('#'))
    throw invalidClientMetadata('backchannel_logout_uri: must have no fragment')
  if (
    by === 'dynamic' &&
    metadata.backchannel_logout_uri !== undefined &&
    !metadata.backchannel_logout_uri.startsWith('https:')
  )
    throw invalidClientMetadata('backchannel_logout_uri: must be https')
}

const refuseRedirectUris = (metadata: ClientMetadata, by: 'operator' | 'dynamic'): void => {
  const native = isNative(metadata)
  const rules = { byOperator: by === 'operator', native }
  for (const uri of metadata.redirect_uris ?? []) {
    const fault = redirectUriFault(uri, rules)
    if (fault) throw invalidRedirectUri(`redirect_uris: ${shown(uri)} ${fault}`)
  }
  for (const uri of metadata.post_logout_redirect_uris ?? []) {
    const fault = redirectUriFault(uri, rules)
    if (fault) throw invalidClientMetadata(`post_logout_redirect_uris: ${shown(uri)} ${fault}`)
  }
  const usesCode = (metadata.grant_types ?? [codeGrant]).includes(codeGrant)
  if (usesCode && (metadata.redirect_uris ?? []).length === 0)
    throw invalidRedirectUri('redirect_uris: at least one is needed for the authorization code grant')
}

/** A description is ASCII (RFC 7591 section 3.2.2). */
const shown = (uri: string): string =>
  JSON.stringify(uri.slice(0, 100)).replace(
    /[^\x20-\x7e]/g,
    sign => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
