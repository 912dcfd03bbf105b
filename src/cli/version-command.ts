/** `lintel version`. */
import { readVersion } from '../config/version.ts'
import type { Describe } from './command.ts'
import { answer } from './terminal.ts'

export const versionCommand: Describe = (command, terminal) => {
  command.action(() => {
    const version = readVersion()
    answer(terminal, { value: { version, node: process.versions.node }, text: `lintel ${version}` })
  })
}
