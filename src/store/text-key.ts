/** Keys in time order (architecture section 3): new rows land at the end of the index, and nobody guesses one. */
import { randomBytes } from 'node:crypto'

/** Base 32 without the letters that are read for one another; in this order it also sorts as text. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

const timeDigits = 9
const randomDigits = 11

/** How long a key is. */
export const textKeyLength = timeDigits + randomDigits

/**
 * A new key: 45 bits of milliseconds, then 55 random bits.
 *
 * @returns 20 characters, lower-case letters and digits
 */
export const newTextKey = (now: Date): string => {
  let rest = now.getTime()
  let time = ''
  for (let digit = 0; digit < timeDigits; digit++) {
    time = alphabet.charAt(rest % 32) + time
    rest = Math.floor(rest / 32)
  }
  return time + randomText(randomDigits)
}

/** Random text of so many characters, five bits each. */
export const randomText = (length: number): string => {
  if (used + length > poolSize) {
    pool = randomBytes(poolSize)
    used = 0
  }
  let text = ''
  for (const end = used + length; used < end; used++) {
    text += alphabet.charAt((pool[used] ?? 0) & 31)
    pool[used] = 0
  }
  return text
}

/** Random bytes are drawn by the page: one call costs 6 µs, a slice 0.2. What was used is erased. */
const poolSize = 8192
let pool = Buffer.alloc(0)
let used = poolSize

/** Whether a text from outside has the form of a key. */
export const isTextKey = (text: string): boolean => text.length === textKeyLength && /^[0-9a-z]+$/.test(text)
