/** Where the master key comes from: the setting, or on loopback a file of its own that is made at first start. */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Config, ConfigError } from '../config.ts'

/**
 * The master keys: the first encrypts, all decrypt.
 *
 * @param mayMake the database holds no keys yet: a file that is missing is made
 * @throws ConfigError when the file is missing and may not be made, or holds no key
 */
export const readMasterKeys = (
  { masterKey, data }: Pick<Config, 'masterKey' | 'data'>,
  { mayMake }: { mayMake: boolean },
): readonly Buffer[] => {
  if (masterKey !== undefined) return masterKey
  const path = join(data, 'master.key')
  const key = Buffer.from((read(path) ?? (mayMake ? make(path) : missing(path))).trim(), 'base64url')
  if (key.length !== 32)
    throw new ConfigError(`${path} does not hold a master key of 32 bytes; restore it from a backup`)
  return [key]
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw new ConfigError(`cannot read ${path}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
}

const missing = (path: string): never => {
  throw new ConfigError(
    `the database holds keys that ${path} encrypted, and that file is missing; restore it from a backup, or set LINTEL_MASTER_KEY`,
  )
}

/** Written whole and then given its name: of several processes that start at once one names it, and nobody reads half. */
const make = (path: string): string => {
  const written = `${path}.${randomBytes(6).toString('hex')}`
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  const file = openSync(written, 'wx', 0o600)
  writeSync(file, `${randomBytes(32).toString('base64url')}\n`)
  fsyncSync(file)
  closeSync(file)
  try {
    name(written, path)
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
  } finally {
    rmSync(written)
  }
  return readFileSync(path, 'utf8')
}

/** Some network file systems have no links; a copy is the next best. */
const name = (written: string, path: string): void => {
  try {
    linkSync(written, path)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) throw error
    copyFileSync(written, path, constants.COPYFILE_EXCL)
  }
}
