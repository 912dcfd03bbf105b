/** GET and POST /admin/keys — the signing keys as lines of time, and rotating them. */
import type { KeysView } from '../http/admin-views.ts'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import { type KeySettings, rotateKeys } from '../keys/rotate-keys.ts'
import { propagation, type RotationSettings, retention, since } from '../keys/rotation.ts'
import { type KeyLife, listKeys } from '../keys/signing-key.ts'
import type { Services } from '../services.ts'
import { keyActorOf } from './actor.ts'
import { type AdminNeeds, adminRoute } from './admin-room.ts'

type Needs = AdminNeeds & Pick<Services, 'keys' | 'box' | 'log'>

type Moment = KeysView['keys'][number]['moments'][number]

/** When an active key is replaced, or an announced one signs: what comes next, as far as it is known. */
export const nextOf = (
  key: KeyLife,
  active: KeyLife | undefined,
  settings: RotationSettings,
): Moment | undefined => {
  const ahead = (what: string, at: number): Moment => ({ at, what, isAhead: true })
  if (key.state === 'active') return ahead('retiring', since(key) + settings.rotateEvery)
  if (key.state === 'retiring') return ahead('retired', since(key) + retention(settings))
  if (key.state !== 'announced') return undefined
  const seenAt = key.announced_at + propagation
  const due = active ? since(active) + settings.rotateEvery : 0
  return ahead('active', key.requested_at === null ? Math.max(seenAt, due) : seenAt)
}

/** Keys that never signed and are long gone tell nobody anything. */
const longest = 12

/** The route. */
export const keysRoute = (services: Needs, settings: KeySettings, basePath: string): Route =>
  adminRoute(services, basePath, {
    path: '/admin/keys',
    place: 'keys',
    confirm: 'change',
    show: async (ctx, { frame }) => {
      const keys = (await listKeys(services.store)).reverse()
      const activeOf = (alg: string) => keys.find(key => key.alg === alg && key.state === 'active')
      const moments = (key: KeyLife): Moment[] => {
        const past = (['announced', 'active', 'retiring', 'retired', 'gone'] as const).flatMap(
          (what): Moment[] => {
            const at = key[`${what}_at`]
            return at === null
              ? []
              : [{ at, what: what === 'gone' && key.reason ? key.reason : what, isAhead: false }]
          },
        )
        const next = nextOf(key, activeOf(key.alg), settings)
        return next ? [...past, next] : past
      }
      const published = keys.filter(key => !['retired', 'gone'].includes(key.state))
      const former = keys.filter(key => ['retired', 'gone'].includes(key.state)).slice(0, longest)
      services.page(ctx, 'keys', {
        ...frame,
        algorithms: [...settings.algorithms],
        keys: [...published, ...former].map(key => ({
          kid: key.kid,
          alg: key.alg,
          state: key.state,
          moments: moments(key),
          mayBeCompromised: key.state !== 'gone',
        })),
      })
    },
    change: async (ctx, { actor }, form) => {
      const when = form.get('rotate')
      if (when !== 'seen' && when !== 'now') return redirect(ctx, ctx.path)
      await rotateKeys(services, settings, { when }, keyActorOf(actor))
      redirect(ctx, `${ctx.path}?done=${when === 'now' ? 'rotated' : 'announced'}`)
    },
  })
