/** `prompt` (OIDC Core section 3.1.2.1). */
import type { Params } from '../../http/params.ts'
import { invalidRequest } from '../errors.ts'

export const promptValues = ['none', 'login', 'consent', 'select_account'] as const
export type Prompt = (typeof promptValues)[number]

const isPrompt = (value: string): value is Prompt => (promptValues as readonly string[]).includes(value)

/** @throws Refusal `invalid_request` for an unknown value, or `none` beside another */
export const parsePrompt = (params: Params): { prompt: Prompt[] } => {
  const values = (params.get('prompt') ?? '').split(' ').filter(value => value !== '')
  const prompt = values.filter(isPrompt)
  if (prompt.length < values.length) throw invalidRequest(`prompt must be of: ${promptValues.join(', ')}`)
  if (prompt.includes('none') && prompt.length > 1) throw invalidRequest('prompt=none stands alone')
  return { prompt: [...new Set(prompt)] }
}
