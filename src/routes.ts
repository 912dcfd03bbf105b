/** URL → handler → discovery name. Everything that this server answers stands here. */
import { accountRoute } from './account/account-page.ts'
import { homeRoute } from './account/home-page.ts'
import { ownAppsRoute } from './account/own-apps-page.ts'
import { changePasswordRoute, ownPasswordRoute } from './account/own-password-page.ts'
import { ownSessionsRoute } from './account/own-sessions-page.ts'
import { adminRoutes } from './admin/admin-routes.ts'
import { setUpRoute } from './admin/set-up-page.ts'
import type { Config } from './config.ts'
import type { Assets } from './http/assets.ts'
import { assetsRoute } from './http/assets-route.ts'
import type { Route } from './http/route.ts'
import { accountChooserRoute } from './identity/account-chooser-page.ts'
import { setPasswordRoute } from './identity/set-password-page.ts'
import { signInRoute } from './identity/sign-in-page.ts'
import { keyTroubles } from './keys/key-troubles.ts'
import { keySettings } from './keys/rotate-keys.ts'
import { authorizeRoutes } from './oauth/authorize/authorize.ts'
import { consentRoute } from './oauth/authorize/consent-page.ts'
import { discoveryRoutes } from './oauth/discovery.ts'
import { introspectRoute } from './oauth/introspect.ts'
import { jwksRoute } from './oauth/jwks.ts'
import { logoutRoute } from './oauth/logout/logout-page.ts'
import { registerRoutes } from './oauth/register.ts'
import type { RegistrationSettings } from './oauth/registration-request.ts'
import { revokeRoute } from './oauth/revoke.ts'
import { tokenRoute } from './oauth/token/token.ts'
import { makeTokenReader } from './oauth/tokens/presented-token.ts'
import { userinfoRoute } from './oauth/userinfo.ts'
import { healthRoutes, type Readiness } from './observe/health.ts'
import type { Services } from './services.ts'

const registrationSettings = (config: Config): RegistrationSettings => ({
  mode: config.registration,
  scopes: config.registrationScopes,
  profile: config.registrationProfile,
  perHour: config.registrationPerHour,
  trustedIssuers: config.registrationTrustedIssuers,
})

/** The routes of a server. */
export const makeRoutes = (
  services: Services,
  config: Config,
  assets: Assets,
  readiness: Readiness,
): Route[] => {
  const { basePath, tokens, sessions, passwords } = config
  const readToken = makeTokenReader(services)
  const troubles = (): string[] => [
    ...readiness.warnings,
    ...readiness.publicAddress.map(({ message }) => message),
    ...keyTroubles(services, keySettings(config)),
  ]
  const routes: Route[] = [
    ...authorizeRoutes(services, tokens, basePath),
    consentRoute(services, tokens, basePath),
    tokenRoute(services, tokens),
    userinfoRoute(services, readToken),
    introspectRoute(services, tokens, readToken),
    revokeRoute(services, readToken),
    ...registerRoutes(services, registrationSettings(config)),
    jwksRoute(services),
    logoutRoute(services),
    signInRoute(services, sessions, basePath),
    accountChooserRoute(services, basePath),
    setUpRoute(services, { sessions, minLength: passwords.minLength }, basePath),
    setPasswordRoute(services, { sessions, minLength: passwords.minLength }, basePath),
    homeRoute(services, { account: `${basePath}/account`, admin: `${basePath}/admin` }),
    accountRoute(services, basePath),
    ownSessionsRoute(services, basePath),
    ownAppsRoute(services, basePath),
    ownPasswordRoute(services, passwords, basePath),
    changePasswordRoute(basePath),
    ...adminRoutes(services, config, { readToken, troubles }),
    assetsRoute(assets),
    ...healthRoutes(services, readiness, troubles),
  ]
  return [...routes, ...discoveryRoutes(services, routes, basePath)]
}
