/** The clients and APIs that the security cases name. */
import { newResource, type Resource } from '../../src/oauth/client/resource-server.ts'
import { write } from '../../src/store/commit.ts'
import { statement } from '../../src/store/statement.ts'
import type { TestClient, TestServer } from '../support/server.ts'

type More = Record<string, unknown>

const scope = 'openid profile email offline_access'

export const makeWeb = (server: TestServer, more: More = {}): Promise<TestClient> =>
  server.createClient({ client_id: 'web', redirect_uris: ['https://web.test/cb'], scope, ...more })

export const makeWeb2 = (server: TestServer, more: More = {}): Promise<TestClient> =>
  server.createClient({ client_id: 'web2', redirect_uris: ['https://web2.test/cb'], scope, ...more })

export const makeSpa = (server: TestServer, more: More = {}): Promise<TestClient> =>
  server.createClient({
    client_id: 'spa',
    redirect_uris: ['https://spa.test/cb'],
    token_endpoint_auth_method: 'none',
    ...more,
  })

export const makeNative = (server: TestServer, more: More = {}): Promise<TestClient> =>
  server.createClient({
    client_id: 'native',
    redirect_uris: ['http://127.0.0.1/cb', 'com.example.app:/cb'],
    token_endpoint_auth_method: 'none',
    ...more,
  })

/** A confidential client that may do without PKCE. */
export const makeExempt = (server: TestServer, more: More = {}): Promise<TestClient> =>
  server.createClient({
    client_id: 'exempt',
    redirect_uris: ['https://exempt.test/cb'],
    require_pkce: false,
    ...more,
  })

/** An API with the scopes `<name>:read` and `<name>:write`. */
export const makeApi = async (
  server: TestServer,
  name: string,
  more: Partial<Resource> = {},
): Promise<Resource> => {
  const { services } = server
  const { resource, writes } = newResource(
    {
      identifier: `https://${name}.test`,
      name,
      scopes: [`${name}:read`, `${name}:write`],
      tokenFormat: 'jwt',
      tokenTyp: 'at+jwt',
      alg: 'ES256',
      lifetime: null,
      ...more,
    },
    services.now(),
  )
  await services.store.commit(writes)
  await services.resources.reload()
  return resource
}

const disabling = statement<{ id: string; now: number }>('test.disable-client', (knex, { id, now }) =>
  knex('client').where({ id }).update({ disabled_at: now }),
)

/** As an administrator does it. */
export const disableClient = async ({ services }: TestServer, { id }: TestClient): Promise<void> => {
  await services.store.commit([write(disabling, { id, now: Math.floor(services.now().getTime() / 1000) })])
  services.clients.forget()
}
