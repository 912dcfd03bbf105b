/** The routes of a server as its table has them, for cases that look at every one. */
import { readConfig } from '../../src/config.ts'
import { loadAssets } from '../../src/http/assets.ts'
import type { Route } from '../../src/http/route.ts'
import { makeRoutes } from '../../src/routes.ts'
import { testMasterKey } from '../support/databases.ts'
import type { TestServer } from '../support/server.ts'

const publicFiles = new URL('../../public', import.meta.url).pathname

const assets = loadAssets(publicFiles, '')

/** Every route, with an address under the issuer that leads to it. */
export const routeTable = ({ services, issuer }: TestServer): (Route & { address: string })[] => {
  const config = readConfig({ LINTEL_ISSUER: issuer, LINTEL_MASTER_KEY: testMasterKey })
  const routes = makeRoutes(services, config, assets, {
    draining: false,
    warnings: new Set(),
    publicAddress: [],
  })
  return routes.map(route => ({
    ...route,
    address: route.path
      .replace('/assets/:name', assets.url('style.css'))
      .replace(/:\w+/g, '01j0000000abcdefghjk'),
  }))
}

/** The methods that a route answers with something else than 405. Where GET does something, HEAD is not among them. */
export const methodsOf = (route: Route): string[] => {
  const looks = route.handlers.GET && !('getActs' in route && route.getActs)
  return [...Object.keys(route.handlers), ...(looks ? ['HEAD'] : []), ...(route.cors ? ['OPTIONS'] : [])]
}
