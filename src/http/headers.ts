/** Headers as they came, before Node folded them. */
import type { Context } from 'koa'

/** Of several `Authorization` lines Node keeps the first: what stands before us may have looked at another. */
export const countHeader = (ctx: Context, name: string): number => {
  const { rawHeaders } = ctx.req
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const sent = rawHeaders[index] ?? ''
    if (sent.length === name.length && sent.toLowerCase() === name) count += 1
  }
  return count
}
