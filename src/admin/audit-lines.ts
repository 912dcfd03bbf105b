/** Events of the audit as pages show them: with the names of people and apps beside their ids. */
import type { AuditLine } from '../http/admin-views.ts'
import { findUserById } from '../identity/user.ts'
import type { AuditEventName, AuditRow } from '../observe/audit.ts'
import type { Services } from '../services.ts'
import { appNames } from './app-names.ts'

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
  const people = new Map<string | null, string | undefined>()
  for (const id of new Set(rows.map(row => row.user_id)))
    if (id !== null) people.set(id, (await findUserById(store, id))?.username)
  const appOf = await appNames(
    clients,
    rows.map(row => row.client_id),
  )
  return rows.map(row => {
    const who = people.get(row.user_id)
    return {
      at: row.time,
      event: row.event,
      reason: row.reason ?? undefined,
      who: who ?? row.user_id ?? undefined,
      whoId: who === undefined ? undefined : (row.user_id ?? undefined),
      ...appOf(row.client_id),
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
