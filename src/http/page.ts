import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Eta } from 'eta'
import type Koa from 'koa'
import type { AdminViews } from './admin-views.ts'
import type { Assets } from './assets.ts'
import type { LanguageChoice } from './language.ts'
import { type Catalogues, direction, pickLocale, translator } from './locale.ts'
import { allowScripts } from './security-headers.ts'
import { timeWords } from './time-words.ts'

/** Who the person is signing in for. A logo is an address of ours, never the app's own. */
export type Asker = {
  name: string
  logo?: string | undefined
  uri?: string | undefined
  policyUri?: string | undefined
  tosUri?: string | undefined
}

type Form = { action: string; formToken: string }
type Person = { username: string; name?: string | undefined }

export type SignInView = Form & {
  username?: string | undefined
  asker?: Asker | undefined
  error?: 'invalid_credentials' | 'too_many_attempts' | 'missing' | undefined
  /** Seconds. */
  retryAfter?: number | undefined
  offerRemember?: boolean | undefined
  /** `again`: the person is known and confirms it; `expired`: the page was left too long. */
  reason?: 'expired' | 'again' | undefined
  chooserUrl?: string | undefined
}

export type ConsentView = Form & {
  client: Asker & { redirectHost: string; isLocal: boolean; registeredItself?: boolean }
  user: Person
  /** The title of a standard scope comes from the catalogue; `data` is what the app would see. */
  scopes: {
    name: string
    title: string
    description?: string | undefined
    isNew: boolean
    data?: string[] | undefined
  }[]
  /** Names of scopes allowed earlier. */
  rememberedScopes?: string[] | undefined
  switchUrl?: string | undefined
  /** The access outlives the session. */
  offline: boolean
}

export type AccountChooserView = Form & {
  asker?: Asker | undefined
  accounts: (Person & { value: string })[]
}

export type LogoutView = Form & {
  /** The request, to come back with the answer. */
  fields: [name: string, value: string][]
  user?: { username: string } | undefined
  asker?: Asker | undefined
  returnName?: string | undefined
}

export type SignedOutView = {
  returnTo?: { url: string; name: string } | undefined
  apps: { name: string; told: 'told' | 'telling' | 'not-told' }[]
  /** The question was answered with no. */
  stillSignedIn?: boolean | undefined
}

export type SetUpView = Form & {
  issuer: string
  username?: string | undefined
  email?: string | undefined
  errors?: FieldError<'username' | 'email' | 'password'>[] | undefined
}

export type SetPasswordView = Form & {
  username: string
  minLength: number
  fault?: string | undefined
}

/** `reason` is a name in the group `field-error` of the catalogue. */
export type FieldError<Field extends string> = { field: Field; reason: string }

export type ErrorView = {
  error: string
  /** Says more than the error where the catalogue has words for it. */
  reason?: string | undefined
  /** For the developer of the app: shown folded, as it is. */
  description: string
  requestId: string
  status: number
  app?: { name: string; url?: string | undefined; linkKind?: 'sign-in' | 'home' | undefined } | undefined
  hint?: string | undefined
}

export type FormPostView = {
  action: string
  fields: [name: string, value: string][]
  appName: string
}

export type HomeView = {
  issuer: string
  user?: Person | undefined
  links: {
    discovery: string
    account?: string | undefined
    admin?: string | undefined
    setUp?: boolean | undefined
  }
}

/** A page of somebody's account. `now` is what "3 hours ago" counts from. */
type AccountRoom = {
  user: Person
  now: number /** What has just been done, by its name in the catalogue. */
  done?: string | undefined
}

export type AccountView = AccountRoom & {
  user: { email?: string | undefined; emailVerified: boolean }
  signedInAt: number
  sessions: number
  apps: number
  passwordChangedAt?: number | undefined
  isAdmin: boolean
}

export type OwnSessionsView = Form &
  AccountRoom & {
    sessions: {
      id: string
      browser?: string | undefined
      system?: string | undefined
      kind: 'computer' | 'phone'
      ip?: string | undefined
      createdAt: number
      seenAt: number
      /** Names. */
      apps: string[]
      isThis: boolean
    }[]
  }

export type OwnAppsView = Form &
  AccountRoom & {
    apps: (Asker & {
      id: string
      isFirstParty: boolean
      scopes: { name: string; title: string }[]
      since: number
      /** How many sessions it is used in now. */
      sessions: number
    })[]
  }

export type OwnPasswordView = Form & {
  user: Person
  minLength: number
  error?: 'invalid_credentials' | 'too_many_attempts' | undefined
  /** Seconds. */
  retryAfter?: number | undefined
  errors: FieldError<'current_password' | 'new_password'>[]
}

/** Every page and what it is given. The file of a page is `views/<name>.eta`. */
export type Views = AdminViews & {
  'sign-in': SignInView
  consent: ConsentView
  'account-chooser': AccountChooserView
  logout: LogoutView
  'signed-out': SignedOutView
  'set-up': SetUpView
  'set-password': SetPasswordView
  error: ErrorView
  'form-post': FormPostView
  home: HomeView
  account: AccountView
  'own-sessions': OwnSessionsView
  'own-apps': OwnAppsView
  'own-password': OwnPasswordView
}

export type ViewName = keyof Views

export type Page = <Name extends ViewName>(
  ctx: Koa.Context,
  view: Name,
  data: Views[Name],
  options?: {
    status?: number | undefined
    /** What the app asked for, as in `ui_locales`. */
    locale?: string | undefined
    /** What the page must be opened with again to be the same in another language. */
    parameters?: readonly [string, string][] | undefined
  },
) => void

export type Render = (view: string, locale: string, data: object) => string

type Options = { viewsDir: string; catalogues: Catalogues; assets: Assets; basePath: string }

/**
 * The person's choice of a language goes before what the app asks for, and that before what the browser does. Languages
 * are offered where the page can be opened again as it is: not on what a form answered.
 */
export function makePage(options: Options & { language: LanguageChoice }): Page {
  const { catalogues, language } = options
  const render = makeRender(options)
  return (ctx, view, data, { status = 200, locale: uiLocales, parameters = [] } = {}) => {
    const locale =
      language.chosen(ctx) ??
      pickLocale(catalogues, { uiLocales, acceptLanguage: ctx.get('Accept-Language') })
    const languages = status === 200 && ctx.method === 'GET' ? language.links(ctx, locale, parameters) : []
    ctx.status = status
    ctx.type = 'html'
    ctx.body = render(view, locale, { ...data, languages, nonce: allowScripts(ctx) })
    ctx.set('Content-Language', locale)
    ctx.vary('Accept-Language')
  }
}

/** All views are read and compiled at start. A view sees what it is given here and nothing of the request, so no parameter reaches the template engine (CVE-2022-25967). */
export function makeRender({ viewsDir, catalogues, assets, basePath }: Options): Render {
  const eta = new Eta({ escapeFunction: value => escapeHtml(withoutControls(String(value))), cache: true })
  for (const [name, source] of readViews(viewsDir)) eta.loadTemplate(`@${name}`, source)
  const helpers = new Map([...catalogues.keys()].map(locale => [locale, helpersIn(locale)]))

  function helpersIn(locale: string) {
    const t = translator(catalogues, locale)
    const words = timeWords(locale)
    return {
      t,
      /** A moment as an element: `<%~ it.ago(session.seenAt, it.now) %>`. */
      ago: (at: number, now: number) =>
        `<time datetime="${new Date(at * 1000).toISOString()}" title="${escapeHtml(words.exact(at))}">${escapeHtml(words.ago(at, now) ?? t('page.just_now'))}</time>`,
      /** The day alone, for what is long ago or still to come. */
      day: (at: number) =>
        `<time datetime="${new Date(at * 1000).toISOString()}" title="${escapeHtml(words.exact(at))}">${escapeHtml(words.day(at))}</time>`,
      number: (value: number) => words.number(value),
      /** A sentence in which the values stand out: `<%~ it.strong('consent.asks', { client }) %>`. */
      strong: (key: string, values: Record<string, string | number>) =>
        escapeHtml(t(key)).replace(/\{(\w+)\}/g, (placeholder, name: string) =>
          values[name] === undefined
            ? placeholder
            : `<strong><bdi>${escapeHtml(withoutControls(String(values[name])))}</bdi></strong>`,
        ),
      has: (key: string) => catalogues.get('en')?.has(key) ?? false,
      initial: (name: string) => [...withoutControls(name).trim()][0]?.toLocaleUpperCase(locale) ?? '',
      /** For hidden fields that must arrive as they are, to the byte. */
      exact: escapeHtml,
      asset: assets.url,
      basePath,
      locale,
      dir: direction(locale),
    }
  }

  return (view, locale, data) => eta.render(`@${view}`, { ...data, ...helpers.get(locale) })
}

function readViews(dir: string): [name: string, source: string][] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.eta'))
    .map(path => [path.slice(0, -'.eta'.length), readFileSync(join(dir, path), 'utf8')])
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, character => entities[character] ?? '')
}

/** Control characters, and those that turn the direction of text around, would let a name look like another (CVE-2021-42574). */
function withoutControls(text: string): string {
  return text.replace(/(?![\t\n])[\p{Cc}\p{Bidi_Control}]/gu, '')
}
