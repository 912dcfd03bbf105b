/** The word that somebody meant. */

/** " Did you mean …?" with the known word that comes nearest, or nothing when none is near. */
export const suggestion = (wrong: string, known: string[]): string => {
  const best = known
    .map(name => ({ name, distance: editDistance(wrong, name) }))
    .sort((one, other) => one.distance - other.distance)[0]
  return best && best.distance <= Math.max(2, wrong.length / 4) ? ` Did you mean ${best.name}?` : ''
}

/** How many single-character edits lead from one text to the other. */
export const editDistance = (one: string, other: string): number => {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const change = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}
