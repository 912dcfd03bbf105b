/** GET and POST /admin/outbox — what is on its way to apps, what did not get there, and trying it again. */
import { Params } from '../http/params.ts'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import type { Services } from '../services.ts'
import { type OutboxState, pageOfOutbox } from '../store/outbox.ts'
import { statement } from '../store/statement.ts'
import { type AdminNeeds, adminRoute, cut, pageSize, searchText } from './admin-room.ts'
import { retryAllDeliveries, retryDelivery } from './outbox-operations.ts'
import { numberIn } from './refusals-page.ts'

type Needs = AdminNeeds & Pick<Services, 'clients' | 'wakeOutbox'>

const counting = statement<{ state: string }, { count: number }>('outbox.count', (knex, { state }) =>
  knex('outbox').where({ state }).count({ count: '*' }),
)

/** How many deliveries failed for good. */
export const failedDeliveries = async ({ store }: Pick<Services, 'store'>): Promise<number> =>
  Number((await store.one(counting, { state: 'failed' }))?.count ?? 0)

const states: readonly OutboxState[] = ['pending', 'delivered', 'failed']

/** The route. */
export const outboxRoute = (services: Needs, basePath: string): Route => {
  const { store, clients, page } = services
  return adminRoute(services, basePath, {
    path: '/admin/outbox',
    place: 'outbox',
    confirm: 'nothing',
    show: async (ctx, { frame }) => {
      const params = Params.parse(ctx.querystring)
      const state = states.find(one => one === params.get('state'))
      const before = numberIn(searchText(params, 'before'))
      const { shown, last } = cut(await pageOfOutbox(store, { before, state, limit: pageSize + 1 }))
      const ids = new Set(shown.flatMap(({ client_id }) => client_id ?? []))
      const apps = new Map(
        await Promise.all([...ids].map(async id => [id, (await clients.find(id))?.name] as const)),
      )
      page(
        ctx,
        'outbox',
        {
          ...frame,
          state,
          failed: await failedDeliveries(services),
          next: last === undefined ? undefined : String(last.id),
          deliveries: shown.map(row => {
            const app = row.client_id === null ? undefined : apps.get(row.client_id)
            return {
              id: row.id,
              kind: row.kind,
              app: app ?? row.client_id ?? undefined,
              appId: app === undefined ? undefined : (row.client_id ?? undefined),
              state: row.state,
              attempts: row.attempts,
              error: row.last_error ?? undefined,
              createdAt: row.created_at,
              nextAt: row.state === 'pending' ? row.next_at : undefined,
            }
          }),
        },
        { parameters: state === undefined ? [] : [['state', state]] },
      )
    },
    change: async (ctx, { actor }, form) => {
      const id = numberIn(form.get('retry') ?? '')
      if (form.get('retry') === 'all') await retryAllDeliveries(services, actor)
      else if (id !== undefined) await retryDelivery(services, id, actor)
      redirect(ctx, `${ctx.path}?done=retried`)
    },
  })
}
