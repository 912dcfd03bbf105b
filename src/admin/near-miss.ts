/** What somebody may have meant who named something that is not there. */
import { suggestion } from '../config/near-word.ts'

/** A name in a message: short, and without characters that would move a terminal's cursor. */
export const quoted = (name: string): string =>
  JSON.stringify(name.slice(0, 100).replaceAll(/[\p{Cc}\p{Cf}]/gu, '\ufffd'))

/**
 * The known name that a wrong one comes nearest to, when it comes near enough to be meant.
 *
 * @returns ` Did you mean "…"?` for the end of a message, or nothing
 */
export const didYouMean = (wrong: string, known: readonly string[]): string =>
  suggestion(quoted(wrong), known.map(quoted))
