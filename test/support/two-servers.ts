/** Two servers of one issuer on one database, as two processes behind a balancer are. */
import { databaseKind, freshDatabase } from './databases.ts'
import { freePort, type ServerOptions, startServer, type TestServer } from './server.ts'

export const startTwoServers = async (
  options: ServerOptions = {},
): Promise<{ one: TestServer; other: TestServer; stop: () => Promise<void> }> => {
  const database = await freshDatabase(databaseKind())
  const shared: ServerOptions = {
    issuer: `http://localhost:${await freePort()}`,
    ...options,
    database: { ...database, remove: async () => undefined },
  }
  const one = await startServer(shared)
  const other = await startServer(shared)
  return {
    one,
    other,
    stop: async () => {
      await one.stop()
      await other.stop()
      await database.remove()
    },
  }
}
