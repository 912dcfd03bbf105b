/** What a logout asks for (OIDC RP-Initiated Logout section 2): who it is about, and where it may go back to. */
import type { Params } from '../../http/params.ts'
import type { Services } from '../../services.ts'
import { type Client, clientsWithPostLogoutUri } from '../client/client.ts'
import { isRegisteredUri } from '../client/redirect-uri.ts'
import { type IdTokenHint, readIdTokenHint } from '../tokens/id-token.ts'

export type LogoutRequest = {
  hint: IdTokenHint | undefined
  client: Client | undefined
  /** A registered URI with `state`, or undefined: nobody is sent anywhere else. */
  returnTo: string | undefined
  locale: string | undefined
  /** The parameters, to come back from the confirmation page. */
  fields: [string, string][]
}

const names = ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state', 'ui_locales'] as const

/** The parameters of a request as they came. */
export const requestFields = (params: Params): [string, string][] =>
  names.flatMap((name): [string, string][] => {
    const value = params.get(name)
    return value === undefined ? [] : [[name, value]]
  })

type Needs = Pick<Services, 'issuer' | 'keys' | 'clients' | 'store'>

/** Reads the request. What cannot be used is ignored; the page then asks, and stays with us. */
export const readLogoutRequest = async (services: Needs, params: Params): Promise<LogoutRequest> => {
  params.refuseRepeated()
  const hintText = params.get('id_token_hint')
  const genuine = hintText === undefined ? undefined : readIdTokenHint(services, hintText)
  const named = params.get('client_id')
  // A hint of another client than the one that is named helps nobody.
  const hint = genuine && named !== undefined && named !== genuine.clientId ? undefined : genuine
  const badHint = hintText !== undefined && hint === undefined
  const clientId = named ?? hint?.clientId
  const client = clientId === undefined ? undefined : await findActive(services, clientId)
  return {
    hint,
    client,
    returnTo: badHint ? undefined : await returnAddress(services, params, client, clientId !== undefined),
    locale: params.get('ui_locales')?.slice(0, 200),
    fields: requestFields(params),
  }
}

/** A disabled client is nobody's way back: whoever switched it off does not want people sent there. */
const findActive = async ({ clients }: Needs, id: string): Promise<Client | undefined> => {
  const client = /^[\x20-\x7e]{1,500}$/.test(id) ? await clients.find(id) : undefined
  return client?.disabledAt === null ? client : undefined
}

/** Without a client only a URI counts that exactly one client registered (contracts.md section 6). */
const returnAddress = async (
  { store }: Needs,
  params: Params,
  client: Client | undefined,
  clientWasNamed: boolean,
): Promise<string | undefined> => {
  const uri = params.get('post_logout_redirect_uri')
  if (uri === undefined || uri.length > 2000) return undefined
  if (clientWasNamed) {
    if (!client || !isRegisteredUri(uri, client.postLogoutRedirectUris, client.isNative)) return undefined
  } else {
    const [only, another] = await clientsWithPostLogoutUri(store, uri)
    if (only?.disabledAt !== null || another) return undefined
  }
  const state = params.get('state')
  return state === undefined ? uri : `${uri}${uri.includes('?') ? '&' : '?'}${new URLSearchParams({ state })}`
}
