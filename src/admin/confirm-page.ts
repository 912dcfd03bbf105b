/** Pages that ask once more before something is gone: an app, a user, a key. */
import type { Context } from 'koa'
import { redirect } from '../http/redirect.ts'
import { notFound } from '../http/refusal.ts'
import type { Route } from '../http/route.ts'
import { compromiseKey, type KeySettings } from '../keys/rotate-keys.ts'
import { listKeys } from '../keys/signing-key.ts'
import type { Services } from '../services.ts'
import { keyActorOf } from './actor.ts'
import { type Admin, type AdminNeeds, adminRoute, attempt, idIn } from './admin-room.ts'
import { deleteClient, requireClient } from './client-operations.ts'
import type { ClientPageNeeds } from './client-page.ts'
import { deleteUser } from './user-access-operations.ts'
import { requireUser, type UserNeeds } from './user-operations.ts'

type Question = {
  path: string
  place: 'clients' | 'users' | 'keys'
  what: string
  /** What it is about, by the part of the path, and the way back to it. */
  about: (id: string) => Promise<{ id: string; name: string; back: string }>
  act: (id: string, admin: Admin) => Promise<unknown>
  /** Where to afterwards. */
  leadsTo: string
}

const confirmRoute = (services: AdminNeeds, basePath: string, question: Question): Route => {
  const { place, what } = question
  const show = async (ctx: Context, { frame }: Admin, problem?: string): Promise<void> => {
    const { name, back } = await question.about(idIn(ctx, -2))
    services.page(
      ctx,
      'confirm',
      { ...frame, problem, what, name, back: basePath + back, crumbs: [[basePath + back, name]] },
      { status: problem === undefined ? 200 : 409 },
    )
  }
  return adminRoute(services, basePath, {
    path: question.path,
    place,
    confirm: 'look',
    show,
    change: async (ctx, admin) => {
      const { id } = await question.about(idIn(ctx, -2))
      const { refused } = await attempt(() => question.act(id, admin))
      if (refused) return show(ctx, admin, refused.description)
      redirect(ctx, `${basePath}${question.leadsTo}`)
    },
  })
}

type Needs = ClientPageNeeds & UserNeeds & Pick<Services, 'box' | 'log'>

/** The routes. */
export const confirmRoutes = (services: Needs, keySettings: KeySettings, basePath: string): Route[] => {
  const questions: Question[] = [
    {
      path: '/admin/apps/:id/delete',
      place: 'clients',
      what: 'delete_client',
      about: async id => {
        const client = await requireClient(services, id)
        return { id: client.id, name: client.name, back: `/admin/apps/${client.id}` }
      },
      act: (id, { actor }) => deleteClient(services, id, actor),
      leadsTo: '/admin/apps?done=deleted',
    },
    {
      path: '/admin/users/:id/delete',
      place: 'users',
      what: 'delete_user',
      about: async id => {
        const user = await requireUser(services, id)
        return { id: user.id, name: user.username, back: `/admin/users/${user.id}` }
      },
      act: (id, { actor }) => deleteUser(services, id, actor),
      leadsTo: '/admin/users?done=deleted',
    },
    {
      path: '/admin/keys/:kid/compromise',
      place: 'keys',
      what: 'compromise_key',
      about: async kid => {
        const key = (await listKeys(services.store)).find(one => one.kid === kid && one.state !== 'gone')
        if (!key) throw notFound()
        return { id: key.kid, name: key.kid, back: '/admin/keys' }
      },
      act: (kid, { actor }) => compromiseKey(services, keySettings, kid, keyActorOf(actor)),
      leadsTo: '/admin/keys?done=compromised',
    },
  ]
  return questions.map(question => confirmRoute(services, basePath, question))
}
