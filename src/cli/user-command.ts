/** `lintel user`: people. A user is named by username, id or sub. */
import type { Command } from 'commander'
import { deleteUser, disableUser, enableUser, setPassword } from '../admin/user-access-operations.ts'
import { createUser, type Member, showUser, updateUser } from '../admin/user-operations.ts'
import { groupsOf } from '../identity/group.ts'
import { listUsers, type User } from '../identity/user.ts'
import type { Services } from '../services.ts'
import type { Describe } from './command.ts'
import { usageError } from './failure.ts'
import { named, onServices, operator } from './on-services.ts'
import { parseGivenJson, parseGivenNumber } from './option-values.ts'
import type { Answer, Terminal } from './terminal.ts'
import { date, record, table } from './words.ts'

const userView = ({ user, groups }: Member) => ({
  id: user.id,
  sub: user.sub,
  username: user.username,
  email: user.email,
  email_verified: user.emailVerified,
  name: user.name,
  claims: user.claims,
  groups,
  role: user.role,
  disabled_at: user.disabledAt,
  created_at: user.createdAt,
  updated_at: user.updatedAt,
})

const told = (member: Member): Answer => {
  const view = userView(member)
  const claims = Object.keys(view.claims).length === 0 ? null : JSON.stringify(view.claims)
  const dates = {
    disabled_at: date(view.disabled_at),
    created_at: date(view.created_at),
    updated_at: date(view.updated_at),
  }
  return { value: view, text: record({ ...view, claims, ...dates }) }
}

/** One trailing newline belongs to the shell, not to the password. */
const readPassword = async (terminal: Terminal): Promise<string> =>
  (await terminal.readInput()).replace(/\r?\n$/, '')

const collect = (value: string, earlier: string[] = []): string[] => [...earlier, value]

const asRole = (role: string | undefined): 'admin' | null | undefined => {
  if (role === undefined || role === 'admin') return role
  if (role === 'none') return null
  throw usageError('--role must be admin or none; what apps see are groups (--group)')
}

export const userCommand: Describe = (user, terminal) => {
  describeCreate(user.command('create'), terminal)
  describeList(user.command('list'), terminal)
  const show = user.command('show <user>').description('show a user')
  onServices(show, terminal, async at => told(await showUser(at.services, named(at))))
  describeUpdate(user.command('update <user>'), terminal)
  describeSetPassword(user.command('set-password <user>'), terminal)
  const disable = user
    .command('disable <user>')
    .description('end the sessions and tokens of a user, and let them sign in no more')
  onServices(disable, terminal, async at => told(await disableUser(at.services, named(at), operator)))
  const enable = user.command('enable <user>').description('let a disabled user sign in again')
  onServices(enable, terminal, async at => told(await enableUser(at.services, named(at), operator)))
  const remove = user
    .command('delete <user>')
    .description('delete a user, and tell the apps they were signed in to')
  onServices(remove, terminal, async at => {
    const gone = await deleteUser(at.services, named(at), operator)
    return {
      value: { id: gone.id, username: gone.username, deleted: true },
      text: `deleted ${gone.username}`,
    }
  })
}

type CreateOptions = {
  username: string
  email?: string
  emailVerified?: boolean
  name?: string
  claims?: string
  group?: string[]
  role?: string
  passwordStdin?: boolean
}

const describeCreate = (command: Command, terminal: Terminal): void => {
  command
    .description('make a user')
    .requiredOption('--username <name>', 'what they sign in with')
    .option('--email <address>', 'e-mail address')
    .option('--email-verified', 'the address is known to be theirs')
    .option('--name <name>', 'full name')
    .option('--claims <json>', 'further claims, such as \'{"given_name":"Alice"}\'')
    .option('--group <name>', 'a group to be in; may be repeated', collect)
    .option('--role <role>', 'admin makes an administrator of this server')
    .option('--password-stdin', 'read the password from standard input')
    .addHelpText(
      'after',
      '\nExample: printf \'%s\' "$PASSWORD" | lintel user create --username alice --password-stdin',
    )
  onServices(command, terminal, async ({ services, config }) => {
    const given = command.opts<CreateOptions>()
    const wanted = {
      username: given.username,
      email: given.email,
      emailVerified: given.emailVerified,
      name: given.name,
      claims: given.claims === undefined ? undefined : parseGivenJson('--claims', given.claims),
      groups: given.group,
      role: asRole(given.role) ?? undefined,
      password: given.passwordStdin ? await readPassword(terminal) : undefined,
    }
    return told(await createUser(services, config.passwords, wanted, operator))
  })
}

const allUsers = async ({ store }: Services, search: string, most: number): Promise<User[]> => {
  const found: User[] = []
  for (;;) {
    const limit = Math.min(500, most - found.length)
    const page = await listUsers(store, { search, after: found.at(-1)?.id ?? '', limit })
    found.push(...page)
    if (page.length < limit || found.length >= most) return found
  }
}

const describeList = (command: Command, terminal: Terminal): void => {
  command
    .description('list users, oldest first')
    .option('--search <text>', 'only those whose username or e-mail begins so')
    .option('--limit <number>', 'at most so many')
  onServices(command, terminal, async ({ services }) => {
    const { search = '', limit } = command.opts<{ search?: string; limit?: string }>()
    const most = limit === undefined ? Number.POSITIVE_INFINITY : parseGivenNumber('--limit', limit)
    const members = await Promise.all(
      (await allUsers(services, search, most)).map(async user => ({
        user,
        groups: (await groupsOf(services.store, user.id)).map(group => group.name),
      })),
    )
    return {
      value: members.map(userView),
      text: table(
        ['username', 'email', 'name', 'groups', 'role', 'disabled', 'id'],
        members.map(({ user, groups }) => [
          user.username,
          user.email,
          user.name,
          groups,
          user.role,
          date(user.disabledAt),
          user.id,
        ]),
        'there are no users',
      ),
    }
  })
}

type UpdateOptions = {
  username?: string
  email?: string
  emailVerified?: boolean
  name?: string
  claims?: string
  role?: string
  group?: string[]
  leaveGroup?: string[]
}

/** An empty text takes away what is there. */
const orNothing = (text: string | undefined): string | null | undefined => (text === '' ? null : text)

const describeUpdate = (command: Command, terminal: Terminal): void => {
  command
    .description('change a user; what is not named stays')
    .option('--username <name>', 'another username')
    .option('--email <address>', 'another address, not verified unless said; "" for none')
    .option('--email-verified', 'the address is known to be theirs')
    .option('--no-email-verified', 'the address is not known to be theirs')
    .option('--name <name>', 'full name; "" for none')
    .option('--claims <json>', 'claims to merge in; null takes one away')
    .option('--group <name>', 'a group to join; may be repeated', collect)
    .option('--leave-group <name>', 'a group to leave; may be repeated', collect)
    .option('--role <role>', 'admin or none')
  onServices(command, terminal, async at => {
    const given = command.opts<UpdateOptions>()
    const changes = {
      username: given.username,
      email: orNothing(given.email),
      emailVerified: given.emailVerified,
      name: orNothing(given.name),
      claims: given.claims === undefined ? undefined : parseGivenJson('--claims', given.claims),
      role: asRole(given.role),
      join: given.group,
      leave: given.leaveGroup,
    }
    if (Object.values(changes).every(value => value === undefined))
      throw usageError('say what to change; see --help')
    return told(await updateUser(at.services, named(at), changes, operator))
  })
}

const describeSetPassword = (command: Command, terminal: Terminal): void => {
  command
    .description('set the password of a user; their sessions and tokens end')
    .option('--password-stdin', 'read the password from standard input, not from the keyboard')
  onServices(command, terminal, async at => {
    const { passwordStdin } = command.opts<{ passwordStdin?: boolean }>()
    if (!passwordStdin && !terminal.askHidden)
      throw usageError('say --password-stdin to give the password on standard input')
    const password =
      passwordStdin || !terminal.askHidden
        ? await readPassword(terminal)
        : await terminal.askHidden('New password: ')
    return told(await setPassword(at.services, at.config.passwords, { name: named(at), password }, operator))
  })
}
