/** `lintel keys`: the signing keys. */
import { listKeys } from '../keys/signing-key.ts'
import type { Describe } from './command.ts'
import { onServices } from './on-services.ts'
import { date, table } from './words.ts'

const published = ['announced', 'active', 'retiring']

export const keysCommand: Describe = (keys, terminal) => {
  const list = keys
    .command('list')
    .description('list the keys of the JWKS, oldest first')
    .option('--all', 'those that have left it as well')
  onServices(list, terminal, async ({ services }) => {
    const { all } = list.opts<{ all?: boolean }>()
    const rows = (await listKeys(services.store)).filter(key => all || published.includes(key.state))
    return {
      value: rows.map(
        ({ kid, alg, state, announced_at, active_at, retiring_at, retired_at, gone_at, reason }) => ({
          kid,
          alg,
          state,
          announced_at,
          active_at,
          retiring_at,
          retired_at,
          gone_at,
          reason,
        }),
      ),
      text: table(
        ['kid', 'alg', 'state', 'announced', 'active', 'retiring'],
        rows.map(key => [
          key.kid,
          key.alg,
          key.state,
          date(key.announced_at),
          date(key.active_at),
          date(key.retiring_at),
        ]),
        'there are no keys',
      ),
    }
  })
}
