/** JSON that stands on the command line. */
import { usageError } from './failure.ts'

/** @throws a usage error naming the option */
export const parseGivenJson = (option: string, text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw usageError(`${option} is not JSON: ${cause instanceof Error ? cause.message : cause}`)
  }
}

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `now`, `90s`, `15m`, `24h`, `7d` in seconds. */
export const parseGivenDuration = (option: string, text: string): number => {
  if (text === 'now') return 0
  const match = /^(\d{1,9})([smhd])$/.exec(text)
  const unit = units[match?.[2] ?? '']
  if (!match || unit === undefined)
    throw usageError(`${option} must be now, or a duration such as 15m, 24h or 7d`)
  return Number(match[1]) * unit
}

export const parseGivenNumber = (option: string, text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw usageError(`${option} must be a whole number`)
  return Number(text)
}
