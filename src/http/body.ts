/** Reading a body within its limits, before anything looks into it. */
import type { Context } from 'koa'
import { parseJsonText } from './json-text.ts'
import { Params } from './params.ts'
import { Refusal } from './refusal.ts'

const formLimit = 64 * 1024
const jsonLimit = 100 * 1024

const tooLarge = (limit: number): Refusal =>
  new Refusal('invalid_request', `the body is larger than ${limit / 1024} KiB`, 413, {
    headers: { Connection: 'close' },
  })

/** By events: to iterate over a request costs more than to parse it. */
const readBytes = (ctx: Context, limit: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const { req } = ctx
    if (Number(req.headers['content-length'] ?? 0) > limit) return reject(tooLarge(limit))
    const chunks: Buffer[] = []
    let size = 0
    const brokenOff = (cause?: unknown): void =>
      reject(new Refusal('invalid_request', 'the body could not be read', 400, { cause }))
    const take = (chunk: Buffer): void => {
      size += chunk.length
      if (size <= limit) return void chunks.push(chunk)
      req.off('data', take).pause()
      reject(tooLarge(limit))
    }
    req.on('data', take)
    req.once('end', () => {
      req.off('close', brokenOff)
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks))
    })
    req.once('error', brokenOff)
    req.once('close', brokenOff)
  })

/** The media type without its parameters, and its charset. */
const contentType = (ctx: Context): { type: string; charset: string } => {
  const [type = '', ...parameters] = (ctx.req.headers['content-type'] ?? '').toLowerCase().split(';')
  const charset = parameters.map(text => text.trim()).find(text => text.startsWith('charset='))
  return { type: type.trim(), charset: charset?.slice(8).replaceAll('"', '') ?? 'utf-8' }
}

/**
 * A form body.
 *
 * @throws Refusal `invalid_request`: 400 for another media type or charset (RFC 6749 section 4.1.3), 413 over 64 KiB
 */
export const readFormBody = async (ctx: Context): Promise<Params> => {
  const { type, charset } = contentType(ctx)
  if (type !== 'application/x-www-form-urlencoded')
    throw new Refusal('invalid_request', 'the body must be application/x-www-form-urlencoded')
  if (charset !== 'utf-8' && charset !== 'us-ascii')
    throw new Refusal('invalid_request', 'the body must be UTF-8')
  return Params.parse((await readBytes(ctx, formLimit)).toString('utf8'))
}

/**
 * A JSON body.
 *
 * @throws Refusal `invalid_request`: 400 for another media type or what is no sound JSON, 413 over 100 KiB
 */
export const readJsonBody = async (ctx: Context): Promise<unknown> => {
  const { type, charset } = contentType(ctx)
  if (type !== 'application/json') throw new Refusal('invalid_request', 'the body must be application/json')
  if (charset !== 'utf-8') throw new Refusal('invalid_request', 'the body must be UTF-8')
  return parseJsonText(await readBytes(ctx, jsonLimit))
}
