/** Parameters of a request: parsed once, each sent at most once, `resource` and `audience` aside (RFC 6749 section 3.1). */
import { Refusal } from './refusal.ts'

const mostFields = 100

/** Parameters that may be sent several times (RFC 8707 section 2, RFC 8693 section 2.1). */
const repeatable = new Set(['resource', 'audience'])

export class Params {
  readonly #values: ReadonlyMap<string, readonly string[]>

  private constructor(values: Map<string, string[]>) {
    this.#values = values
  }

  /** Reads a query string or a form body. A parameter without a value counts as omitted. */
  static parse(text: string): Params {
    const values = new Map<string, string[]>()
    let fields = 0
    for (const [name, value] of new URLSearchParams(text)) {
      if (++fields > mostFields)
        throw new Refusal('invalid_request', `more than ${mostFields} parameters`, 400)
      if (value === '') continue
      const present = values.get(name)
      if (present) present.push(value)
      else values.set(name, [value])
    }
    return new Params(values)
  }

  /** @throws Refusal `invalid_request` when it was sent twice */
  get(name: string): string | undefined {
    const sent = this.#values.get(name)
    if (sent && sent.length > 1) throw new Refusal('invalid_request', `${name} was sent more than once`)
    return sent?.[0]
  }

  /** @throws Refusal `invalid_request` when it is missing or was sent twice */
  need(name: string): string {
    const value = this.get(name)
    if (value === undefined) throw new Refusal('invalid_request', `${name} is missing`)
    return value
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  /** Which parameters were sent twice though they may not. */
  repeated(): string[] {
    const names: string[] = []
    for (const [name, sent] of this.#values) if (sent.length > 1 && !repeatable.has(name)) names.push(name)
    return names
  }

  /** @throws Refusal `invalid_request` naming what was sent twice */
  refuseRepeated(): void {
    const [name] = this.repeated()
    if (name === undefined) return
    // A description has few characters (RFC 6749 section 4.1.2.1), and is no place for what a stranger wrote.
    const shown = /^[\w.-]{1,50}$/.test(name) ? name : 'a parameter'
    throw new Refusal('invalid_request', `${shown} was sent more than once`)
  }
}
