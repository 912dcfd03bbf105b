/** OAuth's words for refusals (RFC 6749 sections 4.1.2.1 and 5.2, OIDC Core section 3.1.2.6). */
import { Refusal, type RefusalOptions } from '../http/refusal.ts'

const refusal =
  (error: string, status = 400) =>
  (description: string, options: RefusalOptions = {}): Refusal =>
    new Refusal(error, description, status, options)

export const invalidRequest = refusal('invalid_request')
export const invalidGrant = refusal('invalid_grant')
export const invalidScope = refusal('invalid_scope')
export const invalidTarget = refusal('invalid_target')
export const unauthorizedClient = refusal('unauthorized_client')
export const unsupportedGrantType = refusal('unsupported_grant_type')
export const unsupportedResponseType = refusal('unsupported_response_type')
export const accessDenied = refusal('access_denied')
export const loginRequired = refusal('login_required')
export const consentRequired = refusal('consent_required')
export const interactionRequired = refusal('interaction_required')
export const accountSelectionRequired = refusal('account_selection_required')
export const invalidClientMetadata = refusal('invalid_client_metadata')
export const invalidRedirectUri = refusal('invalid_redirect_uri')
export const invalidSoftwareStatement = refusal('invalid_software_statement')
export const unapprovedSoftwareStatement = refusal('unapproved_software_statement')

/** 401; `WWW-Authenticate` answers an `Authorization` header in kind (RFC 6749 section 5.2). */
export const invalidClient = (description: string, triedHeader: boolean, reason?: string): Refusal =>
  new Refusal('invalid_client', description, 401, {
    ...(triedHeader ? { headers: { 'WWW-Authenticate': 'Basic realm="lintel", charset="UTF-8"' } } : {}),
    ...(reason === undefined ? {} : { reason }),
  })

/** A bearer token that does not do (RFC 6750 section 3.1). */
export const invalidToken = (description: string): Refusal =>
  new Refusal('invalid_token', description, 401, {
    headers: { 'WWW-Authenticate': `Bearer error="invalid_token", error_description="${description}"` },
  })

/** The token is good and not enough (RFC 6750 section 3.1). */
export const insufficientScope = (description: string, scope: string): Refusal =>
  new Refusal('insufficient_scope', description, 403, {
    headers: {
      'WWW-Authenticate': `Bearer error="insufficient_scope", error_description="${description}", scope="${scope}"`,
    },
  })
