/** GET and POST /admin/new/user and /admin/users/:id/edit — who somebody is. */
import type { Context } from 'koa'
import type { UserFormView } from '../http/admin-views.ts'
import type { Params } from '../http/params.ts'
import { redirect } from '../http/redirect.ts'
import type { Refusal } from '../http/refusal.ts'
import type { Route } from '../http/route.ts'
import { listGroups } from '../identity/group.ts'
import { type Admin, adminRoute, attempt, idIn } from './admin-room.ts'
import { newPasswordLink } from './user-access-operations.ts'
import { createUser, type PasswordRules, showUser, updateUser } from './user-operations.ts'
import { showUserPage, type UserPageNeeds } from './user-page.ts'

type Typed = UserFormView['typed']

const typedUser = (form: Params): Typed => ({
  username: form.get('username'),
  name: form.get('name'),
  email: form.get('email'),
  emailVerified: form.has('email_verified'),
  isAdmin: form.has('admin'),
  groups: [...form.all('group')],
})

/** A refusal as a fault of a field, in the catalogue's words; undefined where it is about none. */
const faultOf = ({ error, description, options }: Refusal): UserFormView['errors'] => {
  if (error === 'username_taken') return [{ field: 'username', reason: 'taken' }]
  if (error === 'email_taken') return [{ field: 'email', reason: 'taken' }]
  const field = (['username', 'name', 'email'] as const).find(name => description.startsWith(`${name} `))
  return error === 'invalid_user' && field ? [{ field, reason: options.reason ?? 'invalid' }] : []
}

/** The routes. */
export const userFormRoutes = (services: UserPageNeeds, rules: PasswordRules, basePath: string): Route[] => {
  const { store, page } = services

  const form = async (
    ctx: Context,
    { frame }: Admin,
    view: Pick<UserFormView, 'typed' | 'account'>,
    refused?: Refusal,
  ): Promise<void> => {
    const errors = refused ? faultOf(refused) : []
    const problem = refused && errors.length === 0 ? refused.description : undefined
    const groups = (await listGroups(store)).map(group => group.name)
    page(ctx, 'user-form', { ...frame, ...view, problem, errors, groups }, { status: refused ? 422 : 200 })
  }

  return [
    adminRoute(services, basePath, {
      path: '/admin/new/user',
      place: 'users',
      confirm: 'look',
      show: (ctx, admin) => form(ctx, admin, { typed: { emailVerified: false, isAdmin: false, groups: [] } }),
      change: async (ctx, admin, sent) => {
        const typed = typedUser(sent)
        const wanted = {
          username: typed.username ?? '',
          name: typed.name,
          email: typed.email,
          emailVerified: typed.emailVerified && typed.email !== undefined,
          groups: typed.groups,
          ...(typed.isAdmin ? { role: 'admin' as const } : {}),
        }
        const { done, refused } = await attempt(() => createUser(services, rules, wanted, admin.actor))
        if (refused) return form(ctx, admin, { typed }, refused)
        const passwordLink = await newPasswordLink(services, done.user.id, admin.actor)
        await showUserPage(services, ctx, admin, done.user.id, { said: 'created', passwordLink })
      },
    }),
    adminRoute(services, basePath, {
      path: '/admin/users/:id/edit',
      place: 'users',
      confirm: 'look',
      show: async (ctx, admin) => {
        const { user, groups } = await showUser(services, idIn(ctx, -2))
        await form(ctx, admin, {
          account: user,
          typed: {
            username: user.username,
            name: user.name ?? undefined,
            email: user.email ?? undefined,
            emailVerified: user.emailVerified,
            isAdmin: user.role === 'admin',
            groups,
          },
        })
      },
      change: async (ctx, admin, sent) => {
        const { user, groups } = await showUser(services, idIn(ctx, -2))
        const typed = typedUser(sent)
        const changes = {
          username: typed.username ?? '',
          name: typed.name ?? null,
          email: typed.email ?? null,
          emailVerified: typed.emailVerified && typed.email !== undefined,
          role: typed.isAdmin ? ('admin' as const) : null,
          join: typed.groups,
          leave: groups.filter(name => !typed.groups.includes(name)),
        }
        const { refused } = await attempt(() => updateUser(services, user.id, changes, admin.actor))
        if (refused) return form(ctx, admin, { typed, account: user }, refused)
        redirect(ctx, `${basePath}/admin/users/${user.id}?done=saved`)
      },
    }),
  ]
}
