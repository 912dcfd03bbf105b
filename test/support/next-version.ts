/** A version of Lintel that does not exist yet: this one, and a migration more. */
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The compiled version must be there. `migration` is the text of a module. */
export const makeNextVersion = (name: string, migration: string): { bin: string; remove: () => void } => {
  const directory = mkdtempSync(join(tmpdir(), 'lintel-next-'))
  for (const part of ['package.json', 'bin', 'dist'])
    cpSync(join(root, part), join(directory, part), { recursive: true })
  for (const part of ['node_modules', 'views', 'locales', 'public'])
    symlinkSync(join(root, part), join(directory, part))
  writeFileSync(join(directory, 'dist', 'migrations', `${name}.js`), migration)
  return {
    bin: join(directory, 'bin', 'lintel.js'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}
