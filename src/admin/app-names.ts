/** Apps in lists, by their id: the name, and the id again where there is such an app, to lead to its page. */
import type { Services } from '../services.ts'

export type NamedApp = { app: string | undefined; appId: string | undefined }

/** Looks the apps of some rows up. What is in a row may be no id at all: the audit has what was sent. */
export const appNames = async (
  clients: Services['clients'],
  ids: readonly (string | null)[],
): Promise<(id: string | null) => NamedApp> => {
  const asked = [...new Set(ids)].flatMap(id => (id !== null && /^[\x20-\x7e]{1,200}$/.test(id) ? [id] : []))
  const names = new Map<string | null, string | undefined>(
    await Promise.all(asked.map(async id => [id, (await clients.find(id))?.name] as const)),
  )
  return id => {
    const name = names.get(id)
    return { app: name ?? id ?? undefined, appId: name === undefined ? undefined : (id ?? undefined) }
  }
}
