/**
 * Once a run: a real PostgreSQL, and a migrated template of each database with signing keys in it.
 * When PostgreSQL cannot start the run fails: a suite that was green without it would prove half of what it says.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import type { DatabaseUrl } from '../../src/config.ts'
import { makeSecretBox } from '../../src/keys/secret-box.ts'
import { makeFirstKeys } from '../../src/keys/signing-key.ts'
import { openDatabase } from '../../src/store/database.ts'
import { migrate } from '../../src/store/migrate.ts'
import { asAdmin, type DatabaseCoordinates, testMasterKey } from './databases.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'

const template = 'lintel_template'

const prepare = async (url: DatabaseUrl): Promise<void> => {
  await migrate(url)
  const store = await openDatabase(url, { poolSize: 1 })
  try {
    const box = makeSecretBox([Buffer.from(testMasterKey, 'base64')])
    await makeFirstKeys(store, { algorithms: ['RS256', 'ES256'], rsaBits: 2048, box, now: () => new Date() })
  } finally {
    await store.close()
  }
}

const preparePostgres = async ({ url }: PostgresServer): Promise<void> => {
  await asAdmin(url, `create database ${template}`)
  const own = new URL(url)
  own.pathname = `/${template}`
  await prepare({ kind: 'postgres', url: own.href })
  // A template with a connection to it cannot be copied.
  await asAdmin(url, `alter database ${template} with is_template true allow_connections false`)
}

type Made = { coordinates: DatabaseCoordinates; remove: () => Promise<void> }

const make = async (): Promise<Made> => {
  const directory = mkdtempSync(join(tmpdir(), 'lintel-templates-'))
  const sqliteTemplate = join(directory, 'template.db')
  const starting = startPostgres({ durable: false })
  // It is awaited below; until then its failure is not an unhandled one.
  starting.catch(() => undefined)
  const remove = async (): Promise<void> => {
    rmSync(directory, { recursive: true, force: true })
    await (await starting).stop()
  }
  try {
    await prepare({ kind: 'sqlite', path: sqliteTemplate })
    const server = await starting
    await preparePostgres(server)
    return {
      coordinates: { sqliteTemplate, postgresAdmin: server.url, postgresTemplate: template },
      remove,
    }
  } catch (cause) {
    // A server left behind would keep the run from ending.
    await remove().catch(() => undefined)
    throw cause
  }
}

/** Vitest calls `setup` for each of its projects, and loads this file anew for each: they share what the first made. */
const shared = globalThis as { lintelTestDatabases?: { made: Promise<Made>; users: number } }

export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  shared.lintelTestDatabases ??= { made: make(), users: 0 }
  const databases = shared.lintelTestDatabases
  databases.users += 1
  const { coordinates, remove } = await databases.made
  project.provide('databases', coordinates)
  return async () => {
    databases.users -= 1
    if (databases.users > 0) return
    delete shared.lintelTestDatabases
    await remove()
  }
}
