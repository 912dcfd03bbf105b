/** The header of a JWT that somebody else made: what is looked at before any key. */
import type { ProtectedHeaderParameters } from 'jose'

/** Types of tokens that are something else: assertions and statements may have no type of their own (RFC 8725 section 3.12). */
const otherTypes = [
  'at+jwt',
  'logout+jwt',
  'dpop+jwt',
  'secevent+jwt',
  'oauth-authz-req+jwt',
  'token-introspection+jwt',
  'oauth-id-jag+jwt',
]

/**
 * Whether a header may stand over an assertion or a statement. A key from the wire is nobody's key; a kid that is no
 * short text names none; a token of another type says something else.
 */
export const isSoundHeader = ({ kid, typ, jwk, jku, x5u, x5c }: ProtectedHeaderParameters): boolean =>
  !jwk &&
  !jku &&
  !x5u &&
  !x5c &&
  (kid === undefined || (typeof kid === 'string' && kid.length <= 300)) &&
  (typ === undefined ||
    (typeof typ === 'string' && !otherTypes.includes(typ.toLowerCase().replace(/^application\//, ''))))
