/** Answers in words: tables, and records as lines. Times are local ISO dates there, and seconds in JSON. */

type Cell = string | number | boolean | null | undefined | readonly string[]

const cellText = (cell: Cell): string =>
  (cell === null || cell === undefined
    ? '-'
    : typeof cell === 'object'
      ? cell.join(', ') || '-'
      : typeof cell === 'boolean'
        ? cell
          ? 'yes'
          : 'no'
        : String(cell)
  )
    // What a person typed must not move the cursor of a terminal.
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')

/** A table with its heads in capitals, or a sentence where there are no rows. */
export const table = (heads: readonly string[], rows: readonly (readonly Cell[])[], none: string): string => {
  if (rows.length === 0) return none
  const lines = [heads.map(head => head.toUpperCase()), ...rows.map(row => row.map(cellText))]
  const widths = heads.map((_, column) => Math.max(...lines.map(line => (line[column] ?? '').length)))
  return lines
    .map(line =>
      line
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A record, a line each; what is not set is left out. */
export const record = (values: Record<string, Cell>): string => {
  const set = Object.entries(values).filter(
    ([, value]) => value !== null && value !== undefined && cellText(value) !== '-',
  )
  const width = Math.max(0, ...set.map(([name]) => name.length))
  return set.map(([name, value]) => `${name.padEnd(width)}  ${cellText(value)}`).join('\n')
}

/** Seconds as a date. */
export const date = (seconds: number | null): string | null =>
  seconds === null ? null : new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
