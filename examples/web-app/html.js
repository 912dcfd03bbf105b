// @ts-check

/** Text that is HTML already and goes into a page as it is. */
class Markup {
  /** @param {string} text */
  constructor(text) {
    this.text = text
  }
}

/**
 * html`<p>${anything}</p>`: every value is escaped, except what this function made itself.
 * @param {TemplateStringsArray} strings
 * @param {...unknown} values
 */
export function html(strings, ...values) {
  return new Markup(String.raw({ raw: strings }, ...values.map(toText)))
}

/** @param {unknown} value @returns {string} */
function toText(value) {
  if (value instanceof Markup) return value.text
  if (Array.isArray(value)) return value.map(toText).join('')
  if (value === undefined || value === null || value === false) return ''
  return String(value).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
