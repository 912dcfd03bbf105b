/** Who runs an operation: somebody at the command line, or an administrator at a page or the API. */
import type { Visit } from '../http/visit.ts'
import type { KeyActor } from '../keys/rotate-keys.ts'
import type { AuditEvent } from '../observe/audit.ts'
import type { Services } from '../services.ts'
import type { Write } from '../store/commit.ts'

export type Actor = { kind: 'cli' } | { kind: 'admin'; userId: string; visit: Visit }

/** What the audit says of who did it. */
export const actorOf = (actor: Actor): { visit?: Visit; by: string } =>
  actor.kind === 'cli' ? { by: 'cli' } : { visit: actor.visit, by: actor.userId }

/** What the audit says besides when an administrator did it at a page (SEC-104). */
const alsoTold = (actor: Actor, { event, clientId, userId, reason, detail }: AuditEvent): AuditEvent[] =>
  actor.kind === 'cli'
    ? []
    : [
        {
          event: 'admin.changed',
          visit: actor.visit,
          clientId,
          userId,
          reason: reason === undefined ? event : `${event} ${reason}`,
          detail: { by: actor.userId, ...detail },
        },
      ]

/** The writes that tell the audit what was done, and by whom, for the commit that does it. */
export const toldOf = (
  { audit }: Pick<Services, 'audit'>,
  actor: Actor,
  what: Omit<AuditEvent, 'visit'>,
): Write[] => {
  const { visit, by } = actorOf(actor)
  return [{ ...what, visit, detail: { by, ...what.detail } }, ...alsoTold(actor, what)].map(audit.write)
}

/** The same of what the audit is told elsewhere already. */
export const adminToldOf = ({ audit }: Pick<Services, 'audit'>, actor: Actor, what: AuditEvent): Write[] =>
  alsoTold(actor, what).map(audit.write)

/** Who changes keys. */
export const keyActorOf = (actor: Actor): KeyActor => ({
  ...actorOf(actor),
  alsoTold: event => alsoTold(actor, event),
})

/** What changed between two records, by the names that differ: for the audit, so nothing secret may be in them. */
export const differenceOf = (
  before: Record<string, unknown>,
  after: Record<string, unknown>,
): { before: Record<string, unknown>; after: Record<string, unknown> } => {
  const differing = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    name => JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  )
  const only = (record: Record<string, unknown>) =>
    Object.fromEntries(differing.map(name => [name, record[name] ?? null]))
  return { before: only(before), after: only(after) }
}
