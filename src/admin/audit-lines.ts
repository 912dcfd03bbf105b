/** Events of the audit as pages show them: with the names of people and apps beside their ids. */
import type { AuditLine } from '../http/admin-views.ts'
import { findUserById } from '../identity/user.ts'
import type { AuditEventName, AuditRow } from '../observe/audit.ts'
import type { Services } from '../services.ts'

/** What was refused to an app, a person or a browser. */
export const refusalEvents: readonly AuditEventName[] = [
  'admin.denied',
  'authorize.rejected',
  'client.rejected',
  'client_auth.failed',
  'code.replayed',
  'csrf.rejected',
  'login.failed',
  'login.locked',
  'logout.failed',
  'outbound.blocked',
  'refresh.reused',
  'token.rejected',
]

type Needs = Pick<Services, 'store' | 'clients'>

/** The lines of some events. */
export const auditLines = async (
  { store, clients }: Needs,
  rows: readonly AuditRow[],
): Promise<AuditLine[]> => {
  const unique = (ids: (string | null)[]): string[] => [...new Set(ids)].filter(id => id !== null)
  const people = new Map<string, string | undefined>()
  const apps = new Map<string, string | undefined>()
  for (const id of unique(rows.map(row => row.user_id)))
    people.set(id, (await findUserById(store, id))?.username)
  for (const id of unique(rows.map(row => row.client_id)))
    if (/^[\x20-\x7e]{1,200}$/.test(id)) apps.set(id, (await clients.find(id))?.name)
  return rows.map(row => {
    const [who, app] = [people.get(row.user_id ?? ''), apps.get(row.client_id ?? '')]
    return {
      at: row.time,
      event: row.event,
      reason: row.reason ?? undefined,
      who: who ?? row.user_id ?? undefined,
      whoId: who === undefined ? undefined : (row.user_id ?? undefined),
      app: app ?? row.client_id ?? undefined,
      appId: app === undefined ? undefined : (row.client_id ?? undefined),
      ip: row.ip ?? undefined,
      requestId: row.request_id ?? undefined,
    }
  })
}

/** The texts in an event's detail, by their names. */
export const detailOf = ({ detail }: AuditRow): Record<string, unknown> => {
  const value: unknown = JSON.parse(detail)
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
