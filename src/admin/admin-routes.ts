/** The rooms of /admin. Every route here is for administrators only: `adminRoute` holds it. */

import { readVersion } from '../config/version.ts'
import type { Config } from '../config.ts'
import type { Route } from '../http/route.ts'
import { keySettings } from '../keys/rotate-keys.ts'
import type { TokenReader } from '../oauth/tokens/presented-token.ts'
import type { Services } from '../services.ts'
import { clientRoute } from './client-page.ts'
import { clientsRoute } from './clients-page.ts'
import { confirmRoutes } from './confirm-page.ts'
import { editClientRoute } from './edit-client-page.ts'
import { groupsRoute } from './groups-page.ts'
import { keysRoute } from './keys-page.ts'
import { newClientRoute } from './new-client-page.ts'
import { outboxRoute } from './outbox-page.ts'
import { overviewRoute } from './overview-page.ts'
import { refusalsRoute } from './refusals-page.ts'
import { resourcesRoute } from './resources-page.ts'
import { sessionsRoute } from './sessions-page.ts'
import { testSignInRoute } from './test-sign-in-page.ts'
import { userFormRoutes } from './user-form-page.ts'
import { userRoute } from './user-page.ts'
import { usersRoute } from './users-page.ts'

/** @param troubles what is wrong with the set-up or the keys, in words for operators */
export const adminRoutes = (
  services: Services,
  config: Config,
  { readToken, troubles }: { readToken: TokenReader; troubles: () => string[] },
): Route[] => {
  const { basePath } = config
  const keys = keySettings(config)
  return [
    overviewRoute(services, { version: readVersion(), keySettings: keys, troubles }, basePath),
    clientsRoute(services, basePath),
    newClientRoute(services, basePath),
    clientRoute(services, basePath),
    editClientRoute(services, basePath),
    testSignInRoute(services, config.tokens, readToken, basePath),
    usersRoute(services, basePath),
    ...userFormRoutes(services, config.passwords, basePath),
    userRoute(services, basePath),
    groupsRoute(services, basePath),
    resourcesRoute(services, basePath),
    sessionsRoute(services, basePath),
    refusalsRoute(services, basePath),
    keysRoute(services, keys, basePath),
    outboxRoute(services, basePath),
    ...confirmRoutes(services, keys, basePath),
  ]
}
