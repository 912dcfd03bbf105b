/** Everything with a side effect, by type. A handler names what it needs of it: `Pick<Services, 'store' | 'now'>`. */
import type { CookieJar } from './http/cookies.ts'
import type { OutboundFetch } from './http/outbound.ts'
import type { Page } from './http/page.ts'
import type { PasswordHasher } from './identity/password.ts'
import type { SessionEnded } from './identity/session.ts'
import type { KeyRing } from './keys/key-ring.ts'
import type { SecretBox } from './keys/secret-box.ts'
import type { ClientDirectory } from './oauth/client/client.ts'
import type { ClientKeys } from './oauth/client/client-keys.ts'
import type { ResourceDirectory } from './oauth/client/resource-server.ts'
import type { Audit } from './observe/audit.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { Store } from './store/database.ts'

export type Services = {
  /** The issuer, byte for byte as every token and document says it. */
  issuer: string
  store: Store
  keys: KeyRing
  /** Encryption at rest, under the master key. */
  box: SecretBox
  clients: ClientDirectory
  clientKeys: ClientKeys
  resources: ResourceDirectory
  now: () => Date
  log: Log
  metrics: Metrics
  audit: Audit
  fetch: OutboundFetch
  page: Page
  cookies: CookieJar
  passwords: PasswordHasher
  /** What refresh tokens are computed with. */
  refreshTokenKey: Buffer
  /** The writes that tell of ended sessions, for the commit that ends them. */
  sessionEnded: SessionEnded
  /** Wakes the delivery of the outbox, so that nobody waits for its next round. */
  wakeOutbox: () => Promise<void>
}
