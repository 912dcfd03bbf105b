/** `lintel keys`: the signing keys, and the master key that everything is encrypted under. */
import type { Command } from 'commander'
import { actorOf } from '../admin/actor.ts'
import { sealedTables } from '../admin/sealed-tables.ts'
import { reencrypt } from '../keys/reencrypt.ts'
import { compromiseKey, keySettings, rotateKeys } from '../keys/rotate-keys.ts'
import { type KeyLife, listKeys } from '../keys/signing-key.ts'
import type { Describe } from './command.ts'
import { named, onServices, operator } from './on-services.ts'
import type { Answer, Terminal } from './terminal.ts'
import { date, table } from './words.ts'

const published = ['announced', 'active', 'retiring']

const keyView = (key: KeyLife) => ({
  kid: key.kid,
  alg: key.alg,
  state: key.state,
  announced_at: key.announced_at,
  requested_at: key.requested_at,
  active_at: key.active_at,
  retiring_at: key.retiring_at,
  retired_at: key.retired_at,
  gone_at: key.gone_at,
  reason: key.reason,
})

const told = (keys: readonly KeyLife[]): Answer => ({
  value: keys.map(keyView),
  text: table(
    ['kid', 'alg', 'state', 'announced', 'active', 'retiring'],
    keys.map(key => [
      key.kid,
      key.alg,
      key.state,
      date(key.announced_at),
      date(key.active_at),
      date(key.retiring_at),
    ]),
    'there are no keys',
  ),
})

export const keysCommand: Describe = (keys, terminal) => {
  const list = keys
    .command('list')
    .description('list the keys of the JWKS, oldest first')
    .option('--all', 'those that have left it as well')
  onServices(list, terminal, async ({ services }) => {
    const { all } = list.opts<{ all?: boolean }>()
    return told((await listKeys(services.store)).filter(key => all || published.includes(key.state)))
  })
  describeRotate(keys.command('rotate'), terminal)
  const compromise = keys
    .command('compromise <kid>')
    .description('take a key out of use that somebody else may have; what it signed is refused at once')
  onServices(compromise, terminal, async at => {
    const { services, config } = at
    const key = await compromiseKey(services, keySettings(config), named(at), actorOf(operator))
    return { value: keyView(key), text: `${key.kid} is gone: what it signed is refused within a second` }
  })
  const again = keys
    .command('reencrypt')
    .description('encrypt everything under the first master key, so that the others can be given up')
  onServices(again, terminal, async ({ services }) => {
    const reencrypted = await reencrypt(services, sealedTables, actorOf(operator))
    return {
      value: { reencrypted },
      text:
        reencrypted === 0
          ? 'everything is under the first master key'
          : `${reencrypted} values are under the first master key now`,
    }
  })
}

const describeRotate = (command: Command, terminal: Terminal): void => {
  command
    .description('announce successors; they sign once caches have seen them, after two hours')
    .option('--alg <algorithm>', 'of this algorithm only')
    .option('--now', 'let them sign at once: apps that keep the JWKS may refuse what they sign for an hour')
  onServices(command, terminal, async ({ services, config }) => {
    const { alg, now } = command.opts<{ alg?: string; now?: boolean }>()
    const wanted = { ...(alg === undefined ? {} : { alg }), when: now ? 'now' : 'seen' } as const
    return told(await rotateKeys(services, keySettings(config), wanted, actorOf(operator)))
  })
}
