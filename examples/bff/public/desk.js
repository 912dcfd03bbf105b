// @ts-check
// The page knows Desk's server and nothing else: no token, no provider, no API.

/** @typedef {{ id: string, text: string, done: boolean }} Task */

const list = /** @type {HTMLElement} */ (document.querySelector('.tasks'))
const form = /** @type {HTMLFormElement} */ (document.querySelector('.new'))
const field = /** @type {HTMLInputElement} */ (document.querySelector('#text'))

/**
 * @param {string} path
 * @param {{ method?: string, json?: unknown, bare?: boolean }} [request]
 */
async function call(path, { method = 'GET', json, bare = false } = {}) {
  const answer = await fetch(path, {
    method,
    // A header that no other site can send: it says that this page asks, and no form elsewhere.
    headers: {
      ...(!bare && { 'X-Desk': '1' }),
      ...(json !== undefined && { 'Content-Type': 'application/json' }),
    },
    ...(json !== undefined && { body: JSON.stringify(json) }),
  })
  const body = await answer.json().catch(() => ({}))
  if (answer.status === 401 && body.error === 'signed_out') location.reload()
  return { status: answer.status, statusText: answer.statusText, body }
}

async function show() {
  const { status, body } = await call('/api/tasks')
  const tasks = /** @type {Task[]} */ (status === 200 ? body : [])
  list.replaceChildren(...tasks.map(row))
  if (tasks.length === 0)
    list.append(status === 200 ? 'Nothing to do.' : 'The API cannot be reached just now.')
  list.removeAttribute('aria-busy')
}

/** @param {Task} task */
function row({ id, text, done }) {
  const box = document.createElement('input')
  box.type = 'checkbox'
  box.checked = done
  box.addEventListener('change', async () => {
    await call(`/api/tasks/${id}`, { method: 'PUT', json: { done: box.checked } })
  })
  const label = document.createElement('label')
  const words = document.createElement('span')
  words.textContent = text
  label.append(box, words)
  const item = document.createElement('li')
  item.append(label)
  return item
}

form.addEventListener('submit', async event => {
  event.preventDefault()
  await call('/api/tasks', { method: 'POST', json: { text: field.value } })
  form.reset()
  await show()
})

for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-call]'))) {
  button.addEventListener('click', async () => {
    const path = button.dataset.call ?? ''
    const { status, statusText, body } = await call(path, { bare: 'bare' in button.dataset })
    const answer = /** @type {HTMLElement} */ (document.querySelector('.answer'))
    answer.textContent = `GET ${path}\n${status} ${statusText}\n${JSON.stringify(body, null, 2)}`
  })
}

/** @param {string} selector @param {string} text */
const say = (selector, text) => {
  const place = document.querySelector(selector)
  if (place) place.textContent = text
}
say('[data-cookies]', document.cookie || 'none')
say('[data-storage]', [...Object.keys(localStorage), ...Object.keys(sessionStorage)].join(', ') || 'empty')
form.hidden = false
for (const hidden of document.querySelectorAll('.actions')) hidden.removeAttribute('hidden')

addEventListener('pageshow', event => event.persisted && location.reload()) // a page of before, from the cache
await show()
