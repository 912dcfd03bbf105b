/** What an operator should know about the signing keys. */
import type { Gauge } from '../observe/gauges.ts'
import type { Services } from '../services.ts'
import { seconds } from '../store/single-use.ts'
import { dueChanges, type RotationSettings, since } from './rotation.ts'

type Needs = Pick<Services, 'keys' | 'now'>

/** The job looks every minute; after so long without, it does not run or fails. */
const patience = 600

/** What is wrong with the keys, in words. Whatever it is, the keys in memory still sign. */
export const keyTroubles = ({ keys, now }: Needs, settings: RotationSettings): string[] => {
  const lives = keys.lives()
  const without = settings.algorithms.filter(alg => !keys.canSign(alg))
  const isOverdue = dueChanges(lives, settings, seconds(now()) - patience).length > 0
  const unreadable = keys.unreadable()
  return [
    ...(unreadable === undefined ? [] : [`the signing keys cannot be read again: ${unreadable}`]),
    ...without.map(alg =>
      lives.some(key => key.alg === alg && key.state === 'announced')
        ? `there is no active ${alg} key yet: it is announced, and signs once caches have seen it`
        : `there is no active ${alg} key`,
    ),
    ...(isOverdue ? ['a key rotation is overdue; look in the log for job.failed of rotate-keys'] : []),
  ]
}

/** How long each published key has been in its state. */
export const keyGauge = ({ keys, now }: Needs): Gauge => ({
  name: 'lintel_signing_key_age_seconds',
  help: 'How long a published key has been announced, active or retiring',
  read: () =>
    keys
      .lives()
      .filter(({ state }) => state === 'announced' || state === 'active' || state === 'retiring')
      .map(key => ({
        labels: { kid: key.kid, alg: key.alg, state: key.state },
        value: Math.max(0, seconds(now()) - since(key)),
      })),
})
