/** Who is signed in at a browser, and what that person has allowed a client: one joined read a request. */
import type { Context } from 'koa'
import { type Browser, presentedCookie } from '../../identity/browser.ts'
import { isAlive, readAmr, sessionColumns } from '../../identity/session.ts'
import type { Services } from '../../services.ts'
import { equalInConstantTime } from '../../store/secret.ts'
import { statement } from '../../store/statement.ts'

export type SignedInPerson = {
  sessionId: string
  userId: string
  sub: string
  username: string
  name: string | null
  authTime: number
  amr: string[]
  acr: string
  seenAt: number
  /** Whether this session was used for this client before. */
  knowsClient: boolean
}

export type StandingBrowser = {
  browser: Browser | undefined
  person: SignedInPerson | undefined
  /** Undefined where the person never allowed this client anything, or took it back. */
  consented: ReadonlySet<string> | undefined
}

type Row = {
  secretHash: string
  activeSessionId: string | null
  id: string | null
  userId: string
  username: string
  authTime: number
  amr: string
  acr: string
  idleTtl: number
  seenAt: number
  expiresAt: number
  endedAt: number | null
  userDisabledAt: number | null
  sub: string
  name: string | null
  scope: string | null
  consentGivenAt: number | null
  knownClient: string | null
}

const reading = statement<{ browser: string; client: string }, Row>(
  'standing-browser.read',
  (knex, { browser, client }) =>
    knex('browser')
      .leftJoin('session', 'session.id', 'browser.active_session_id')
      .leftJoin('user', 'user.id', 'session.user_id')
      .leftJoin('consent', consent =>
        consent.on('consent.user_id', 'session.user_id').andOn('consent.client_id', knex.raw('?', [client])),
      )
      .leftJoin('session_client', used =>
        used
          .on('session_client.session_id', 'session.id')
          .andOn('session_client.client_id', knex.raw('?', [client])),
      )
      .select({
        secretHash: 'browser.secret_hash',
        activeSessionId: 'browser.active_session_id',
        id: sessionColumns.id,
        userId: sessionColumns.userId,
        username: sessionColumns.username,
        authTime: sessionColumns.authTime,
        amr: sessionColumns.amr,
        acr: sessionColumns.acr,
        idleTtl: sessionColumns.idleTtl,
        seenAt: sessionColumns.seenAt,
        expiresAt: sessionColumns.expiresAt,
        endedAt: sessionColumns.endedAt,
        userDisabledAt: sessionColumns.userDisabledAt,
        sub: 'user.sub',
        name: 'user.name',
        scope: 'consent.scope',
        consentGivenAt: 'consent.given_at',
        knownClient: 'session_client.client_id',
      })
      .where({ 'browser.id': browser }),
)

const nobody: StandingBrowser = { browser: undefined, person: undefined, consented: undefined }

/** Reads what stands at the browser that sent a request. A wrong or missing cookie is nobody. */
export const readStandingBrowser = async (
  services: Pick<Services, 'store' | 'cookies' | 'now'>,
  ctx: Context,
  clientId: string,
): Promise<StandingBrowser> => {
  const presented = presentedCookie(services, ctx)
  if (!presented) return nobody
  const row = await services.store.one(reading, { browser: presented.id, client: clientId })
  if (!row || !equalInConstantTime(row.secretHash, presented.hash)) return nobody
  const browser = {
    id: presented.id,
    secret: presented.secret,
    secretHash: row.secretHash,
    activeSessionId: row.activeSessionId,
  }
  if (row.id === null || !isAlive(row, services.now())) return { ...nobody, browser }
  return {
    browser,
    person: {
      sessionId: row.id,
      userId: row.userId,
      sub: row.sub,
      username: row.username,
      name: row.name,
      authTime: row.authTime,
      amr: readAmr(row.amr),
      acr: row.acr,
      seenAt: row.seenAt,
      knowsClient: row.knownClient !== null,
    },
    consented: row.consentGivenAt ? new Set(row.scope?.split(' ').filter(scope => scope !== '')) : undefined,
  }
}
