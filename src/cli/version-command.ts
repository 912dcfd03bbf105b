/** `lintel version`. */
import { readFileSync } from 'node:fs'
import type { Describe } from './command.ts'
import { answer } from './terminal.ts'

/** Of the package: src/cli/ or dist/src/cli/ lies in it. */
const readVersion = (): string => {
  const [, root = ''] = /^(.*?)(?:dist\/)?src\/cli\/[^/]*$/.exec(import.meta.url) ?? []
  const manifest: unknown = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : ''
  return String(version)
}

export const versionCommand: Describe = (command, terminal) => {
  command.action(() => {
    const version = readVersion()
    answer(terminal, { value: { version, node: process.versions.node }, text: `lintel ${version}` })
  })
}
