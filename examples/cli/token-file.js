// @ts-check
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/**
 * What is kept between two runs. Readable by its owner alone; where there is a keychain, that is a better place.
 * @typedef {{ username: string, refreshToken: string }} Kept
 */

const file = process.env.TOKEN_FILE ?? join(homedir(), '.config', 'tasks-in-the-terminal', 'token.json')

/** @returns {Promise<Kept | undefined>} */
export async function keptTokens() {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch {
    return undefined
  }
}

/** Whole or not at all: a half-written refresh token would be a lost one. @param {Kept} tokens */
export async function keepTokens(tokens) {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const beside = `${file}.${process.pid}`
  await writeFile(beside, `${JSON.stringify(tokens)}\n`, { mode: 0o600 })
  await rename(beside, file)
}

export const forgetTokens = () => rm(file, { force: true })
