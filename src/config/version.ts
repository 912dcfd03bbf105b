/** The version of the package, as its manifest says. */
import { readFileSync } from 'node:fs'

/** src/config/ or dist/src/config/ lies in the package. */
export const readVersion = (): string => {
  const [, root = ''] = /^(.*?)(?:dist\/)?src\/config\/[^/]*$/.exec(import.meta.url) ?? []
  const manifest: unknown = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : ''
  return String(version)
}
