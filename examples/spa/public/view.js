// @ts-check

/**
 * An element. Text goes in as text: nothing that comes from outside ever becomes markup.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | boolean | ((event: Event) => void)>} attributes listeners are functions
 * @param {...(Node | string | undefined | false)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(key, value)
    else if (typeof value === 'boolean') made.toggleAttribute(key, value)
    else made.setAttribute(key, value)
  }
  made.append(...children.filter(child => child !== undefined && child !== false))
  return made
}

/**
 * Puts this where something else was; who was at a button stays there, if it has an id.
 * @param {string} selector
 * @param {...(Node | string | undefined | false)} children
 */
export function fill(selector, ...children) {
  const place = document.querySelector(selector)
  const focused = document.activeElement?.id
  place?.replaceChildren(...children.filter(child => child !== undefined && child !== false))
  place?.removeAttribute('aria-busy')
  if (focused) document.getElementById(focused)?.focus()
}

/** How long until then, `min:s`. @param {number} instant in seconds */
export function clock(instant) {
  const left = Math.ceil(instant - Date.now() / 1000)
  return left > 0 ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')} left` : 'expired'
}
