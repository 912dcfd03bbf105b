/** Moments and numbers in words. Pages cannot know a person's time zone: they say how long ago, and the exact time in UTC. */

export type TimeWords = {
  /** "3 hours ago"; undefined where it is less than a minute. */
  ago: (at: number, now: number) => string | undefined
  /** "Mar 3, 2025, 2:05 PM UTC" */
  exact: (at: number) => string
  /** "Mar 3, 2025", in UTC. */
  day: (at: number) => string
  /** "12,345" */
  number: (value: number) => string
}

/** A unit, its seconds, and from how many seconds on it is used. */
const units: [Intl.RelativeTimeFormatUnit, number, number][] = [
  ['year', 31_556_952, 31_556_952],
  ['month', 2_629_746, 2_629_746],
  ['week', 604_800, 1_209_600],
  ['day', 86_400, 86_400],
  ['hour', 3600, 3600],
  ['minute', 60, 60],
]

/** The words of one locale. Times are in seconds. */
export const timeWords = (locale: string): TimeWords => {
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  const absolute = new Intl.DateTimeFormat(locale, {
    dateStyle: 'medium',
    timeStyle: 'short',
    timeZone: 'UTC',
  })
  const days = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone: 'UTC' })
  const numbers = new Intl.NumberFormat(locale)
  return {
    ago: (at, now) => {
      // What is ahead of our clock was written by another process just now.
      const past = now - at
      const [unit, length] = units.find(([, , from]) => past >= from) ?? []
      return unit && length ? relative.format(-Math.floor(past / length), unit) : undefined
    },
    day: at => days.format(new Date(at * 1000)),
    number: value => numbers.format(value),
    exact: at => `${absolute.format(new Date(at * 1000))} UTC`,
  }
}
