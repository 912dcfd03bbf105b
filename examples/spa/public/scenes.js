// @ts-check
import { clock, element } from './view.js'

/**
 * For learning: what this page holds, and what the API answered. A real app shows none of it.
 * @param {{
 *   user: import('./sign-in.js').User,
 *   renewals: number,
 *   answers: { call: string, answer: string, more: string }[],
 *   renew: () => void,
 *   ask: (path: string) => void,
 * }} now
 */
export function scenes({ user, renewals, answers, renew, ask }) {
  const changes = ['not used yet', 'changed once'][renewals] ?? `changed ${renewals} times`
  const expiresAt = user.expires_at ?? 0
  return element(
    'section',
    { class: 'scenes' },
    element('h2', {}, 'Behind the scenes'),
    element(
      'dl',
      {},
      fact(
        'Session at the provider',
        element('code', { class: 'sid' }, String(user.profile.sid ?? 'not told')),
        'The same in every app of this browser.',
      ),
      fact(
        'Access token',
        element('time', { 'data-until': String(expiresAt) }, clock(expiresAt)),
        'In this page’s memory, for the API alone. Renewed a minute before it ends.',
      ),
      fact(
        'Refresh token',
        element('b', {}, user.refresh_token ? changes : 'none'),
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
      element('button', { id: 'renew', class: 'quiet', click: renew }, 'Renew the tokens'),
      element('button', { id: 'me', class: 'quiet', click: () => ask('/me') }, 'Ask the API who I am'),
      element('button', { id: 'count', class: 'quiet', click: () => ask('/count') }, 'Ask for too much'),
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

setInterval(() => {
  for (const time of document.querySelectorAll('time'))
    time.textContent = clock(Number(time.getAttribute('data-until')))
}, 1000)
