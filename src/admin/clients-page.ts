/** GET /admin/apps — every app, with search. */
import { Params } from '../http/params.ts'
import type { Route } from '../http/route.ts'
import { identifierKey } from '../identity/identifier.ts'
import { type Client, listClients } from '../oauth/client/client.ts'
import type { Store } from '../store/database.ts'
import { type AdminNeeds, adminRoute, cut, pageSize, searchText } from './admin-room.ts'
import { kindOf } from './recipes/recipe.ts'

/** Clients are read so many at a time; a server has hundreds, and names are compared as people see them. */
const chunk = 500

/** Apps whose name, id or an address of theirs holds the text, in order of their id: both databases fold letters alike. */
export const findClients = async (store: Store, search: string, after: string): Promise<Client[]> => {
  const wanted = identifierKey(search)
  const isMeant = ({ id, name, redirectUris }: Client): boolean =>
    [id, name, ...redirectUris].some(text => identifierKey(text).includes(wanted))
  const found: Client[] = []
  for (let last = after; found.length <= pageSize; ) {
    const clients = await listClients(store, { after: last, limit: chunk })
    found.push(...clients.filter(isMeant))
    if (clients.length < chunk) break
    last = clients.at(-1)?.id ?? last
  }
  return found
}

/** The route. */
export const clientsRoute = (services: AdminNeeds, basePath: string): Route =>
  adminRoute(services, basePath, {
    path: '/admin/apps',
    place: 'clients',
    confirm: 'nothing',
    show: async (ctx, { frame }) => {
      const params = Params.parse(ctx.querystring)
      const search = searchText(params, 'q')
      const { shown, last } = cut(await findClients(services.store, search, searchText(params, 'after')))
      services.page(
        ctx,
        'clients',
        {
          ...frame,
          search,
          next: last?.id,
          clients: shown.map(client => ({
            id: client.id,
            name: client.name,
            kind: kindOf(client),
            createdAt: client.createdAt,
            isFirstParty: client.isFirstParty,
            isDisabled: client.disabledAt !== null,
          })),
        },
        { parameters: search === '' ? [] : [['q', search]] },
      )
    },
  })
