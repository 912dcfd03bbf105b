/** Who runs an operation: somebody at the command line, or an administrator at a page or the API. */
import type { Visit } from '../http/visit.ts'

export type Actor = { kind: 'cli' } | { kind: 'admin'; userId: string; visit: Visit }

/** What the audit says of who did it. */
export const actorOf = (actor: Actor): { visit?: Visit; by: string } =>
  actor.kind === 'cli' ? { by: 'cli' } : { visit: actor.visit, by: actor.userId }
