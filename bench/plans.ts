/** Which of the statements that run during the flows read a table from end to end, as SQLite plans them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { cutAtPlaceholders } from '../src/store/sql-text.ts'
import { startFilled } from './growth.ts'
import { inParallel } from './load.ts'
import { scenarios } from './scenarios.ts'
import { databaseFile, typescript } from './sites.ts'

/** `own`: prepared by the server at its start or for its jobs. */
export type Scan = { by: 'request' | 'own'; step: string; sql: string }
export type Plans = { statements: number; ofRequests: number; scans: Scan[]; holds: boolean }

/** Their size is the operator's doing, and most of them are in memory. */
const settled = [
  'client',
  'client_secret',
  'resource',
  'signing_key',
  'server_key',
  'change',
  'lease',
  'migration',
]

const flowsOfEach = 64

const logIn = (directory: string) => join(directory, 'statements.log')

/** Runs every flow a little on a server that writes its statements down, then asks for the plan of each. */
export async function inspectPlans(): Promise<Plans> {
  const target = await startFilled(1_000, {
    node: [...typescript, '--import', new URL('statement-log.ts', import.meta.url).href],
    environment: directory => ({ BENCH_STATEMENTS: logIn(directory) }),
  })
  try {
    for (const scenario of scenarios.filter(({ targets }) => targets.includes('lintel'))) {
      const { flow, refill } = await scenario.prepare(target)
      await refill?.()
      let left = flowsOfEach
      await inParallel(target.port, scenario.connections, async (connection, worker) => {
        if (left-- <= 0) return false
        await flow(connection, worker)
        return true
      })
    }
    // All jobs run in the first seconds.
    await new Promise(resolve => setTimeout(resolve, 3_000))
    return judged(databaseFile(target.directory), logIn(target.directory))
  } finally {
    await target.stop()
  }
}

function judged(databasePath: string, logPath: string): Plans {
  const database = new Sqlite(databasePath, { readonly: true })
  try {
    const seen = new Map<string, Scan['by']>()
    for (const line of readFileSync(logPath, 'utf8').split('\n')) {
      const [, by, text] = /^(request|own) (.*)$/.exec(line) ?? []
      if (!text) continue
      const sql: string = JSON.parse(text)
      if (!/^(select|insert|update|delete|with)\b/i.test(sql) || /\bsqlite_(master|schema)\b/.test(sql))
        continue
      if (by === 'request' || !seen.has(sql)) seen.set(sql, by === 'request' ? 'request' : 'own')
    }
    const scans = [...seen].flatMap(([sql, by]) => scansOf(database, sql).map(step => ({ by, step, sql })))
    return {
      statements: seen.size,
      ofRequests: [...seen.values()].filter(by => by === 'request').length,
      scans,
      holds: !scans.some(({ by }) => by === 'request'),
    }
  } finally {
    database.close()
  }
}

/** Steps over a whole table or a whole index of a table that grows with use. */
function scansOf(database: Sqlite.Database, sql: string) {
  const nothing = new Array<null>(cutAtPlaceholders(sql).length - 1).fill(null)
  return database
    .prepare<null[], { detail: string }>(`explain query plan ${sql}`)
    .all(...nothing)
    .map(({ detail }) => detail)
    .filter(detail => {
      const table = /^SCAN (\w+)/.exec(detail)?.[1]
      return table !== undefined && table !== 'CONSTANT' && !settled.includes(table)
    })
}
