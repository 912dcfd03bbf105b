import { defineConfig } from 'vitest/config'

/** What does not look at a database, or looks at both by itself, or drives a browser, runs once. */
const onceOnly = [
  'test/*.test.ts',
  'test/http/**',
  'test/store/**',
  'test/keys/**',
  'test/observe/**',
  'test/cli/**',
  'test/browser/**',
  'test/interop/**',
  'test/oauth/**',
  'test/identity/**',
  'test/throttle/**',
  'test/reliability/**',
  'test/recipes/**',
]

/** The full numbers, on a machine that may have other things to do. */
const isLong = process.env['LINTEL_TEST_LONG'] !== undefined

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: isLong ? 600_000 : 30_000,
    hookTimeout: isLong ? 120_000 : 30_000,
    maxWorkers: 2,
    // Files share what they load: no test changes a module, and loading everything anew took a third of the time.
    isolate: false,
    projects: [
      { extends: true, test: { name: 'sqlite', include: ['test/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'postgres',
          include: ['test/**/*.test.ts'],
          exclude: onceOnly,
          env: { LINTEL_TEST_DATABASE: 'postgres' },
        },
      },
    ],
  },
})
