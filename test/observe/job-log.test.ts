/** What the jobs say while the database is away. */
import { setTimeout as wait } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { freshDatabase, fromOutside } from '../support/databases.ts'
import { startServer } from '../support/server.ts'

it('a cause that lasts is logged once in a while, not by every job every second (REL-27)', async () => {
  const database = await freshDatabase('sqlite')
  const server = await startServer({ database })
  onTestFinished(() => server.stop())
  await fromOutside(
    database,
    'alter table change rename to change_away',
    'alter table lease rename to lease_away',
  )
  await wait(4500)
  const lines = server.logged.filter(line => line.includes('job.failed'))
  const causes = new Set(
    lines.map(line => (JSON.parse(line) as { cause: { message: string } }).cause.message),
  )
  expect(causes.size).toBeGreaterThan(0)
  expect(lines).toHaveLength(causes.size)
  await fromOutside(
    database,
    'alter table change_away rename to change',
    'alter table lease_away rename to lease',
  )
})
