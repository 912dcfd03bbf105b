/** `lintel session`: who is signed in where. */
import type { Command } from 'commander'
import { revokeSession, revokeSessionsOf } from '../admin/session-operations.ts'
import { requireUser } from '../admin/user-operations.ts'
import type { Session } from '../identity/session.ts'
import { listSessions } from '../identity/session-list.ts'
import { clientsOfSession } from '../oauth/grant/session-clients.ts'
import type { Describe } from './command.ts'
import { usageError } from './failure.ts'
import { onServices, operator } from './on-services.ts'
import type { Terminal } from './terminal.ts'
import { date, table } from './words.ts'

const sessionView = (session: Session, clients: string[]) => ({
  id: session.id,
  user_id: session.userId,
  username: session.username,
  created_at: session.createdAt,
  last_seen_at: session.seenAt,
  auth_time: session.authTime,
  expires_at: session.expiresAt,
  amr: session.amr,
  ip: session.ip,
  user_agent: session.userAgent,
  clients,
})

export const sessionCommand: Describe = (session, terminal) => {
  describeList(session.command('list'), terminal)
  describeRevoke(session.command('revoke [session-id]'), terminal)
}

const describeList = (command: Command, terminal: Terminal): void => {
  command.description('list the living sessions, oldest first').option('--user <user>', 'of this user only')
  onServices(command, terminal, async ({ services }) => {
    const { user: name } = command.opts<{ user?: string }>()
    const userId = name === undefined ? undefined : (await requireUser(services, name)).id
    const views: ReturnType<typeof sessionView>[] = []
    for (let full = true; full; ) {
      const after = views.at(-1)?.id ?? ''
      const page = await listSessions(services.store, services.now(), { userId, after, limit: 500 })
      for (const one of page) {
        const used = await clientsOfSession(services.store, one.id)
        views.push(
          sessionView(
            one,
            used.map(client => client.clientId),
          ),
        )
      }
      full = page.length === 500
    }
    return {
      value: views,
      text: table(
        ['id', 'user', 'signed in', 'last seen', 'address', 'clients'],
        views.map(one => [
          one.id,
          one.username,
          date(one.auth_time),
          date(one.last_seen_at),
          one.ip,
          one.clients,
        ]),
        'nobody is signed in',
      ),
    }
  })
}

const describeRevoke = (command: Command, terminal: Terminal): void => {
  command
    .description('end a session, or all of a user; the apps are told')
    .option('--user <user>', 'every session of this user')
  onServices(command, terminal, async ({ services, args: [id] }) => {
    const { user } = command.opts<{ user?: string }>()
    if ((id === undefined) === (user === undefined)) throw usageError('name a session, or a user with --user')
    const ended =
      id !== undefined
        ? await revokeSession(services, id, operator)
        : await revokeSessionsOf(services, user ?? '', operator)
    const text = ended.map(one => `ended ${one.id} of ${one.username}`).join('\n')
    return { value: ended, text: text || 'there was no session to end' }
  })
}
