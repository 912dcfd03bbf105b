import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'

export type Asset = { body: Buffer; type: string; etag: string }
export type Assets = {
  /** `style.css` → `/assets/style.3f2a9c….css`, under the issuer's path. */
  url: (name: string) => string
  /** What lies at the path of a request, as `url` gave it. */
  find: (path: string) => Asset | undefined
}

/** A name holds the hash of what it names, so what was fetched once stays right for ever (RFC 8246). */
export const assetCaching = 'public, max-age=31536000, immutable'

const types = new Map([
  ['.css', 'text/css; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
  ['.png', 'image/png'],
  ['.ico', 'image/x-icon'],
])

/** Everything in `dir` is read once, at start: a request never reaches the disk, whatever its path says. */
export function loadAssets(dir: string, basePath: string): Assets {
  const byName = new Map<string, string>()
  const byPath = new Map<string, Asset>()
  for (const name of readdirSync(dir)) {
    const extension = extname(name)
    const type = types.get(extension)
    if (!type) continue
    const body = readFileSync(join(dir, name))
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 16)
    const path = `${basePath}/assets/${name.slice(0, -extension.length)}.${hash}${extension}`
    byName.set(name, path)
    byPath.set(path, { body, type, etag: `"${hash}"` })
  }
  return {
    url: name => {
      const path = byName.get(name)
      if (!path) throw new Error(`no ${name} in ${dir}`)
      return path
    },
    find: path => byPath.get(path),
  }
}
