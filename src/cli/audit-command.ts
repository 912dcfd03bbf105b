/** `lintel audit`: who did what. */
import type { Command } from 'commander'
import { type AuditRow, listAudit } from '../observe/audit.ts'
import { type AuditVerification, verifyAudit } from '../observe/audit-verification.ts'
import type { Describe } from './command.ts'
import { alreadyTold } from './failure.ts'
import { onServices } from './on-services.ts'
import { parseGivenNumber } from './option-values.ts'
import { answer, type Terminal } from './terminal.ts'
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
  describeVerify(audit.command('verify'), terminal)
}

const describeVerify = (command: Command, terminal: Terminal): void => {
  command
    .description('look whether anything was changed, taken out or put in since it was sealed; exit 1 if so')
    .option('--seal <seal>', 'one that you kept elsewhere: it must still be in the chain')
  onServices(command, terminal, async ({ services }) => {
    const { seal } = command.opts<{ seal?: string }>()
    const found = await verifyAudit(services, seal)
    const told = {
      value: {
        ok: found.ok,
        events: found.events,
        unsealed: found.unsealed,
        last_seal: found.lastSeal,
        ...(found.ok ? {} : { broken: found.broken, knows_seal: found.knowsSeal }),
      },
      text: verificationInWords(found),
    }
    if (found.ok) return told
    answer(terminal, told)
    throw alreadyTold()
  })
}

const verificationInWords = ({
  ok,
  events,
  unsealed,
  lastSeal,
  broken,
  knowsSeal,
}: AuditVerification): string =>
  [
    ok ? `all seals fit: ${events} events, ${unsealed} not sealed yet` : 'THE AUDIT WAS CHANGED',
    ...broken.map(
      ({ seal, after, upTo }) => `seal ${seal} does not fit the events after ${after} up to ${upTo}`,
    ),
    ...(knowsSeal ? [] : ['the seal that was given is not in the chain: all seals were written anew']),
    `last seal: ${lastSeal ?? 'none'}`,
  ].join('\n')
