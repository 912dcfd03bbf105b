/** How much a password hash may cost on this machine: measured, then suggested; nothing is calibrated at start. */
import { makePasswordHasher } from '../identity/password.ts'

export type Trial = { memory: number; passes: number; milliseconds: number }

/** KiB; no server gives a quarter of a gigabyte to each of several sign-ins. */
const memories = [19, 32, 47, 64, 96, 128, 192, 256].map(mebibytes => mebibytes * 1024)
const passes = 2
const rounds = 3

const measure = async (memory: number): Promise<Trial> => {
  const hasher = makePasswordHasher({ memory, passes, minLength: 8 }, () => undefined)
  // The first one waits for its memory.
  await hasher.hash('a password of usual length')
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const startedAt = performance.now()
    await hasher.hash('a password of usual length')
    times.push(performance.now() - startedAt)
  }
  return { memory, passes, milliseconds: Math.round(Math.min(...times)) }
}

/** Tries more and more memory until one hash takes longer than it may; the last that does not is the choice. */
export const tunePasswords = async (
  longest: number,
): Promise<{ trials: Trial[]; best: Trial | undefined }> => {
  const trials: Trial[] = []
  for (const memory of memories) {
    const trial = await measure(memory)
    trials.push(trial)
    if (trial.milliseconds > longest) break
  }
  // The least is what the server uses anyway.
  return { trials, best: trials.filter(trial => trial.milliseconds <= longest).at(-1) ?? trials[0] }
}
