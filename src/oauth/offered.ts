/** What client metadata may name: read off the tables that offer it. */
import type { Services } from '../services.ts'
import { responseTypes } from './authorize/request.ts'
import { authMethods } from './client/auth-methods.ts'
import type { Offered } from './client/client-metadata.ts'
import { grants } from './token/grants.ts'

/** The values that clients can register for now. */
export const offeredBy = ({ keys }: Pick<Services, 'keys'>): Offered => ({
  grantTypes: [...grants.keys()],
  responseTypes,
  authMethods: authMethods.map(method => method.name),
  signingAlgorithms: keys.algorithms(),
})
