/** What can be done to groups, for the command line, pages and the API alike. */
import { Refusal } from '../http/refusal.ts'
import type { Group } from '../identity/group.ts'
import * as groups from '../identity/group.ts'
import type { Services } from '../services.ts'
import { GuardFailed } from '../store/commit.ts'
import { type Actor, toldOf } from './actor.ts'
import { didYouMean, quoted } from './near-miss.ts'

type Needs = Pick<Services, 'store' | 'now' | 'audit'>

/**
 * The group of that name or id.
 *
 * @throws Refusal `not_found` 404
 */
export const requireGroup = async ({ store }: Pick<Services, 'store'>, name: string): Promise<Group> => {
  const group = await groups.findGroup(store, name)
  if (group) return group
  const near = didYouMean(
    name,
    (await groups.listGroups(store)).map(one => one.name),
  )
  throw new Refusal('not_found', `there is no group ${quoted(name)}.${near}`, 404)
}

/**
 * Makes a group.
 *
 * @throws Refusal `invalid_group` or `group_taken`
 */
export const createGroup = async (services: Needs, name: string, actor: Actor): Promise<Group> => {
  if (groups.groupNameFault(name))
    throw new Refusal('invalid_group', 'the name must be a line of 1 to 100 characters')
  const taken = (cause?: unknown): Refusal =>
    new Refusal('group_taken', `there is a group ${quoted(name)} already`, 409, { cause })
  if (await groups.findGroup(services.store, name)) throw taken()
  const { group, write } = groups.newGroup(name, services.now())
  try {
    await services.store.commit([
      write,
      ...toldOf(services, actor, {
        event: 'group.created',
        detail: { group: group.id, name: group.name },
      }),
    ])
  } catch (error) {
    throw error instanceof GuardFailed ? taken(error) : error
  }
  return group
}

/** Deletes a group; its members stay users. */
export const deleteGroup = async (services: Needs, name: string, actor: Actor): Promise<Group> => {
  const group = await requireGroup(services, name)
  await services.store.commit([
    groups.deleteGroup(group.id),
    ...toldOf(services, actor, { event: 'group.deleted', detail: { group: group.id, name: group.name } }),
  ])
  return group
}
