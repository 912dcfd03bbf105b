/**
 * The self-check: fetches our own discovery through the public address, as an app would, and names the usual mistakes
 * of a proxy. It stops nothing: an operator may know better, and the address may work from everywhere but here.
 */
import { type Arrival, arrivalIn, askHeader, askingProof } from '../http/arrival.ts'
import type { OutboundAnswer, OutboundFetch } from '../http/outbound.ts'
import type { Readiness } from './health.ts'
import type { Log } from './log.ts'
import {
  type Failed,
  failureTrouble,
  invented,
  judgeAnswer,
  judgeArrival,
  judgeLong,
  type Trouble,
} from './proxy-troubles.ts'

export type { Trouble }

export type PublicAddress = {
  issuer: string
  basePath: string
  /** Where this server listens, for whoever has to point a proxy at it. */
  listen: string
  /** It ends TLS by itself: there may be no proxy. */
  endsTls: boolean
  fetch: OutboundFetch
  now: () => Date
  key: () => Promise<Buffer>
  /** Our own key set, as we serve it. */
  jwks: () => Buffer
}

export type Reply = { answer: OutboundAnswer; arrival: Arrival | undefined; nonce: string; path: string }

/** Longer than what some proxies take in a request line or let a server answer, shorter than what we take. */
const long = 4500

const ask = async (at: PublicAddress, url: string, pad = 0): Promise<Reply | Failed> => {
  const { nonce, proof } = askingProof(await at.key(), at.now())
  const asked = `${url}?self-check=${nonce}${pad > 0 ? `&pad=${'x'.repeat(pad)}` : ''}`
  // Only where there must be a proxy: without one it would look like a mistake that nobody made.
  const mustBeProxied = at.issuer.startsWith('https:') && !at.endsTls
  try {
    const answer = await at.fetch({
      url: asked,
      method: 'GET',
      trust: 'operator',
      limit: 64 * 1024,
      headers: { [askHeader]: proof, ...(mustBeProxied ? { 'X-Forwarded-For': invented } : {}) },
    })
    const { pathname, search } = new URL(asked)
    return { answer, arrival: arrivalIn(answer.headers), nonce, path: pathname + search }
  } catch (cause) {
    return { failed: cause instanceof Error ? cause : new Error(String(cause)) }
  }
}

/** Looks once; empty when everything is as it should be. */
export const lookAtPublicAddress = async (at: PublicAddress): Promise<Trouble[]> => {
  const discovery = await ask(at, `${at.issuer}/.well-known/openid-configuration`)
  if ('failed' in discovery) return [failureTrouble(at, discovery.failed)]
  const wrong = judgeAnswer(at, discovery)
  if (wrong) return [wrong]
  return [
    ...(await judgeKeys(at)),
    ...(await judgeOtherPlace(at)),
    ...judgeArrival(at, discovery),
    ...judgeLong(await ask(at, `${at.issuer}/.well-known/openid-configuration`, long)),
  ]
}

/** Another server may know itself by the same issuer: an old installation, a copy of a database. */
const judgeKeys = async (at: PublicAddress): Promise<Trouble[]> => {
  const reply = await ask(at, `${at.issuer}/jwks`)
  if ('failed' in reply || reply.answer.status !== 200) return []
  const ours = kidsOf(at.jwks())
  return kidsOf(reply.answer.body).some(kid => ours.includes(kid))
    ? []
    : [
        {
          code: 'other_server',
          message: `${at.issuer} is answered by another server: its issuer is the same and its keys are not ours. Point the proxy at ${at.listen}, or use one database`,
        },
      ]
}

const kidsOf = (jwks: Buffer): string[] =>
  [...jwks.toString().matchAll(/"kid"\s*:\s*"([^"]+)"/g)].map(match => match[1] ?? '')

/** RFC 8414 section 3.1: with an issuer path the well-known part stands before it, outside of what usually is forwarded. */
const judgeOtherPlace = async (at: PublicAddress): Promise<Trouble[]> => {
  if (at.basePath === '') return []
  const url = `${new URL(at.issuer).origin}/.well-known/oauth-authorization-server${at.basePath}`
  const reply = await ask(at, url)
  return 'failed' in reply || judgeAnswer(at, reply)
    ? [
        {
          code: 'well_known_elsewhere',
          message: `${url} does not lead here, and libraries look there too (RFC 8414 section 3.1): forward /.well-known/openid-configuration${at.basePath} and /.well-known/oauth-authorization-server${at.basePath} as well`,
        },
      ]
    : []
}

/** What to do with what was found: `/readyz?verbose` shows it, and the log tells what is new. */
export const reportTo = (readiness: Readiness, log: Log): ((troubles: readonly Trouble[]) => void) => {
  let hasLooked = false
  return troubles => {
    const known = readiness.publicAddress
    for (const trouble of troubles)
      if (!known.some(({ message }) => message === trouble.message))
        log.warn('public_address.trouble', trouble)
    if (troubles.length === 0 && (known.length > 0 || !hasLooked)) log.info('public_address.good')
    hasLooked = true
    readiness.publicAddress = troubles
  }
}

/** Seconds until the next look while something is wrong: a proxy often starts after us. */
const whileWrong = [15, 60, 600]
const whileRight = 3600

/**
 * Looks now and again: certificates end, proxies are changed.
 *
 * @param found is told after every look
 * @returns what ends it
 */
export const watchPublicAddress = (
  at: PublicAddress,
  found: (troubles: readonly Trouble[]) => void,
): (() => void) => {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let wrongLooks = 0
  const look = async (): Promise<void> => {
    const troubles = await lookAtPublicAddress(at).catch(() => undefined)
    if (stopped) return
    if (troubles) found(troubles)
    const isRight = troubles?.length === 0
    const pause = isRight ? whileRight : (whileWrong[wrongLooks] ?? 600)
    wrongLooks = isRight ? 0 : wrongLooks + 1
    timer = setTimeout(() => void look(), pause * 1000)
  }
  void look()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
