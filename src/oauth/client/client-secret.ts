/** client_secret_basic and client_secret_post (RFC 6749 section 2.3.1). */
import type { Context } from 'koa'
import type { Params } from '../../http/params.ts'
import type { Services } from '../../services.ts'
import { equalInConstantTime, hashSecret } from '../../store/secret.ts'
import { seconds } from '../../store/single-use.ts'
import type { Presented } from './auth-methods.ts'
import type { Client } from './client.ts'
import { liveSecrets, markSecretUsed } from './secrets-of-clients.ts'

/** Longer than any secret; what is longer is not even hashed. */
const longestSecret = 1000

const formDecode = (text: string): string | undefined => {
  if (!/[%+]/.test(text)) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

/**
 * Basic. Both halves are form-encoded by the specification, and sent raw by some clients: the decoded form is tried,
 * then the raw one.
 */
export const readBasic = (ctx: Context): Presented | undefined => {
  const header = ctx.req.headers.authorization
  if (header === undefined || !/^basic /i.test(header)) return undefined
  // Node would decode up to the padding and leave out what comes behind it.
  const [, base64 = ''] = /^basic +([A-Za-z0-9+/_-]+={0,2}) *$/i.exec(header) ?? []
  const text = Buffer.from(base64, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return { clientId: '', secrets: [] }
  const rawId = text.slice(0, colon)
  const rawSecret = text.slice(colon + 1)
  const decoded = formDecode(rawSecret)
  const secrets = decoded === undefined || decoded === rawSecret ? [rawSecret] : [decoded, rawSecret]
  return { clientId: formDecode(rawId) ?? rawId, secrets }
}

/** The secret in the body, beside `client_id`. */
export const readPost = (_: Context, params: Params): Presented | undefined => {
  const secret = params.get('client_secret')
  return secret === undefined ? undefined : { clientId: params.get('client_id') ?? '', secrets: [secret] }
}

/** Compares with every secret that has not ended, each in constant time. */
export const verifySecret = async (
  client: Client,
  { secrets }: Presented,
  { store, now, log }: Pick<Services, 'store' | 'now' | 'log'>,
): Promise<string | undefined> => {
  const hashes = secrets.filter(secret => secret.length <= longestSecret).map(hashSecret)
  const matching = liveSecrets(client.secrets, now()).filter(one =>
    hashes.some(hash => equalInConstantTime(hash, one.hash)),
  )
  const [used] = matching
  if (!used) return 'wrong_credentials'
  const marks = markSecretUsed(used, now())
  if (marks.length > 0) {
    used.lastUsedAt = seconds(now())
    // Beside the request: when a secret was last used is worth no failed request.
    store.commit(marks).catch(cause => log.warn('client_secret.mark_failed', { client_id: client.id, cause }))
  }
  return undefined
}
