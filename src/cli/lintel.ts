/** The command `lintel`: the process around the command line. */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { runCommandLine } from './command-line.ts'
import type { Terminal } from './terminal.ts'

const words = process.argv.slice(2)

/** What is typed goes to nobody. */
const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })

const askHidden = async (question: string): Promise<string> => {
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true })
  process.stderr.write(question)
  try {
    return await reader.question('')
  } finally {
    reader.close()
    process.stderr.write('\n')
  }
}

const terminal: Terminal = {
  environment: process.env,
  json: words.includes('--json'),
  write: output => process.stdout.write(output),
  say: line => process.stderr.write(`${line}\n`),
  readInput: () => text(process.stdin),
  askHidden: process.stdin.isTTY ? askHidden : undefined,
}

// `lintel user list | head` closes the pipe early, which is no failure of ours; and no reason for a server to end.
process.stdout.on('error', () => {
  if (words[0] !== 'serve') process.exit(0)
})

process.exit(await runCommandLine(words, terminal))
