/** Public documents: ready-made buffers with an ETag. */
import type { Context } from 'koa'

export type Document = { body: Buffer; etag: string }

/** Answers with a document, or 304 when the asker has it. `maxAge` in seconds. */
export const answerDocument = (
  ctx: Context,
  { body, etag }: Document,
  type: string,
  maxAge: number,
): void => {
  ctx.res.setHeader('Cache-Control', `public, max-age=${maxAge}`)
  ctx.res.setHeader('ETag', etag)
  if (isKnown(ctx.req.headers['if-none-match'], etag)) {
    ctx.status = 304
    return
  }
  ctx.res.setHeader('Content-Type', type)
  ctx.body = body
}

/** Whether the asker has it: one tag, a list of them or `*`, compared weakly (RFC 9110 section 13.1.2). */
export const isKnown = (ifNoneMatch: string | undefined, etag: string): boolean =>
  ifNoneMatch !== undefined &&
  (ifNoneMatch === etag ||
    ifNoneMatch
      .slice(0, 1000)
      .split(',')
      .map(tag => tag.trim().replace(/^W\//, ''))
      .some(tag => tag === etag || tag === '*'))
