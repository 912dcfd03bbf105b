/** A handle on the SQLite file, with the settings that durability rests on, and what its errors mean. */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { StoreUnavailable } from './commit.ts'

/** While it is opened nothing else is to be done, so it may wait for a process that opens, recovers or closes it. */
const openPatience = 10_000

/**
 * Opens (and makes, with its directory) the file.
 *
 * @throws StoreUnavailable when that cannot be done
 */
export const openSqliteHandle = (path: string): Sqlite.Database => {
  try {
    if (path !== ':memory:') makePrivateFile(path)
    const handle = new Sqlite(path, { timeout: openPatience })
    enterWal(handle)
    handle.pragma('synchronous = FULL')
    handle.pragma('foreign_keys = ON')
    // A backup that reads for long lets the WAL grow; afterwards it shrinks to this again.
    handle.pragma('journal_size_limit = 67108864')
    // From here on nothing may block the event loop: a busy lock is an error, and tried again later.
    handle.pragma('busy_timeout = 0')
    return handle
  } catch (cause) {
    throw new StoreUnavailable(`cannot open ${path}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    })
  }
}

/** Password hashes and encrypted keys are nobody else's to read; SQLite gives its other files the same mode. */
const makePrivateFile = (path: string): void => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  closeSync(openSync(path, 'a', 0o600))
}

/** SQLite does not wait by itself while several processes turn a new file to WAL at once. */
const enterWal = (handle: Sqlite.Database): void => {
  const until = performance.now() + openPatience
  for (;;) {
    try {
      handle.pragma('journal_mode = WAL')
      return
    } catch (error) {
      if (!isBusy(error) || performance.now() > until) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}

const codeOf = (error: unknown): string => (error instanceof Sqlite.SqliteError ? error.code : '')

/** Another process holds a lock: it may be tried again. */
export const isBusy = (error: unknown): boolean => /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))

/** A unique key or a foreign key is in the way. */
export const isConstraint = (error: unknown): boolean =>
  /^SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY|ROWID|FOREIGNKEY)/.test(codeOf(error))

/** A trigger raised. We have none: an operator's does not allow the change now, and it is undone alone. */
export const isRaised = (error: unknown): boolean => codeOf(error) === 'SQLITE_CONSTRAINT_TRIGGER'

/** The database's trouble and not a mistake of ours: 503. */
export const isFailure = (error: unknown): boolean =>
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|NOMEM|PROTOCOL|PERM)/.test(codeOf(error))
