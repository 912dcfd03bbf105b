// @ts-check
import { begin, callApi, onExpiring, renew, signIn, signOut } from './sign-in.js'
import { clock, element, fill } from './view.js'

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

/** @param {string} [notice] */
function showBoard(notice) {
  if (!user) return
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
        required: true,
        maxlength: '140',
        autocomplete: 'off',
        placeholder: 'Something to do',
      }),
      element('button', {}, 'Add'),
    ),
    element('div', { class: 'columns' }, column('To do', false), column('Done', true)),
    scenes(String(profile.sid ?? 'not told')),
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

/** @param {string} sid */
function scenes(sid) {
  const changes = renewals === 1 ? 'changed once' : `changed ${renewals} times`
  return element(
    'section',
    { class: 'scenes' },
    element('h2', {}, 'Behind the scenes'),
    element(
      'dl',
      {},
      fact(
        'Session at the provider',
        element('code', { class: 'sid' }, sid),
        'The same in every app of this browser.',
      ),
      fact(
        'Access token',
        element('time', { 'data-until': String(user?.expires_at ?? 0) }, clock(secondsLeft())),
        'In this page’s memory, for the API alone. Renewed a minute before it ends.',
      ),
      fact(
        'Refresh token',
        element('b', {}, user?.refresh_token ? changes : 'none'),
        'Good for once: each renewal brings another. A stolen old one would end everything.',
      ),
      fact(
        'Storage of this site',
        element('code', {}, storageKeys()),
        'No token in it. A reload asks the provider again, and shows no page for it.',
      ),
    ),
    element(
      'p',
      { class: 'actions' },
      element('button', { class: 'quiet', click: renewNow }, 'Renew the tokens'),
      element('button', { class: 'quiet', click: () => ask('/me') }, 'Ask the API who I am'),
      element('button', { class: 'quiet', click: () => ask('/count') }, 'Ask for too much'),
    ),
    element(
      'ol',
      { class: 'answers', 'aria-live': 'polite' },
      ...answers.map(({ call, answer, more }) =>
        element(
          'li',
          { 'data-status': answer.slice(0, 3) },
          element('code', {}, call),
          element('b', {}, answer),
          element('pre', {}, more),
        ),
      ),
    ),
  )
}

/** @param {string} name @param {HTMLElement} value @param {string} remark */
const fact = (name, value, remark) =>
  element('div', {}, element('dt', {}, name), element('dd', {}, value, element('small', {}, remark)))

const storageKeys = () => [...Object.keys(localStorage), ...Object.keys(sessionStorage)].join(', ') || 'empty'

const secondsLeft = () => (user?.expires_at ?? 0) - Date.now() / 1000

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
  await call('/tasks', { method: 'POST', json: { text: field.value } })
  await loadTasks()
  showBoard()
  document.querySelector('input')?.focus()
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

async function renewNow() {
  askedAt = Date.now()
  try {
    const after = await renew()
    renewals += 1
    if (after.user) {
      user = after.user
      announce()
      showBoard('New tokens: another access token, and another refresh token in place of the old one.')
    } else await show(after)
  } catch (error) {
    showBoard(`The provider cannot be reached: ${Object(error).message}`)
  }
}

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

onExpiring(renewNow)
// Whoever comes back to this tab after a while learns at once whether the session has ended elsewhere.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible' && user && Date.now() - askedAt > 60_000) renewNow()
})
addEventListener('pageshow', event => event.persisted && location.reload()) // a page of before, from the cache
setInterval(() => {
  const time = document.querySelector('time')
  if (time) time.textContent = clock(secondsLeft())
}, 1000)

const next = /** @type {HTMLAnchorElement | null} */ (document.querySelector('[data-next]'))
if (next?.getAttribute('href')) next.textContent = `Try single sign-on: open ${next.host}`
else next?.parentElement?.remove()

const start = await begin().catch(error => ({ error }))
if (start) await show(start)
