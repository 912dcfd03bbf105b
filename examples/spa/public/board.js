// @ts-check
import { scenes } from './scenes.js'
import { begin, callApi, onExpiring, renew, signIn, signOut } from './sign-in.js'
import { element, fill } from './view.js'

/** @typedef {{ id: string, text: string, done: boolean }} Task */

const { issuer = '', apiUrl = '', presence } = document.body.dataset
const provider = new URL(issuer).host

/** @type {import('./sign-in.js').User | undefined} */
let user
/** @type {Task[]} */
let tasks = []
let renewals = 0
let askedAt = Date.now()
/** @type {string | undefined} what keeps the board from being up to date */
let trouble
/** The last answers of the API. @type {{ call: string, answer: string, more: string }[]} */
let answers = []

/** Shows what there is now. @param {import('./sign-in.js').Start} now */
async function show({ user: found, notice, error }) {
  user = found
  announce()
  if (!user) return showSignedOut({ notice, error })
  await loadTasks()
  showBoard(notice)
}

/** @param {{ notice?: string, error?: unknown }} told */
function showSignedOut({ notice, error }) {
  const code = Object(error).error
  fill('#account')
  fill(
    'main',
    element(
      'section',
      { class: 'hero' },
      status(notice),
      error !== undefined &&
        element(
          'p',
          { class: 'notice', role: 'alert', ...(typeof code === 'string' && { 'data-error': code }) },
          code === 'access_denied'
            ? 'You said no, and Board was told nothing about you.'
            : `Signing in did not work: ${Object(error).message}`,
        ),
      element('h1', {}, 'What is next?'),
      element(
        'p',
        { class: 'lead' },
        'Board is a page and nothing else. You sign in at ',
        element('b', {}, provider),
        ', and the page itself gets the tokens: it keeps them in its memory and calls the API with them.',
      ),
      element('p', {}, element('button', { 'data-action': 'sign-in', click: () => signIn() }, 'Sign in')),
    ),
    element('div', { class: 'columns ghost', 'aria-hidden': 'true' }, ghost(3), ghost(2)),
  )
}

/** @param {number} cards */
function ghost(cards) {
  return element(
    'div',
    { class: 'column' },
    ...Array.from({ length: cards }, () => element('div', { class: 'card' })),
  )
}

/** @param {string | undefined} notice */
function status(notice) {
  return notice !== undefined && element('p', { class: 'notice', role: 'status' }, notice)
}

/** Shows it anew, with the focus where it was and what was typed. @param {string} [notice] */
function showBoard(notice) {
  if (!user) return
  const typed = /** @type {HTMLInputElement | null} */ (document.querySelector('#text'))?.value ?? ''
  const { profile } = user
  const username = profile.preferred_username ?? profile.email ?? profile.sub
  fill(
    '#account',
    element('span', { class: 'who', 'data-user': username }, username),
    element('button', { class: 'quiet', 'data-action': 'sign-out', click: () => signOut() }, 'Sign out'),
  )
  fill(
    'main',
    element('h1', {}, `${profile.given_name ?? profile.name ?? username}’s board`),
    status(notice ?? trouble),
    element(
      'form',
      { class: 'new', submit: add },
      element('label', { class: 'hidden', for: 'text' }, 'A new task'),
      element('input', {
        id: 'text',
        value: typed,
        required: true,
        maxlength: '140',
        autocomplete: 'off',
        placeholder: 'Something to do',
      }),
      element('button', { id: 'add' }, 'Add'),
    ),
    element('div', { class: 'columns' }, column('To do', false), column('Done', true)),
    scenes({ user, renewals, answers, renew: renewByHand, ask }),
  )
}

/** @param {string} title @param {boolean} done */
function column(title, done) {
  const cards = tasks
    .filter(task => task.done === done)
    .map(({ id, text }) =>
      element(
        'li',
        { class: 'card' },
        element('p', {}, text),
        element(
          'button',
          {
            id: `task-${id}`,
            class: 'quiet',
            'aria-label': `${done ? 'To do again' : 'Done'}: ${text}`,
            click: () => change(id, !done),
          },
          done ? 'Again' : 'Done',
        ),
      ),
    )
  return element(
    'section',
    { class: 'column' },
    element('h2', {}, title, element('small', {}, ` ${cards.length}`)),
    cards.length > 0
      ? element('ul', {}, ...cards)
      : element('p', { class: 'soft' }, done ? 'Nothing yet.' : 'All done.'),
  )
}

/**
 * Calls the API, and remembers when that did not work.
 * @param {string} path
 * @param {{ method?: string, json?: unknown }} [request]
 */
async function call(path, request) {
  const answer = await callApi(path, request).catch(() => undefined)
  trouble = answer ? undefined : 'The API cannot be reached just now.'
  return answer
}

async function loadTasks() {
  const answer = await call('/tasks')
  if (answer?.ok) tasks = await answer.json()
}

/** @param {Event} event */
async function add(event) {
  event.preventDefault()
  const field = /** @type {HTMLInputElement} */ (document.querySelector('#text'))
  const answer = await call('/tasks', { method: 'POST', json: { text: field.value } })
  if (answer?.ok) field.value = ''
  await loadTasks()
  showBoard()
}

/** @param {string} id @param {boolean} done */
async function change(id, done) {
  await call(`/tasks/${id}`, { method: 'PUT', json: { done } })
  await loadTasks()
  showBoard()
}

/** Shows an answer of the API as it came. @param {string} path */
async function ask(path) {
  const answer = await call(path)
  if (!answer) return showBoard()
  const more = answer.headers.get('WWW-Authenticate') ?? JSON.stringify(await answer.json(), null, 2)
  answers = [
    { call: `GET ${apiUrl}${path}`, answer: `${answer.status} ${answer.statusText}`, more },
    ...answers,
  ].slice(0, 3)
  showBoard()
}

/** @returns {Promise<boolean>} whether somebody is still signed in */
async function renewTokens() {
  askedAt = Date.now()
  const after = await renew()
  if (!after.user) {
    await show(after)
    return false
  }
  user = after.user
  renewals += 1
  announce()
  return true
}

const renewByHand = () =>
  renewTokens().then(
    isThere =>
      isThere && showBoard('New tokens: another access token, and another refresh token for the old one.'),
    error => showBoard(`The provider cannot be reached: ${error.message}`),
  )

/** Says nothing, not even when the provider cannot be reached: the next call tries again. */
const renewByItself = () =>
  renewTokens().then(
    isThere => isThere && showBoard(),
    () => {},
  )

/** Tells the demo's start page what this tab holds, where there is one. */
function announce() {
  if (!presence) return
  const { profile, expires_at: until } = user ?? {}
  tell({ username: profile?.preferred_username, sid: profile?.sid, until })
}

const tab = crypto.randomUUID()

/** @param {Record<string, unknown>} what */
const tell = what => navigator.sendBeacon('/presence', JSON.stringify({ tab, ...what }))

if (presence) addEventListener('pagehide', () => tell({}))

onExpiring(renewByItself)
// Whoever comes back to this tab after a while learns at once whether the session has ended elsewhere.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible' && user && Date.now() - askedAt > 60_000) renewByItself()
})
addEventListener('pageshow', event => event.persisted && location.reload()) // a page of before, from the cache

const next = /** @type {HTMLAnchorElement | null} */ (document.querySelector('[data-next]'))
if (next?.getAttribute('href')) next.textContent = `Try single sign-on: open ${next.host}`
else next?.parentElement?.remove()

const start = await begin().catch(error => ({ error }))
if (start) await show(start)
