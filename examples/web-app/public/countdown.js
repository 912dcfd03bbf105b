// @ts-check
// Counts down every <time data-until="unix seconds">. Without this script the page still says how
// long was left when it was made.

const serverNow = Number(document.body.dataset.now)
const ahead = serverNow - Date.now() / 1000 // this device's clock may be wrong
const clocks = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('time[data-until]'))

function tick() {
  const now = Date.now() / 1000 + ahead
  for (const clock of clocks) {
    const seconds = Math.ceil(Number(clock.dataset.until) - now)
    clock.textContent = seconds > 0 ? `${readable(seconds)} left` : 'expired'
    clock.toggleAttribute('data-expired', seconds <= 0)
  }
}

/** @param {number} seconds */
function readable(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)]
  const parts = hours > 0 ? [`${hours} h`, `${minutes} min`] : minutes > 0 ? [`${minutes} min`] : []
  return [...parts, `${seconds % 60} s`].join(' ')
}

tick()
setInterval(tick, 1000)
