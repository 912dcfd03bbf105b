/** GET and POST /admin/outbox — what is on its way to apps, what did not get there, and trying it again. */
import { Params } from '../http/params.ts'
import { redirect } from '../http/redirect.ts'
import type { Route } from '../http/route.ts'
import type { Services } from '../services.ts'
import { type OutboxState, pageOfOutbox } from '../store/outbox.ts'
import { statement } from '../store/statement.ts'
import { type AdminNeeds, adminRoute, cut, numberIn, pageSize, searchText } from './admin-room.ts'
import { appNames } from './app-names.ts'
import { retryAllDeliveries, retryDelivery } from './outbox-operations.ts'

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
      const appOf = await appNames(
        clients,
        shown.map(row => row.client_id),
      )
      page(
        ctx,
        'outbox',
        {
          ...frame,
          state,
          failed: await failedDeliveries(services),
          next: last === undefined ? undefined : String(last.id),
          deliveries: shown.map(row => ({
            id: row.id,
            kind: row.kind,
            ...appOf(row.client_id),
            state: row.state,
            attempts: row.attempts,
            error: row.last_error ?? undefined,
            createdAt: row.created_at,
            nextAt: row.state === 'pending' ? row.next_at : undefined,
          })),
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
