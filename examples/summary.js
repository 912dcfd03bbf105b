// @ts-check
import { styleText } from 'node:util'
import { tour } from './start/tour.js'

/**
 * What is printed when everything answers.
 * @param {{
 *   issuer: string,
 *   user: { username: string, password: string },
 *   entries: { app: import('./apps.js').App, site: import('./apps.js').Site, command?: string }[],
 * }} demo
 */
export function summary({ issuer, user, entries }) {
  const start = entries.find(({ app }) => app.kind === 'start')
  const rows = entries
    .filter(({ app, site }) => site.url && app.kind !== 'start')
    .map(({ app, site }) => row(app.name, site.url, app.summary))
  const commands = entries.flatMap(({ app, command }) =>
    command ? `  ${app.name.padEnd(10)} ${app.summary}\n             ${bold(command)}` : [],
  )
  const steps = tour.map(
    ([title, text], index) => `  ${index + 1}. ${bold(title)}\n${wrapped(readable(text, issuer))}`,
  )
  return `
  ${bold('Lintel is running, and so are its sample apps.')} Begin here: ${blue(start?.site.url ?? issuer)}

${[row('Provider', issuer, 'where everybody signs in'), ...rows].join('\n')}

${commands.join('\n')}

${row('Username', user.username)}
${row('Password', user.password)}

${steps.join('\n')}

  Ctrl-C stops everything and removes the data.
`
}

/** @param {string} text @param {string} issuer */
const readable = (text, issuer) =>
  text.replace('{account}', `${issuer}/account/sessions`).replaceAll(/[{}]/g, '')

/** Lines of at most 88 characters, indented. @param {string} text */
const wrapped = text => text.replaceAll(/(.{1,88})(?: +|$)/g, '     $1\n').trimEnd()

/** @param {string} label @param {string} [value] @param {string} [remark] */
function row(label, value = '', remark = '') {
  const shown = /^https?:/.test(value) ? blue(value.padEnd(32)) : bold(value.padEnd(32))
  return `  ${label.padEnd(10)} ${shown} ${remark}`.trimEnd()
}

/** @param {string} text */
const bold = text => (isColourful() ? styleText('bold', text) : text)

/** @param {string} text */
const blue = text => (isColourful() ? styleText('cyan', text) : text)

const isColourful = () => process.stdout.isTTY && !process.env.NO_COLOR
