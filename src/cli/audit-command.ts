/** `lintel audit`: who did what. */
import { type AuditRow, listAudit } from '../observe/audit.ts'
import type { Describe } from './command.ts'
import { onServices } from './on-services.ts'
import { parseGivenNumber } from './option-values.ts'
import { date, table } from './words.ts'

const auditView = ({ detail, ...row }: AuditRow) => ({ ...row, detail: JSON.parse(detail) as unknown })

export const auditCommand: Describe = (audit, terminal) => {
  const list = audit
    .command('list')
    .description('list the last events, newest last')
    .option('--limit <number>', 'at most so many', '100')
  onServices(list, terminal, async ({ services }) => {
    const { limit } = list.opts<{ limit: string }>()
    const rows = await listAudit(services.store, parseGivenNumber('--limit', limit))
    return {
      value: rows.map(auditView),
      text: table(
        ['time', 'event', 'user', 'client', 'address', 'reason', 'detail'],
        rows.map(row => [
          date(row.time),
          row.event,
          row.user_id,
          row.client_id,
          row.ip,
          row.reason,
          row.detail,
        ]),
        'nothing has happened yet',
      ),
    }
  })
}
