/** Migrates a database; killed before the statement of this number, when one is given. Prints what it did. */
import { writeSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { migrate } from '../../src/store/migrate.ts'

const [kind = '', where = '', killAt] = process.argv.slice(2)
let statements = 0
const count = (): void => {
  statements += 1
  if (statements === Number(killAt)) process.kill(process.pid, 'SIGKILL')
}

const prepare = Sqlite.prototype.prepare
Sqlite.prototype.prepare = function (this: Sqlite.Database, source: string) {
  count()
  return prepare.call(this, source)
} as typeof prepare
const query = pg.Client.prototype.query as (...given: unknown[]) => unknown
pg.Client.prototype.query = function (this: pg.Client, ...given: unknown[]) {
  count()
  return query.apply(this, given)
} as typeof pg.Client.prototype.query

const done = await migrate(kind === 'sqlite' ? { kind, path: where } : { kind: 'postgres', url: where })
writeSync(1, `${JSON.stringify({ done, statements })}\n`)
