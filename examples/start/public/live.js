// @ts-check
// Looks again every second and a half, while somebody looks at the page. Without this script: reload.

const place = /** @type {HTMLElement} */ (document.querySelector('#doors'))
let shown = ''

async function look() {
  if (document.visibilityState === 'visible') {
    const now = await fetch('/doors').then(
      answer => (answer.ok ? answer.text() : shown),
      () => shown, // the demo has ended, or is about to be there again
    )
    if (now !== shown) show(now) // or everything would be read out again and again
  }
  setTimeout(look, 1500)
}

/** @param {string} html made and escaped by our server */
function show(html) {
  const focused = place.contains(document.activeElement) && document.activeElement?.getAttribute('href')
  place.innerHTML = shown = html
  for (const link of place.querySelectorAll('a')) if (link.getAttribute('href') === focused) link.focus()
}

look()
