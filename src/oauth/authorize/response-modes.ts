/** How an authorization answer reaches the app. One row a mode. */
import type { RefusalAnswer } from '../../http/refusal.ts'

export type AnswerFields = Record<string, string>

const encoded = (fields: AnswerFields): string => new URLSearchParams(fields).toString()

/** A registered URI may have a query of its own: the answer is appended. */
const withQuery = (uri: string, fields: AnswerFields): string =>
  `${uri}${uri.includes('?') ? '&' : '?'}${encoded(fields)}`

export const responseModes = new Map<string, (redirectUri: string, fields: AnswerFields) => RefusalAnswer>([
  ['query', (uri, fields) => ({ location: withQuery(uri, fields) })],
  ['fragment', (uri, fields) => ({ location: `${uri}#${encoded(fields)}` })],
  ['form_post', (uri, fields) => ({ form: { action: uri, fields: Object.entries(fields) } })],
])
