/** Users: the only writer of the table `user`. */
import { type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { keyAt, seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'
import { newTextKey, randomText } from '../store/text-key.ts'
import { emailFault, identifierKey, usernameFault } from './identifier.ts'

/** Standard claims (OIDC Core section 5.1) that are kept as given, besides those with a column of their own. */
export type UserClaims = Record<string, unknown>

export type User = {
  id: string
  /** What tokens say: a random string of its own, kept at import, never reused. */
  sub: string
  username: string
  email: string | null
  emailVerified: boolean
  name: string | null
  claims: UserClaims
  role: 'admin' | null
  disabledAt: number | null
  createdAt: number
  updatedAt: number
  /** How often it was changed: a change repeats the one it rests on. */
  version: number
}

type UserRow = Omit<User, 'emailVerified' | 'claims'> & { emailVerified: number; claims: string }

const columns = {
  id: 'user.id',
  sub: 'user.sub',
  username: 'user.username',
  email: 'user.email',
  emailVerified: 'user.email_verified',
  name: 'user.name',
  claims: 'user.claims',
  role: 'user.role',
  disabledAt: 'user.disabled_at',
  createdAt: 'user.created_at',
  updatedAt: 'user.updated_at',
  version: 'user.version',
} as const

const fromRow = (row: UserRow): User => ({
  ...row,
  emailVerified: row.emailVerified === 1,
  claims: JSON.parse(row.claims) as UserClaims,
})

const byName = statement<{ name: string; key: string }, UserRow>('user.by-name', (knex, { name, key }) =>
  knex('user')
    .select(columns)
    .where({ username_key: key })
    .orWhere({ id: name })
    .orWhere({ sub: name })
    .limit(2),
)
const byId = statement<{ id: string }, UserRow>('user.by-id', (knex, { id }) =>
  knex('user').select(columns).where({ id }),
)
const byEmail = statement<{ key: string }, UserRow>('user.by-email', (knex, { key }) =>
  knex('user').select(columns).where({ email_key: key }),
)
const firstAdmin = statement<Record<never, never>, { id: string }>('user.first-admin', knex =>
  knex('user').select('id').where({ role: 'admin' }).whereNull('disabled_at').limit(1),
)

const otherAdmin = statement<{ id: string }, { id: string }>('user.other-admin', (knex, { id }) =>
  knex('user').select('id').where({ role: 'admin' }).whereNull('disabled_at').whereNot({ id }).limit(1),
)
const witnessing = statement<{ id: string }>('user.witness', (knex, { id }) =>
  knex('user').where({ id, role: 'admin' }).whereNull('disabled_at').update({ role: 'admin' }),
)

/**
 * The write, and guard, for the commit after which a user administers no more: another administrator must still be
 * one then. It touches the other's row, so of two who take the role from one another one is refused.
 *
 * @returns undefined when there is no other
 */
export const anotherAdministrator = async (store: Store, id: string): Promise<Write | undefined> => {
  const other = await store.one(otherAdmin, { id })
  return other && write(witnessing, { id: other.id })
}

/** A user named by username, id or sub, as commands and pages name them. */
export const findUser = async (store: Store, name: string): Promise<User | undefined> => {
  const rows = await store.all(byName, { name, key: identifierKey(name) })
  const row = rows.find(one => one.id === name || one.sub === name) ?? rows[0]
  return row && fromRow(row)
}

export const findUserById = async (store: Store, id: string): Promise<User | undefined> => {
  const row = await store.one(byId, { id })
  return row && fromRow(row)
}

export const findUserByEmail = async (store: Store, email: string): Promise<User | undefined> => {
  const row = await store.one(byEmail, { key: identifierKey(email) })
  return row && fromRow(row)
}

/** Whether anybody administers this server yet. */
export const hasAdministrator = async (store: Store): Promise<boolean> =>
  (await store.one(firstAdmin, {})) !== undefined

export type NewUser = {
  username: string
  email?: string | undefined
  emailVerified?: boolean
  name?: string | undefined
  claims?: UserClaims
  role?: 'admin' | null
  /** Kept at import. */
  sub?: string
}

/** What is wrong with a new or changed user, by field; the reason is a name of the catalogue. */
export type UserFault = { field: 'username' | 'email' | 'name' | 'claims'; reason: string }

const longestName = 200
const controls = /\p{Cc}/u

/** Looks at what was typed before anything is written. */
export const userFaults = (user: Pick<NewUser, 'username' | 'email' | 'name' | 'claims'>): UserFault[] => {
  const faults: UserFault[] = []
  const username = usernameFault(user.username)
  if (username) faults.push({ field: 'username', reason: username })
  const email = user.email === undefined ? undefined : emailFault(user.email)
  if (email) faults.push({ field: 'email', reason: email })
  if (user.name !== undefined && (user.name.length > longestName || controls.test(user.name)))
    faults.push({ field: 'name', reason: 'too_long' })
  if (user.claims !== undefined && JSON.stringify(user.claims).length > 8192)
    faults.push({ field: 'claims', reason: 'too_long' })
  return faults
}

const inserting = insertion<{
  id: string
  sub: string
  username: string
  username_key: string
  email: string | null
  email_key: string | null
  email_verified: number
  name: string | null
  claims: string
  role: string | null
  created_at: number
  updated_at: number
}>('user', [
  'id',
  'sub',
  'username',
  'username_key',
  'email',
  'email_key',
  'email_verified',
  'name',
  'claims',
  'role',
  'created_at',
  'updated_at',
])

/** A user to be, and the write that makes it; refused when the username or e-mail is taken. */
export const newUser = (user: NewUser, now: Date): { user: User; write: Write } => {
  const id = newTextKey(now)
  const made: User = {
    id,
    sub: user.sub ?? randomText(24),
    username: user.username.trim(),
    email: user.email ?? null,
    emailVerified: user.emailVerified ?? false,
    name: user.name ?? null,
    claims: user.claims ?? {},
    role: user.role ?? null,
    disabledAt: null,
    createdAt: seconds(now),
    updatedAt: seconds(now),
    version: 0,
  }
  return {
    user: made,
    write: write(inserting, { ...columnsOf(made), id, sub: made.sub, created_at: made.createdAt }),
  }
}

const columnsOf = (user: User) => ({
  username: user.username,
  username_key: identifierKey(user.username),
  email: user.email,
  email_key: user.email === null ? null : identifierKey(user.email),
  email_verified: user.emailVerified ? 1 : 0,
  name: user.name,
  claims: JSON.stringify(user.claims),
  role: user.role,
  updated_at: user.updatedAt,
})

const updating = statement<ReturnType<typeof columnsOf> & { id: string; seen: number; version: number }>(
  'user.update',
  (knex, user) =>
    knex('user').where({ id: user.id, version: user.seen }).update({
      version: user.version,
      username: user.username,
      username_key: user.username_key,
      email: user.email,
      email_key: user.email_key,
      email_verified: user.email_verified,
      name: user.name,
      claims: user.claims,
      role: user.role,
      updated_at: user.updated_at,
    }),
)

/** The write, and guard, that stores a changed user: refused when somebody else changed it since it was read. */
export const updateUser = (user: User, now: Date): Write =>
  write(updating, {
    ...columnsOf({ ...user, updatedAt: seconds(now) }),
    id: user.id,
    seen: user.version,
    version: user.version + 1,
  })

const disabling = statement<{ id: string; now: number; before: string }>(
  'user.disable',
  (knex, { id, now, before }) =>
    knex('user').where({ id }).update({ disabled_at: now, ended_before: before, updated_at: now }),
)
const enabling = statement<{ id: string; now: number }>('user.enable', (knex, { id, now }) =>
  knex('user').where({ id }).update({ disabled_at: null, updated_at: now }),
)
const endingAccess = statement<{ id: string; before: string }>('user.end-access', (knex, { id, before }) =>
  knex('user').where({ id }).update({ ended_before: before }),
)
const deleting = statement<{ id: string }>('user.delete', (knex, { id }) =>
  knex('user').where({ id }).delete(),
)

/** Disables a user and ends every authorization given until now. */
export const disableUser = (id: string, now: Date): Write =>
  write(disabling, { id, now: seconds(now), before: keyAt(now) })
export const enableUser = (id: string, now: Date): Write => write(enabling, { id, now: seconds(now) })
/** Ends every authorization given until now: after a change of password, say. */
export const endAccessOf = (id: string, now: Date): Write => write(endingAccess, { id, before: keyAt(now) })
export const deleteUser = (id: string): Write => write(deleting, { id })

/** Users in order of their id, for lists: those whose name or e-mail begins with `search`, after a cursor. */
export const listUsers = async (
  store: Store,
  { search = '', after = '', limit = 100 }: { search?: string; after?: string; limit?: number } = {},
): Promise<User[]> => {
  const key = identifierKey(search)
  const rows = await store.search<UserRow>(knex => {
    const query = knex('user').select(columns).where('id', '>', after).orderBy('id').limit(limit)
    if (key !== '') {
      // Not LIKE: % and _ are letters like others, and both databases compare alike.
      const begins = (column: string) => knex.raw('substr(??, 1, ?) = ?', [column, key.length, key])
      query.andWhere(found => found.where(begins('username_key')).orWhere(begins('email_key')))
    }
    return query
  })
  return rows.map(fromRow)
}
