/** The command `lintel`: the process around the command line. */
import { text } from 'node:stream/consumers'
import { runCommandLine } from './command-line.ts'
import type { Terminal } from './terminal.ts'

const words = process.argv.slice(2)

const terminal: Terminal = {
  environment: process.env,
  json: words.includes('--json'),
  write: output => process.stdout.write(output),
  say: line => process.stderr.write(`${line}\n`),
  readInput: () => text(process.stdin),
}

// `lintel user list | head` closes the pipe early, which is no failure of ours.
process.stdout.on('error', () => process.exit(0))

process.exit(await runCommandLine(words, terminal))
