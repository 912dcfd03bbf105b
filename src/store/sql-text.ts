/** SQL as knex writes it, cut at its placeholders, so that they can be numbered anew when statements are combined. */

/**
 * What a placeholder cannot stand in: strings (`'…'`, and `E'…'` with backslashes), identifiers, comments and
 * dollar quotes. Then knex's escaped question mark, which means the character itself, and the placeholder.
 */
const lexeme =
  /[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|(\$(?:[A-Za-z_]\w*)?\$)[\s\S]*?\1|\\\?|\?/g

/**
 * Cuts SQL at its placeholders.
 *
 * @param sql with `?` for each binding and `\?` where a question mark is meant
 * @returns one piece more than there are placeholders
 */
export const cutAtPlaceholders = (sql: string): string[] => {
  const pieces: string[] = []
  let piece = ''
  let end = 0
  for (const match of sql.matchAll(lexeme)) {
    piece += sql.slice(end, match.index)
    end = match.index + match[0].length
    if (match[0] === '?') {
      pieces.push(piece)
      piece = ''
    } else piece += match[0].replaceAll('\\?', '?')
  }
  pieces.push(piece + sql.slice(end))
  return pieces
}

/** Joins the pieces with PostgreSQL's placeholders, `$from` and onwards. */
export const numberPlaceholders = (pieces: readonly string[], from = 1): string => {
  let sql = pieces[0] ?? ''
  for (let index = 1; index < pieces.length; index++) sql += `$${from + index - 1}${pieces[index]}`
  return sql
}
