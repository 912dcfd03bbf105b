/** `lintel resource`: the APIs that access tokens can be for (RFC 8707). */
import type { Command } from 'commander'
import {
  createResource,
  deleteResource,
  requireResource,
  updateResource,
  type WantedResource,
} from '../admin/resource-operations.ts'
import { listResources, type Resource } from '../oauth/client/resource-server.ts'
import type { Describe } from './command.ts'
import { usageError } from './failure.ts'
import { named, onServices, operator } from './on-services.ts'
import { parseGivenDuration } from './option-values.ts'
import type { Answer, Terminal } from './terminal.ts'
import { date, record, table } from './words.ts'

const resourceView = (resource: Resource) => ({
  id: resource.id,
  identifier: resource.identifier,
  name: resource.name,
  scopes: resource.scopes,
  alg: resource.alg,
  format: resource.tokenFormat,
  typ: resource.tokenTyp,
  lifetime: resource.lifetime,
  created_at: resource.createdAt,
  updated_at: resource.updatedAt,
})

const told = (resource: Resource): Answer => {
  const view = resourceView(resource)
  return {
    value: view,
    text: record({ ...view, created_at: date(view.created_at), updated_at: date(view.updated_at) }),
  }
}

type Options = {
  identifier?: string
  name?: string
  scopes?: string
  alg?: string
  format?: string
  typ?: string
  lifetime?: string
}

const split = (scopes: string): string[] => scopes.split(/[\s,]+/).filter(scope => scope !== '')

const given = (command: Command): Partial<WantedResource> => {
  const { identifier, name, scopes, alg, format, typ, lifetime } = command.opts<Options>()
  return {
    ...(identifier === undefined ? {} : { identifier }),
    ...(name === undefined ? {} : { name }),
    ...(scopes === undefined ? {} : { scopes: split(scopes) }),
    alg,
    tokenFormat: format,
    tokenTyp: typ,
    lifetime: lifetime === undefined ? undefined : parseGivenDuration('--lifetime', lifetime) || null,
  }
}

const addTokenOptions = (command: Command): Command =>
  command
    .option('--alg <algorithm>', 'signs its access tokens; ES256 by default')
    .option('--format <format>', 'jwt or opaque')
    .option('--typ <typ>', 'at+jwt, or JWT for verifiers that refuse it')
    .option('--lifetime <duration>', "life of its access tokens; now for the server's own")

export const resourceCommand: Describe = (resource, terminal) => {
  describeCreate(resource.command('create'), terminal)
  const list = resource.command('list').description('list resources')
  onServices(list, terminal, async ({ services }) => {
    const all = await listResources(services.store)
    return {
      value: all.map(resourceView),
      text: table(
        ['identifier', 'name', 'scopes', 'alg', 'format'],
        all.map(one => [one.identifier, one.name, one.scopes.join(' '), one.alg, one.tokenFormat]),
        'there are no resources',
      ),
    }
  })
  const show = resource.command('show <identifier>').description('show a resource')
  onServices(show, terminal, async at => told(await requireResource(at.services, named(at))))
  const update = addTokenOptions(
    resource
      .command('update <identifier>')
      .description('change a resource; what is not named stays')
      .option('--name <name>', 'what people call it')
      .option('--scopes <scopes>', 'all of its scopes, with spaces between'),
  )
  onServices(update, terminal, async at => {
    const changes = given(update)
    if (Object.values(changes).every(value => value === undefined))
      throw usageError('say what to change; see --help')
    return told(await updateResource(at.services, { name: named(at), changes }, operator))
  })
  const remove = resource
    .command('delete <identifier>')
    .description('delete a resource; no token is made for it any more')
  onServices(remove, terminal, async at => {
    const gone = await deleteResource(at.services, named(at), operator)
    return {
      value: { id: gone.id, identifier: gone.identifier, deleted: true },
      text: `deleted ${gone.identifier}`,
    }
  })
}

const describeCreate = (command: Command, terminal: Terminal): void => {
  command
    .description('register an API that access tokens can be for')
    .requiredOption('--identifier <uri>', 'what tokens name as their audience, such as https://api.example')
    .requiredOption('--name <name>', 'what people call it')
    .requiredOption('--scopes <scopes>', 'its scopes, with spaces between')
  addTokenOptions(command).addHelpText(
    'after',
    '\nExample: lintel resource create --identifier https://api.example --name "Example API" --scopes "api:read api:write"',
  )
  onServices(command, terminal, async ({ services }) => {
    const { identifier = '', name = '', scopes = [], ...rest } = given(command)
    return told(await createResource(services, { identifier, name, scopes, ...rest }, operator))
  })
}
