/** Resources: the APIs that access tokens can be for (RFC 8707). The only writer of the table `resource`. */
import { changed } from '../../store/change.ts'
import { type Write, write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { seconds } from '../../store/single-use.ts'
import { insertion, statement } from '../../store/statement.ts'
import { newTextKey } from '../../store/text-key.ts'

export type Resource = {
  id: string
  /** The absolute URI that tokens name as `aud`. */
  identifier: string
  name: string
  scopes: readonly string[]
  tokenFormat: 'jwt' | 'opaque'
  /** `at+jwt` (RFC 9068), or `JWT` for verifiers that refuse it. */
  tokenTyp: string
  alg: string
  /** Seconds; the server's own where null. */
  lifetime: number | null
  createdAt: number
  updatedAt: number
  /** How often it was changed: a change repeats the one it rests on. */
  version: number
}

type Row = Omit<Resource, 'scopes'> & { scopes: string }

const reading = statement<Record<never, never>, Row>('resource.read', knex =>
  knex('resource')
    .select({
      id: 'id',
      identifier: 'identifier',
      name: 'name',
      scopes: 'scopes',
      tokenFormat: 'token_format',
      tokenTyp: 'token_typ',
      alg: 'alg',
      lifetime: 'lifetime',
      createdAt: 'created_at',
      updatedAt: 'updated_at',
      version: 'version',
    })
    .orderBy('identifier'),
)

export const listResources = async (store: Store): Promise<Resource[]> =>
  (await store.all(reading, {})).map(row => ({
    ...row,
    scopes: row.scopes === '' ? [] : row.scopes.split(' '),
  }))

export type ResourceDirectory = {
  /** By its identifier; one trailing slash does not matter, for some clients append it. */
  find: (identifier: string) => Resource | undefined
  /** The resource that a scope belongs to. */
  ofScope: (scope: string) => Resource | undefined
  all: () => readonly Resource[]
  reload: () => Promise<void>
}

const withoutSlash = (identifier: string): string => identifier.replace(/\/$/, '')

/** The resources in memory: they are few. */
export const openResourceDirectory = async (store: Store): Promise<ResourceDirectory> => {
  let all: Resource[] = []
  let byIdentifier = new Map<string, Resource>()
  let byScope = new Map<string, Resource>()
  const reload = async (): Promise<void> => {
    all = await listResources(store)
    byIdentifier = new Map(all.map(resource => [withoutSlash(resource.identifier), resource]))
    byScope = new Map(all.flatMap(resource => resource.scopes.map(scope => [scope, resource] as const)))
  }
  await reload()
  return {
    find: identifier => byIdentifier.get(withoutSlash(identifier)),
    ofScope: scope => byScope.get(scope),
    all: () => all,
    reload,
  }
}

type Columns = {
  id: string
  identifier: string
  name: string
  scopes: string
  token_format: string
  token_typ: string
  alg: string
  lifetime: number | null
  created_at: number
  updated_at: number
  version: number
}

const columnNames = [
  'id',
  'identifier',
  'name',
  'scopes',
  'token_format',
  'token_typ',
  'alg',
  'lifetime',
  'created_at',
  'updated_at',
  'version',
] as const

const inserting = insertion<Columns>('resource', columnNames)
const updating = statement<Columns & { seen: number }>('resource.update', (knex, values) =>
  knex('resource')
    .where({ id: values.id, version: values.seen })
    .update(Object.fromEntries(columnNames.filter(name => name !== 'id').map(name => [name, values[name]]))),
)
const deleting = statement<{ id: string }>('resource.delete', (knex, { id }) =>
  knex('resource').where({ id }).delete(),
)

const columnsOf = (resource: Resource): Columns => ({
  id: resource.id,
  identifier: resource.identifier,
  name: resource.name,
  scopes: resource.scopes.join(' '),
  token_format: resource.tokenFormat,
  token_typ: resource.tokenTyp,
  alg: resource.alg,
  lifetime: resource.lifetime,
  created_at: resource.createdAt,
  updated_at: resource.updatedAt,
  version: resource.version,
})

/** What is wrong with an identifier (RFC 8707 section 2: an absolute URI without a fragment), or undefined. */
export const resourceIdentifierFault = (identifier: string): string | undefined =>
  !/^[a-z][a-z0-9+.-]*:\S+$/i.test(identifier) || !URL.canParse(identifier)
    ? 'must be an absolute URI such as https://api.example'
    : identifier.includes('#')
      ? 'must have no fragment'
      : identifier.length > 500
        ? 'is longer than 500 characters'
        : undefined

/** A resource to be, and the writes that make it; refused when the identifier is taken. */
export const newResource = (
  resource: Omit<Resource, 'id' | 'createdAt' | 'updatedAt' | 'version'>,
  now: Date,
): { resource: Resource; writes: Write[] } => {
  const made = {
    ...resource,
    id: newTextKey(now),
    createdAt: seconds(now),
    updatedAt: seconds(now),
    version: 0,
  }
  return { resource: made, writes: [write(inserting, columnsOf(made)), changed('client')] }
}

/** The writes that store a changed resource; refused when somebody else changed it since it was read. */
export const updateResource = (resource: Resource, now: Date): Write[] => [
  write(updating, {
    ...columnsOf({ ...resource, updatedAt: seconds(now), version: resource.version + 1 }),
    seen: resource.version,
  }),
  changed('client'),
]

export const deleteResource = (id: string): Write[] => [write(deleting, { id }), changed('client')]
