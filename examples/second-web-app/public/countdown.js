// @ts-check
// Keeps every <time data-until> up to date, by the server's clock.

const skew = Number(document.body.dataset.now) - Date.now() / 1000

function update() {
  for (const element of document.querySelectorAll('time[data-until]')) {
    const left = Math.ceil(Number(element.getAttribute('data-until')) - skew - Date.now() / 1000)
    const minutes = Math.floor(left / 60)
    const seconds = String(left % 60).padStart(2, '0')
    element.textContent = left > 0 ? `${minutes}:${seconds} left` : 'expired'
    element.classList.toggle('expired', left <= 0)
  }
}

update()
setInterval(update, 1000)
