// @ts-check
import { goods, money, ordersOf } from './catalogue.js'
import { tokenPanel } from './token-panel.js'

/**
 * @typedef {{ provider: string, baseUrl: string, tryNext: string | undefined }} Site
 * @typedef {'refused' | 'unknown-attempt' | 'other-provider' | 'other-site' | 'not-found' | 'broken'} Trouble
 */

/** Everything that comes from outside passes here on its way into a page. @param {unknown} text */
export const escaped = text => String(text).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)

/**
 * @param {{ site: Site, customer: import('./provider.js').Customer | undefined, notice: string | undefined }} page
 */
export function shopPage({ site, customer, notice }) {
  const name =
    customer && escaped(customer.profile.given_name ?? customer.profile.name ?? usernameOf(customer))
  return layout({
    site,
    title: 'Shop – all for your front door',
    customer,
    main: `
      ${notice ? `<p class="notice" role="status">${escaped(notice)}</p>` : ''}
      <section class="hero">
        <h1>${name ? `Good to see you, ${name}` : 'All for your front door'}</h1>
        ${
          customer
            ? `<p>The shop asked ${escaped(site.provider)}, and it knew you.</p>`
            : `<p>Look around freely. To order, sign in at <b>${escaped(site.provider)}</b>: if you are signed in
                there already, it asks no password.</p>
              <p class="actions"><a class="button" href="/login" data-action="sign-in">Sign in</a>
                <a href="/login?silent">Check whether I am signed in</a></p>`
        }
      </section>
      <h2 class="hidden">Catalogue</h2>
      <ul class="goods">${goods.map(good => goodCard(good, customer !== undefined)).join('')}</ul>
      ${customer ? orderList(customer) + tokenPanel(customer) : ''}`,
  })
}

/** @param {import('./catalogue.js').Good} good @param {boolean} canOrder */
function goodCard({ id, name, about, price }, canOrder) {
  return `
    <li>
      <svg class="picture" viewBox="0 0 64 64" aria-hidden="true"><use href="/goods.svg#${id}"/></svg>
      <h3>${name}</h3>
      <p>${about}</p>
      <p class="price">${money(price)}</p>
      ${canOrder ? `<form method="post" action="/order"><button name="good" value="${id}" aria-label="Order: ${name}">Order</button></form>` : ''}
    </li>`
}

/** @param {import('./provider.js').Customer} customer */
function orderList({ sub }) {
  const orders = ordersOf(sub)
  const rows = orders.map(
    ({ good, at }) =>
      `<tr><td>${good.name}</td><td>${at.toISOString().slice(11, 16)} UTC</td><td>${money(good.price)}</td></tr>`,
  )
  const total = orders.reduce((sum, { good }) => sum + good.price, 0)
  return `
    <h2>Your orders</h2>
    ${
      orders.length > 0
        ? `<table><thead><tr><th>What</th><th>When</th><th>Price</th></tr></thead><tbody>${rows.join('')}</tbody>
            <tfoot><tr><th colspan="2">Sum</th><td>${money(total)}</td></tr></tfoot></table>`
        : '<p class="soft">None yet. The mat is lovely.</p>'
    }`
}

/** @param {{ site: Site, kind: Trouble, error: unknown }} page */
export function troublePage({ site, kind, error }) {
  const { error: code, error_description: description } =
    /** @type {{ error?: string, error_description?: string }} */ (error ?? {})
  const [heading, advice] = explanation(kind, code, site.provider)
  const reason = error instanceof Error && kind === 'refused' ? error.message : ''
  return layout({
    site,
    title: `Error: ${heading} – Shop`,
    main: `
      <section class="hero trouble">
        <h1>${escaped(heading)}</h1>
        <p>${escaped(advice)}</p>
        ${
          typeof code === 'string'
            ? `<p class="details"><code data-error="${escaped(code)}">${escaped(code)}</code> ${escaped(description ?? '')}</p>`
            : reason && `<p class="details">${escaped(reason)}</p>`
        }
        <p class="actions"><a class="button" href="${site.baseUrl}/login" data-action="sign-in">Try again</a>
          <a href="${site.baseUrl}/">Back to the shop</a></p>
      </section>`,
  })
}

/**
 * @param {Trouble} kind
 * @param {string | undefined} code
 * @param {string} provider
 * @returns {[heading: string, advice: string]}
 */
function explanation(kind, code, provider) {
  if (kind === 'unknown-attempt') {
    return [
      'We lost the thread',
      'This sign-in was finished before, took too long, or began in another tab or browser. Begin again; nothing is lost.',
    ]
  }
  if (kind === 'other-provider')
    return ['We do not know that provider', `Shop signs people in at ${provider} only.`]
  if (kind === 'other-site')
    return ['That did not come from here', 'Another site tried to press a button for you. Nothing was done.']
  if (kind === 'not-found') return ['There is no such shelf', 'The address leads nowhere in this shop.']
  if (kind === 'broken')
    return [
      `${provider} does not answer as it should`,
      'You can look around, but signing in has to wait a moment.',
    ]
  if (code === 'access_denied')
    return ['No is an answer', 'Shop was told nothing about you. Sign in again whenever you like.']
  if (code === 'temporarily_unavailable' || code === 'server_error') {
    return [`${provider} has a problem`, 'It says so itself. Please try again in a moment.']
  }
  return ['Signing in did not work', `${provider} sent you back without signing you in.`]
}

/** @param {import('./provider.js').Customer} customer */
const usernameOf = ({ sub, profile }) => profile.preferred_username ?? profile.email ?? sub

/**
 * @param {{ site: Site, title: string, main: string, customer?: import('./provider.js').Customer | undefined }} page
 */
function layout({ site, title, main, customer }) {
  const username = customer && escaped(usernameOf(customer))
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${escaped(title)}</title>
  <link rel="icon" href="/icon.svg">
  <link rel="stylesheet" href="/style.css">
  <script type="module" src="/countdown.js"></script>
</head>
<body data-now="${Math.floor(Date.now() / 1000)}">
  <header>
    <div class="inner">
      <a class="brand" href="/"><img src="/icon.svg" alt="" width="30" height="30"> Shop</a>
      ${
        username
          ? `<span class="who" data-user="${username}">${username}</span>
            <form method="post" action="/sign-out"><button class="plain" data-action="sign-out">Sign out</button></form>`
          : ''
      }
    </div>
  </header>
  <main class="inner">${main}</main>
  <footer class="inner">
    ${site.tryNext ? `<p>The next app: <a href="${escaped(site.tryNext)}">${escaped(new URL(site.tryNext).host)}</a></p>` : ''}
    <p>A sample app: nothing is for sale, and no real app prints its tokens.</p>
  </footer>
</body>
</html>`
}
