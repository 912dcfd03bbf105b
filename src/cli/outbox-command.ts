/** `lintel outbox`: what is on its way to apps and people, and what did not get there. */
import { quoted } from '../admin/near-miss.ts'
import { retryAllDeliveries, retryDelivery } from '../admin/outbox-operations.ts'
import { Refusal } from '../http/refusal.ts'
import { listOutbox, type OutboxRow, type OutboxState } from '../store/outbox.ts'
import type { Describe } from './command.ts'
import { usageError } from './failure.ts'
import { onServices, operator } from './on-services.ts'
import { parseGivenNumber } from './option-values.ts'
import { date, table } from './words.ts'

const states: readonly OutboxState[] = ['pending', 'delivered', 'failed']

const parseState = (text: string): OutboxState => {
  const state = states.find(one => one === text)
  if (state === undefined) throw usageError(`--state must be one of: ${states.join(', ')}`)
  return state
}

/** The payload stays out: it is for its receiver. */
const outboxView = (row: OutboxRow) => ({
  id: row.id,
  kind: row.kind,
  client_id: row.client_id,
  user_id: row.user_id,
  state: row.state,
  attempts: row.attempts,
  last_error: row.last_error,
  created_at: row.created_at,
  next_at: row.state === 'pending' ? row.next_at : null,
  ended_at: row.ended_at,
})

export const outboxCommand: Describe = (outbox, terminal) => {
  const list = outbox
    .command('list')
    .description('list deliveries, newest last')
    .option('--state <state>', states.join(', '))
    .option('--client <client-id>', 'to this client only')
    .option('--limit <number>', 'at most so many', '1000')
  onServices(list, terminal, async ({ services }) => {
    const given = list.opts<{ state?: string; client?: string; limit: string }>()
    const rows = await listOutbox(services.store, {
      limit: parseGivenNumber('--limit', given.limit),
      ...(given.state === undefined ? {} : { state: parseState(given.state) }),
      ...(given.client === undefined ? {} : { clientId: given.client }),
    })
    return {
      value: rows.map(outboxView),
      text: table(
        ['id', 'kind', 'client', 'state', 'attempts', 'created', 'last error'],
        rows.map(row => [
          row.id,
          row.kind,
          row.client_id,
          row.state,
          row.attempts,
          date(row.created_at),
          row.last_error,
        ]),
        'there is nothing in the outbox',
      ),
    }
  })
  const again = outbox
    .command('retry [id]')
    .description('try failed deliveries again')
    .option('--all', 'all that have failed')
  onServices(again, terminal, async ({ services, args: [id] }) => {
    const { all } = again.opts<{ all?: boolean }>()
    if ((id === undefined) === (all === undefined)) throw usageError('name a delivery, or say --all')
    const one = id === undefined ? undefined : parseGivenNumber('the id', id)
    if (one !== undefined && !(await retryDelivery(services, one, operator)))
      throw new Refusal('not_found', `there is no failed delivery ${quoted(String(one))}`, 404)
    const retried = one === undefined ? await retryAllDeliveries(services, operator) : [one]
    return {
      value: { retried },
      text: `${retried.length} to be tried again, within a second if the server runs`,
    }
  })
}
