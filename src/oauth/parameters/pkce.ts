/** PKCE, S256 only (RFC 7636, OAuth 2.1 section 4.1.1). */
import { createHash } from 'node:crypto'
import type { Params } from '../../http/params.ts'
import { equalInConstantTime } from '../../store/secret.ts'
import type { Client } from '../client/client.ts'
import { invalidRequest } from '../errors.ts'

export const codeChallengeMethods = ['S256'] as const

const challengeForm = /^[A-Za-z0-9_-]{43}$/
const verifierForm = /^[A-Za-z0-9._~-]{43,128}$/

/**
 * The code challenge of an authorization request.
 *
 * @throws Refusal `invalid_request` when it is needed and missing, or of another method
 */
export const parsePkce = (params: Params, client: Client): { codeChallenge?: string } => {
  const codeChallenge = params.get('code_challenge')
  const method = params.get('code_challenge_method')
  if (codeChallenge === undefined) {
    if (method !== undefined) throw invalidRequest('code_challenge_method was sent without code_challenge')
    if (!client.policy.requirePkce) return {}
    throw invalidRequest(
      client.isPublic
        ? 'code_challenge is missing; public clients must use PKCE'
        : 'code_challenge is missing; a confidential client that cannot send one may be registered with require_pkce false',
      { reason: 'pkce_missing' },
    )
  }
  // Without a method RFC 7636 section 4.3 means plain, which protects nothing once the request is seen.
  if (method !== 'S256') throw invalidRequest('code_challenge_method must be S256')
  if (!challengeForm.test(codeChallenge))
    throw invalidRequest('code_challenge must be 43 characters of base64url')
  return { codeChallenge }
}

/** Whether a verifier fits the challenge (RFC 7636 section 4.6), or why not. */
export const judgeVerifier = (
  codeChallenge: string | null,
  verifier: string | undefined,
): 'fits' | 'pkce_missing' | 'pkce_downgrade' | 'pkce_mismatch' => {
  // A verifier without a challenge: the challenge was stripped on its way (RFC 9700 section 4.8.2).
  if (codeChallenge === null) return verifier === undefined ? 'fits' : 'pkce_downgrade'
  if (verifier === undefined) return 'pkce_missing'
  if (!verifierForm.test(verifier)) return 'pkce_mismatch'
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  return equalInConstantTime(challenge, codeChallenge) ? 'fits' : 'pkce_mismatch'
}
