/**
 * Loaded into a Lintel on SQLite with `--import`: writes down each statement when it is prepared, which is once, and whether that
 * was for a request. A line each: `request` or `own`, and the SQL as JSON.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import { appendFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'

const file = process.env['BENCH_STATEMENTS']
const answering = new AsyncLocalStorage<true>()
subscribe('http.server.request.start', () => answering.enterWith(true))

const prepare = Sqlite.prototype.prepare
Sqlite.prototype.prepare = function (this: Sqlite.Database, sql: string) {
  if (file) appendFileSync(file, `${answering.getStore() ? 'request' : 'own'} ${JSON.stringify(sql)}\n`)
  return prepare.call(this, sql)
} as typeof prepare
