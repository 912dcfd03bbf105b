/** JSON from outside: UTF-8, not too deep, no member twice (RFC 8259 section 4 leaves open which of two would count). */
import { Refusal } from './refusal.ts'

const deepest = 20

const refuse = (description: string, cause?: unknown): Refusal =>
  new Refusal('invalid_request', description, 400, cause === undefined ? {} : { cause })

/** Strings and signs; what stands between them is numbers, words and white space. */
const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g

/** Looks over a text that is JSON: what a parser would have thrown away is no longer in its value. */
const checkMembers = (text: string): void => {
  const open: (Set<string> | undefined)[] = []
  let nameComes = false
  for (const [token] of text.matchAll(tokens)) {
    if (token === '{' || token === '[') {
      if (open.push(token === '{' ? new Set() : undefined) > deepest)
        throw refuse(`the body is nested more than ${deepest} deep`)
      nameComes = token === '{'
    } else if (token === '}' || token === ']') {
      open.pop()
      nameComes = false
    } else if (token === ',') nameComes = open.at(-1) !== undefined
    else if (token === ':') nameComes = false
    else if (nameComes) {
      const name: unknown = JSON.parse(token)
      // What merges objects later would take it for the prototype.
      if (name === '__proto__') throw refuse('the body has a member __proto__')
      const names = open.at(-1)
      if (names?.has(String(name))) throw refuse('the body has a member twice')
      names?.add(String(name))
    }
  }
}

/**
 * The value of a JSON text.
 *
 * @throws Refusal `invalid_request`
 */
export const parseJsonText = (bytes: Buffer): unknown => {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw refuse('the body must be UTF-8', cause)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw refuse('the body is not JSON', cause)
  }
  checkMembers(text)
  return value
}
