/** Writes down the last long run, test/LONG.md: what ran, how large, how long, and what failed. Anew after every file. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

const file = fileURLToPath(new URL('../LONG.md', import.meta.url))

/** Tests that took longer than this are listed, and those that say how large they were; milliseconds. */
const worthTelling = 20_000

const minutes = (milliseconds: number): string => `${(milliseconds / 60_000).toFixed(1)} min`

const machine = (): string =>
  `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform}, Node ${process.version}`

const commit = (): string =>
  execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()

const durationOf = (test: TestCase): number => test.diagnostic()?.duration ?? 0

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

export default class LongReporter implements Reporter {
  readonly #startedAt = new Date()
  #files = 0
  readonly #ended: TestModule[] = []

  onTestRunStart(specifications: readonly unknown[]): void {
    this.#files = specifications.length
  }

  onTestModuleEnd(module: TestModule): void {
    this.#ended.push(module)
    this.#write('still running')
  }

  onTestRunEnd(_modules: readonly TestModule[], errors: readonly { message: string }[]): void {
    this.#write('whole', errors)
  }

  #write(state: 'still running' | 'whole', errors: readonly { message: string }[] = []): void {
    // A part of the tests is no long run.
    if (process.argv.slice(2).some(word => word !== 'run' && !word.startsWith('--reporter='))) return
    const tests = this.#ended.flatMap(module => [...module.children.allTests()])
    const inState = (wanted: string): TestCase[] => tests.filter(test => test.result().state === wanted)
    const failed = inState('failed')
    const broken = this.#ended.filter(module => module.errors().length > 0)
    const told = tests
      .filter(test => test.meta().sizes?.length || durationOf(test) > worthTelling)
      .sort((a, b) => a.module.relativeModuleId.localeCompare(b.module.relativeModuleId))
    const lines = [
      '# The last long run',
      '',
      '`npm run test:long` wrote this.',
      '',
      `- ${this.#startedAt.toISOString().slice(0, 10)}, commit ${commit()}, ${
        state === 'whole'
          ? 'the whole of it'
          : `not whole: ${this.#ended.length} of ${this.#files} files had ended`
      }`,
      `- ${machine()}`,
      `- ${minutes(Date.now() - this.#startedAt.getTime())}; soaking for ${process.env['LINTEL_TEST_SOAK_MINUTES'] ?? 24 * 60} min, LINTEL_TEST_SHARE ${process.env['LINTEL_TEST_SHARE'] ?? '1, the full numbers'}`,
      `- ${inState('passed').length} passed, ${failed.length} failed, ${inState('skipped').length} skipped, in ${this.#ended.length} files (a file on each database it runs on)`,
      '',
      ...(failed.length + broken.length + errors.length > 0
        ? [
            '## Failed',
            '',
            ...failed.map(
              test =>
                `- ${test.module.relativeModuleId} (${test.project.name}): ${test.fullName}: ${cell(test.result().errors?.[0]?.message ?? '').slice(0, 300)}`,
            ),
            ...broken.map(
              module =>
                `- ${module.relativeModuleId} (${module.project.name}): ${cell(module.errors()[0]?.message ?? '')}`,
            ),
            ...errors.map(error => `- ${cell(error.message).slice(0, 300)}`),
            '',
          ]
        : []),
      '## The large ones',
      '',
      '| File | Test | Project | Size | Took |',
      '|---|---|---|---|---|',
      ...told.map(test => {
        const { relativeModuleId } = test.module
        const size = [...new Set(test.meta().sizes)].join(', ')
        return `| ${relativeModuleId.replace('test/', '')} | ${cell(test.fullName)} | ${test.project.name} | ${size} | ${(durationOf(test) / 1000).toFixed(0)} s |`
      }),
      '',
    ]
    writeFileSync(file, lines.join('\n'))
  }
}
