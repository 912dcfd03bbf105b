/** Where the master key comes from: the setting, or on loopback a file of its own that is made at first start. */
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, ConfigError } from '../config.ts'

/**
 * The master keys: the first encrypts, all decrypt.
 *
 * @throws ConfigError when the file is there and holds no key
 */
export const readMasterKeys = ({
  masterKey,
  data,
}: Pick<Config, 'masterKey' | 'data'>): readonly Buffer[] => {
  if (masterKey !== undefined) return masterKey
  const path = join(data, 'master.key')
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const made = makeFile(path)
  const key = made ?? Buffer.from(readFileSync(path, 'utf8').trim(), 'base64url')
  if (key.length !== 32)
    throw new ConfigError(`${path} does not hold a master key of 32 bytes; restore it from a backup`)
  return [key]
}

/** Makes the file unless it is there; several processes may start at once, one makes it. */
const makeFile = (path: string): Buffer | undefined => {
  let file: number
  try {
    file = openSync(path, 'wx', 0o600)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return undefined
    throw error
  }
  const key = randomBytes(32)
  writeSync(file, `${key.toString('base64url')}\n`)
  fsyncSync(file)
  closeSync(file)
  return key
}
