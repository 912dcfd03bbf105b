/** An app's form and its metadata: presets by kind, what was typed, and back. */
import type { ClientForm, ClientKind } from '../http/admin-views.ts'
import type { Params } from '../http/params.ts'
import type { Client } from '../oauth/client/client.ts'
import type { JsonObject } from './merge-patch.ts'

/** What a new app of a kind starts with. A server app may send its secret by Basic or by post: frameworks differ. */
export const presets: Record<ClientKind, JsonObject> = {
  server: { application_type: 'web', grant_types: ['authorization_code', 'refresh_token'] },
  browser: {
    application_type: 'web',
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  },
  native: {
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  },
  machine: { grant_types: ['client_credentials'], response_types: [] },
}

export const clientKinds = Object.keys(presets) as ClientKind[]

export const isClientKind = (text: string | undefined): text is ClientKind =>
  clientKinds.some(kind => kind === text)

const texts = ['client_name', 'client_uri', 'initiate_login_uri', 'backchannel_logout_uri'] as const
const lists = ['redirect_uris', 'post_logout_redirect_uris'] as const

/** What was typed, as it is shown again. */
export const typedClient = (form: Params): ClientForm => ({
  ...Object.fromEntries([...texts, ...lists, 'scope' as const].map(name => [name, form.get(name)])),
  firstParty: form.has('first_party'),
  withoutPkce: form.has('without_pkce'),
})

/** No address holds a space: one a line, or with commas as people write them. */
const split = (text: string | undefined): string[] => (text ?? '').split(/[\s,]+/).filter(part => part !== '')

/** The merge patch of what was typed: what is empty goes. Only what the form of this kind shows is in it. */
export const patchOf = (kind: ClientKind, typed: ClientForm): JsonObject => {
  const scope = split(typed.scope).join(' ') || null
  if (kind === 'machine') return { client_name: typed.client_name ?? null, scope }
  return {
    ...Object.fromEntries(texts.map(name => [name, typed[name]?.trim() ?? null])),
    ...Object.fromEntries(
      lists.map(name => {
        const uris = split(typed[name])
        return [name, uris.length === 0 ? null : uris]
      }),
    ),
    scope,
    first_party: typed.firstParty ? true : null,
    ...(kind === 'server' ? { require_pkce: typed.withoutPkce ? false : null } : {}),
  }
}

/** The form of an app that is there. */
export const formOf = ({ metadata, policy }: Client): ClientForm => ({
  ...Object.fromEntries(texts.map(name => [name, metadata[name]])),
  ...Object.fromEntries(lists.map(name => [name, metadata[name]?.join('\n')])),
  scope: metadata.scope,
  firstParty: metadata.first_party ?? false,
  withoutPkce: !policy.requirePkce,
})

/** The field that a refusal names in front of its description: `redirect_uris: …`. */
export const faultyField = (description: string): string | undefined =>
  [...texts, ...lists, 'scope'].find(name => description.startsWith(`${name}:`))
