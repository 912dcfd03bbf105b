/** The settings of /register (RFC 7591). */
import { setting } from './setting.ts'
import { choice, duration, list, trustedIssuerList, wholeNumber } from './setting-forms.ts'

export const registrationSettings = {
  registration: setting(
    choice('off', 'token', 'open').default('off'),
    'off | token | open',
    'Who may register clients at /register: nobody, whoever has an initial access token, everybody',
    'token',
  ),
  registrationScopes: setting(
    list.default([]),
    'list',
    'Scopes of APIs that a client which registers itself may have, besides the OpenID ones',
    'api:read',
  ),
  registrationProfile: setting(
    choice('oauth21', 'oidc').default('oauth21'),
    'oauth21 | oidc',
    'The profile of clients that register themselves; with oidc those with a secret may do without PKCE',
    'oidc',
  ),
  registrationPerHour: setting(
    wholeNumber(1, 100_000).default(10),
    'number',
    'How many clients one address may register in an hour where registration is open',
    '100',
  ),
  registrationUnusedTtl: setting(
    duration.default(7 * 86_400),
    'duration',
    'A client that registered itself is deleted when nobody has used it for so long',
    '24h',
  ),
  registrationTrustedIssuers: setting(
    trustedIssuerList.default([]),
    'ISSUER=JWKS list',
    'Whose software statements count (RFC 7591), and where the keys of each are: an https address or a file. None: statements are ignored',
    'https://directory.example=https://directory.example/jwks',
  ),
}
