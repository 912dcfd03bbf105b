/**
 * How a request of our own arrived here through the public address: what the self-check hears about the proxies in
 * between. Told only to who proves to hold a key of this server's, for a minute.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Context, Middleware } from 'koa'
import { plainAddress } from './proxy.ts'

export const askHeader = 'Lintel-Self-Check'
export const arrivalHeader = 'Lintel-Arrival'

/** Seconds. */
const proofTtl = 60

export type Arrival = {
  /** Of the question it answers; another one comes out of a cache. */
  nonce: string
  /** Who held the connection, `unix` where it came through a socket file. */
  peer: string
  isTrusted: boolean
  url: string
  forwardedFor: string | null
  forwardedProto: string | null
}

const proofOf = (key: Buffer, at: string, nonce: string): Buffer =>
  createHmac('sha256', key).update(`self-check.${at}.${nonce}`).digest()

/** The value of the question's header, and its nonce. */
export const askingProof = (key: Buffer, now: Date): { nonce: string; proof: string } => {
  const nonce = randomBytes(12).toString('hex')
  const at = String(Math.floor(now.getTime() / 1000))
  return { nonce, proof: `${at}.${nonce}.${proofOf(key, at, nonce).toString('base64url')}` }
}

/** The nonce of a question that holds the key. */
const provenNonce = (key: Buffer, proof: string, now: Date): string | undefined => {
  const [at = '', nonce = '', mac = ''] = proof.split('.')
  if (!(Math.abs(now.getTime() / 1000 - Number(at)) <= proofTtl)) return undefined
  const [given, right] = [Buffer.from(mac, 'base64url'), proofOf(key, at, nonce)]
  return given.length === right.length && timingSafeEqual(given, right) ? nonce : undefined
}

export type ArrivalSettings = {
  /** Opened when somebody asks for the first time: most servers are never asked. */
  key: () => Promise<Buffer>
  now: () => Date
  isTrusted: (peer: string) => boolean
  throughFile: boolean
}

/** Answers the question in a header, whatever the path of the request. */
export const tellArrival = ({ key, now, isTrusted, throughFile }: ArrivalSettings): Middleware => {
  const tell = async (ctx: Context, proof: string): Promise<void> => {
    const nonce = provenNonce(await key(), proof, now())
    if (nonce === undefined) return
    const header = (name: string): string | null => {
      const value = ctx.req.headers[name]
      return value === undefined ? null : String(value)
    }
    const peer = plainAddress(ctx.req.socket.remoteAddress ?? 'unix')
    const arrival: Arrival = {
      nonce,
      peer: throughFile ? 'unix' : peer,
      isTrusted: throughFile || isTrusted(peer),
      url: ctx.req.url ?? '',
      forwardedFor: header('x-forwarded-for'),
      forwardedProto: header('x-forwarded-proto'),
    }
    ctx.res.setHeader(arrivalHeader, Buffer.from(JSON.stringify(arrival)).toString('base64url'))
  }
  return (ctx, next) => {
    const proof = ctx.req.headers['lintel-self-check']
    return typeof proof === 'string' ? tell(ctx, proof).then(next) : next()
  }
}

/** The arrival that an answer tells of. */
export const arrivalIn = (headers: Record<string, string | string[] | undefined>): Arrival | undefined => {
  const text = headers[arrivalHeader.toLowerCase()]
  if (typeof text !== 'string') return undefined
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString()) as Arrival
  } catch {
    return undefined
  }
}
