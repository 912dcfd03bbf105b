/** `lintel group`: apps see the groups of a user in the claim `groups`. */
import { createGroup, deleteGroup, requireGroup } from '../admin/group-operations.ts'
import { type Group, listGroups, membersOf } from '../identity/group.ts'
import type { Describe } from './command.ts'
import { named, onServices, operator } from './on-services.ts'
import { date, record, table } from './words.ts'

const groupView = ({ id, name, createdAt }: Group) => ({ id, name, created_at: createdAt })

export const groupCommand: Describe = (group, terminal) => {
  const create = group.command('create <name>').description('make a group')
  onServices(create, terminal, async at => {
    const view = groupView(await createGroup(at.services, named(at), operator))
    return { value: view, text: record({ ...view, created_at: date(view.created_at) }) }
  })
  const list = group.command('list').description('list groups')
  onServices(list, terminal, async ({ services }) => {
    const groups = await listGroups(services.store)
    return {
      value: groups.map(one => ({ ...groupView(one), members: Number(one.members) })),
      text: table(
        ['name', 'members', 'id'],
        groups.map(one => [one.name, one.members, one.id]),
        'there are no groups',
      ),
    }
  })
  const show = group.command('show <group>').description('show a group and who is in it')
  onServices(show, terminal, async at => {
    const found = await requireGroup(at.services, named(at))
    const members = await membersOf(at.services.store, found.id)
    const view = groupView(found)
    return {
      value: { ...view, members },
      text: record({ ...view, created_at: date(view.created_at), members: members.map(one => one.username) }),
    }
  })
  const remove = group.command('delete <group>').description('delete a group; its members stay users')
  onServices(remove, terminal, async at => {
    const gone = await deleteGroup(at.services, named(at), operator)
    return { value: { id: gone.id, name: gone.name, deleted: true }, text: `deleted ${gone.name}` }
  })
}
