/** Reads a command line by the table of commands, and runs what it asks for. */
import { Command, CommanderError } from 'commander'
import { commands } from './commands.ts'
import { failureOf, isAlreadyTold, tell } from './failure.ts'
import type { Terminal } from './terminal.ts'

const helpCodes = ['commander.helpDisplayed', 'commander.version', 'commander.help']

/**
 * Runs a command line.
 *
 * @returns the exit code
 */
export const runCommandLine = async (words: readonly string[], terminal: Terminal): Promise<number> => {
  const program = new Command('lintel')
    .description('A single sign-on identity provider: OAuth 2.1 and OpenID Connect')
    .option('--json', 'one JSON value on standard output, messages on standard error')
    .exitOverride()
    .configureOutput({
      writeOut: text => terminal.write(text),
      // With --json the help of a mistaken call would only be in the way; the error itself is told below.
      writeErr: text => (terminal.json ? undefined : terminal.say(text.trimEnd())),
      outputError: () => undefined,
    })
    .addHelpText('after', '\n"lintel COMMAND --help" tells more of each. Reference: docs/cli.md')
  // `help user` names it in the second place.
  const named = isVersionFlag(words) ? ['version'] : words.filter(word => !word.startsWith('-')).slice(0, 2)
  for (const { name, about, load } of commands) {
    const command = program.command(name).summary(about).description(about)
    if (named.includes(name)) (await load())(command, terminal)
  }
  offerJson(program)
  try {
    await program.parseAsync(isVersionFlag(words) ? ['version'] : [...words], { from: 'user' })
    return 0
  } catch (thrown) {
    if (thrown instanceof CommanderError && helpCodes.includes(thrown.code))
      return helpExitCode(thrown, terminal)
    if (isAlreadyTold(thrown)) return 1
    const failure = failureOf(thrown)
    tell(terminal, failure)
    return failure.exitCode
  }
}

/** What people try first. */
const isVersionFlag = (words: readonly string[]): boolean => words[0] === '--version' || words[0] === '-V'

/** `--json` stands at the end as well as in front. */
const offerJson = (command: Command): void => {
  for (const child of command.commands) {
    child.option('--json', 'one JSON value on standard output, messages on standard error')
    offerJson(child)
  }
}

/** Help that was asked for is a success; help because no command was named is not. */
const helpExitCode = ({ exitCode }: CommanderError, terminal: Terminal): number => {
  if (exitCode === 0) return 0
  if (terminal.json)
    terminal.write(`${JSON.stringify({ error: 'usage', message: 'no command was named' })}\n`)
  return 2
}
