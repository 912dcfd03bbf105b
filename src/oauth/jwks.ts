/** GET /jwks (RFC 7517): a ready-made buffer. */
import { answerDocument } from '../http/document.ts'
import type { Route } from '../http/route.ts'
import { jwksMaxAge } from '../keys/rotation.ts'
import type { Services } from '../services.ts'

/** The route. */
export const jwksRoute = ({ keys }: Pick<Services, 'keys'>): Route => ({
  path: '/jwks',
  kind: 'document',
  cors: 'any',
  discovery: 'jwks_uri',
  handlers: { GET: ctx => answerDocument(ctx, keys.jwks(), 'application/jwk-set+json', jwksMaxAge) },
})
