/** `max_age` (OIDC Core section 3.1.2.1) and the client's `default_max_age`. Seconds. */
import type { Params } from '../../http/params.ts'
import type { Client } from '../client/client.ts'
import { invalidRequest } from '../errors.ts'

/** @throws Refusal `invalid_request` for anything but a whole number of at most ten digits */
export const parseMaxAge = (params: Params, client: Client): { maxAge?: number } => {
  const text = params.get('max_age')
  if (text === undefined) {
    const byDefault = client.metadata.default_max_age
    return byDefault === undefined ? {} : { maxAge: byDefault }
  }
  if (!/^[0-9]{1,10}$/.test(text)) throw invalidRequest('max_age must be a whole number of seconds')
  return { maxAge: Number(text) }
}
