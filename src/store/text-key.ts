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
  const bytes = randomBytes(length)
  let text = ''
  for (const byte of bytes) text += alphabet.charAt(byte & 31)
  return text
}

/** Whether a text from outside has the form of a key. */
export const isTextKey = (text: string): boolean => text.length === textKeyLength && /^[0-9a-z]+$/.test(text)
