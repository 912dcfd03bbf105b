/** What pages do better with a script; none needs it. */

/**
 * A form is sent once. A second click while the first is under way would make the browser drop the answer to the
 * first, and the new cookie in it.
 */
const patience = 10_000
const sentAt = new WeakMap()
addEventListener('submit', event => {
  const form = event.target
  if (form.method !== 'post') return
  if (Date.now() - (sentAt.get(form) ?? 0) < patience) return event.preventDefault()
  sentAt.set(form, Date.now())
})
/** A page that the back button took out of the browser's memory may be sent again. */
addEventListener('pageshow', () => {
  for (const form of document.forms) sentAt.delete(form)
})
