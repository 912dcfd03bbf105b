#!/usr/bin/env node
// The command line. Plain JavaScript, so that the server's process is this very one (signals reach it).
import { existsSync } from 'node:fs'

const built = new URL('../dist/src/cli/lintel.js', import.meta.url)
if (!existsSync(built)) {
  process.stderr.write('lintel: not built yet. Run "npm ci" (or "node bin/build.js") first.\n')
  process.exit(1)
}
await import(built.href)
