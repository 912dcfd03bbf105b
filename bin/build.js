// Compiles src/ and migrations/ into dist/. Plain JavaScript, because it runs before anything is compiled.
//   (no option)     compile
//   --if-newer      compile only when a source is newer than the last build
//   --if-compiler   do nothing where TypeScript is not installed (npm ci --omit=dev on a tree that has dist/)
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const stamp = join(dist, '.built')
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
const options = new Set(process.argv.slice(2))

const newestIn = path =>
  statSync(path).isDirectory()
    ? Math.max(0, ...readdirSync(path).map(name => newestIn(join(path, name))))
    : statSync(path).mtimeMs

if (!existsSync(compiler)) {
  if (options.has('--if-compiler') || existsSync(stamp)) process.exit(0)
  process.stderr.write('build: TypeScript is not installed. Run "npm ci" with development dependencies.\n')
  process.exit(1)
}
if (options.has('--if-newer') && existsSync(stamp)) {
  const sources = ['src', 'migrations', 'package.json', 'tsconfig.json', 'tsconfig.build.json']
  const newest = Math.max(...sources.map(name => newestIn(join(root, name))))
  if (newest <= statSync(stamp).mtimeMs) process.exit(0)
}
/** Of several that build at once one comes last; the others' work is as new, and not needed. */
function swapIn() {
  const former = `${fresh}.former`
  try {
    if (existsSync(dist)) renameSync(dist, former)
    renameSync(fresh, dist)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error
  }
  rmSync(former, { recursive: true, force: true })
}

// Into a folder of its own first: a server that runs from dist/ keeps its files until the new ones are whole.
const fresh = join(root, `dist.${process.pid}`)
const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', fresh], {
  cwd: root,
  stdio: 'inherit',
})
if (status === 0) {
  writeFileSync(join(fresh, '.built'), '')
  swapIn()
}
rmSync(fresh, { recursive: true, force: true })
process.exit(status ?? 1)
