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

/** @param {string} selector @param {...(Node | string | undefined | false)} children */
export function fill(selector, ...children) {
  const place = document.querySelector(selector)
  place?.replaceChildren(...children.filter(child => child !== undefined && child !== false))
  place?.removeAttribute('aria-busy')
}

/** How long until then, `min:s`. @param {number} seconds */
export const clock = seconds =>
  seconds > 0
    ? `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')} left`
    : 'expired'
