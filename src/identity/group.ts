/** Groups and who is in them; apps see them in the claim `groups`. */
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'
import { newTextKey } from '../store/text-key.ts'
import { identifierKey } from './identifier.ts'

export type Group = { id: string; name: string; createdAt: number }

const inserting = insertion<{ id: string; name: string; name_key: string; created_at: number }>('group', [
  'id',
  'name',
  'name_key',
  'created_at',
])
const columns = { id: 'group.id', name: 'group.name', createdAt: 'group.created_at' } as const
const finding = statement<{ name: string; key: string }, Group>('group.find', (knex, { name, key }) =>
  knex('group').select(columns).where({ name_key: key }).orWhere({ id: name }).limit(1),
)
const listing = statement<Record<never, never>, Group & { members: number }>('group.list', knex =>
  knex('group')
    .select(columns)
    .select({ members: knex('membership').count('*').whereRaw('"membership"."group_id" = "group"."id"') })
    .orderBy('name_key'),
)
const ofUser = statement<{ user: string }, Group>('group.of-user', (knex, { user }) =>
  knex('group')
    .join('membership', 'membership.group_id', 'group.id')
    .select(columns)
    .where({ user_id: user })
    .orderBy('name_key'),
)
const members = statement<{ id: string }, { id: string; username: string }>('group.members', (knex, { id }) =>
  knex('membership')
    .join('user', 'user.id', 'membership.user_id')
    .select({ id: 'user.id', username: 'user.username' })
    .where({ group_id: id })
    .orderBy('username_key'),
)
const deleting = statement<{ id: string }>('group.delete', (knex, { id }) =>
  knex('group').where({ id }).delete(),
)
const joining = insertion<{ user_id: string; group_id: string }>('membership', ['user_id', 'group_id'])
const leaving = statement<{ user: string; group: string }>('membership.delete', (knex, { user, group }) =>
  knex('membership').where({ user_id: user, group_id: group }).delete(),
)

/** A group by name or id. */
export const findGroup = (store: Store, name: string): Promise<Group | undefined> =>
  store.one(finding, { name, key: identifierKey(name) })
export const listGroups = (store: Store) => store.all(listing, {})
export const groupsOf = (store: Store, userId: string): Promise<Group[]> =>
  store.all(ofUser, { user: userId })
export const membersOf = (store: Store, id: string) => store.all(members, { id })

/** What is wrong with a group's name, or undefined. */
export const groupNameFault = (name: string): string | undefined =>
  name.trim() === '' ? 'required' : name.length > 100 || /\p{C}/u.test(name) ? 'too_long' : undefined

/** A group to be, and the write that makes it; refused when the name is taken. */
export const newGroup = (name: string, now: Date): { group: Group; write: Write } => {
  const group: Group = { id: newTextKey(now), name: name.trim(), createdAt: seconds(now) }
  return {
    group,
    write: write(inserting, {
      id: group.id,
      name: group.name,
      name_key: identifierKey(name),
      created_at: group.createdAt,
    }),
  }
}
export const deleteGroup = (id: string): Write => write(deleting, { id })
export const joinGroup = (userId: string, groupId: string): Write =>
  write(joining, { user_id: userId, group_id: groupId })
export const leaveGroup = (userId: string, groupId: string): Write =>
  write(leaving, { user: userId, group: groupId }, 'any')
