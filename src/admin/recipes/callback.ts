/** Where a framework is called back: the registered address that has its shape, or the one that it would have. */
import type { Callback, Recipe } from './recipe.ts'

const exampleBase = 'https://app.example'

/** `/cb/:name` as a pattern that gives base, name and realm. */
const patternOf = (path: string): RegExp =>
  new RegExp(
    `^(?<base>https?://[^/?#]+(?:/[^?#]*)?)${path.replaceAll(/[.?+]/g, '\\$&').replace(/:(name|realm)/g, '(?<$1>[^/?#]+)')}$`,
  )

const filled = (path: string, { name, realm }: Pick<Callback, 'name' | 'realm'>): string =>
  path.replace(':name', name).replace(':realm', realm)

/** The address of a path at the app, or behind its redirect URI. */
export const addressAt = (path: string, callback: Callback): string =>
  (path.startsWith('?') ? callback.redirectUri : callback.base) + filled(path, callback)

export const callbackOf = (recipe: Recipe, redirectUris: readonly string[]): Callback => {
  const chosen = { name: recipe.defaultName ?? 'lintel', realm: 'REALM' }
  const [first] = redirectUris.filter(uri => /^https?:\/\//.test(uri))
  const base = first === undefined ? exampleBase : new URL(first).origin
  const [usual] = recipe.callbacks ?? []
  if (usual === undefined)
    return {
      ...chosen,
      base,
      redirectUri: redirectUris[0] ?? `${exampleBase}/callback`,
      registered: redirectUris.length > 0,
    }
  for (const path of recipe.callbacks ?? [])
    for (const redirectUri of redirectUris) {
      const found = patternOf(path).exec(redirectUri)?.groups
      if (found) return { ...chosen, base, ...found, redirectUri, registered: true }
    }
  return { ...chosen, base, redirectUri: base + filled(usual, chosen), registered: false }
}
