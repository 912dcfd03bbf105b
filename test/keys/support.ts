/** Services on a database, as a server or a command has them, without a port. */
import { type Environment, readConfig } from '../../src/config.ts'
import { type KeySettings, keySettings } from '../../src/keys/rotate-keys.ts'
import { type Opened, type Overrides, openServices } from '../../src/main.ts'
import { makeLog } from '../../src/observe/log.ts'
import { type FreshDatabase, testMasterKey } from '../support/databases.ts'

export const day = 86_400

/** A second master key, as LINTEL_MASTER_KEY takes it. */
export const otherMasterKey = 'YW5vdGhlciBtYXN0ZXIga2V5IG9mIDMyIGJ5dGVzISE='

export const silence = () => makeLog('error', { write: () => undefined, flushSync: () => undefined })

export type Process = Opened & {
  settings: KeySettings
  /** Moves its clock. */
  sleep: (seconds: number) => void
}

/** One process on this database; close it in the test that opened it. */
export const openProcess = async (
  database: FreshDatabase,
  environment: Environment = {},
  overrides: Overrides = {},
): Promise<Process> => {
  let offset = 0
  const config = readConfig({
    LINTEL_DATABASE_URL: database.url,
    LINTEL_MASTER_KEY: testMasterKey,
    LINTEL_DATABASE_POOL_SIZE: '3',
    ...environment,
  })
  const opened = await openServices(config, {
    log: silence(),
    now: () => new Date(Date.now() + offset * 1000),
    ...overrides,
  })
  return {
    ...opened,
    settings: keySettings(config),
    sleep: seconds => {
      offset += seconds
    },
  }
}
