/**
 * Refresh tokens: `prefix ‖ family id ‖ generation ‖ secret`. The secret is an HMAC over family, generation and the
 * family's seed, so that one row recognises every token it ever gave, and nothing usable is stored
 * (architecture section 4). The only writer of the table `refresh_family`.
 */

import { createHmac } from 'node:crypto'
import { cleanOlder } from '../../store/clean-up.ts'
import { type Write, write } from '../../store/commit.ts'
import type { Store } from '../../store/database.ts'
import { equalInConstantTime, secretPrefixes } from '../../store/secret.ts'
import { seconds } from '../../store/single-use.ts'
import { insertion, statement } from '../../store/statement.ts'
import { isTextKey, newTextKey, randomText, textKeyLength } from '../../store/text-key.ts'
import type { Client } from '../client/client.ts'
import type { ResourceDirectory } from '../client/resource-server.ts'
import { fallenReason, type Standing, withStanding } from '../grant/authorization.ts'
import { isKnownScope, mayHaveScope } from '../parameters/scope.ts'

const prefix = secretPrefixes.refreshToken
const generationDigits = 6
const secretDigits = 64
const longestToken = prefix.length + textKeyLength + generationDigits + secretDigits

type Columns = {
  id: string
  authorization_id: string
  client_id: string
  seed: string
  generation: number
  rotated_at: number
  expires_at: number
}

const inserting = insertion<Columns>('refresh_family', [
  'id',
  'authorization_id',
  'client_id',
  'seed',
  'generation',
  'rotated_at',
  'expires_at',
])

const secretOf = (key: Buffer, id: string, generation: number, seed: string): string =>
  createHmac('sha256', key).update(`${id}.${generation}.${seed}`).digest('hex')

const tokenOf = (key: Buffer, family: { id: string; seed: string }, generation: number): string =>
  prefix +
  family.id +
  generation.toString(36).padStart(generationDigits, '0') +
  secretOf(key, family.id, generation, family.seed)

/** A family to be, with its first token. `ttl` in seconds is the longest life of all its tokens. */
export const newRefreshFamily = (
  key: Buffer,
  { authorizationId, clientId, ttl }: { authorizationId: string; clientId: string; ttl: number },
  now: Date,
): { token: string; write: Write } => {
  const family = { id: newTextKey(now), seed: randomText(52) }
  return {
    token: tokenOf(key, family, 0),
    write: write(inserting, {
      ...family,
      authorization_id: authorizationId,
      client_id: clientId,
      generation: 0,
      rotated_at: seconds(now),
      expires_at: seconds(now) + ttl,
    }),
  }
}

/** The family of a genuine token, with the authorization and all that hangs on. */
export type RefreshFamily = Standing & {
  id: string
  familyClientId: string
  seed: string
  /** The token of this generation is the present one. */
  generation: number
  rotatedAt: number
  expiresAt: number
}

const reading = statement<{ id: string }, RefreshFamily>('refresh_family.read', (knex, { id }) =>
  knex('refresh_family')
    .join('authorization', 'authorization.id', 'refresh_family.authorization_id')
    .modify(withStanding)
    .select({
      id: 'refresh_family.id',
      familyClientId: 'refresh_family.client_id',
      seed: 'refresh_family.seed',
      generation: 'refresh_family.generation',
      rotatedAt: 'refresh_family.rotated_at',
      expiresAt: 'refresh_family.expires_at',
    })
    .where({ 'refresh_family.id': id }),
)

/**
 * Looks a presented refresh token up.
 *
 * @returns the family and the token's generation; undefined for anything that we never gave: it changes nothing
 */
export const findRefreshFamily = async (
  store: Store,
  key: Buffer,
  token: string,
): Promise<{ family: RefreshFamily; generation: number } | undefined> => {
  if (token.length !== longestToken || !token.startsWith(prefix)) return undefined
  const id = token.slice(prefix.length, prefix.length + textKeyLength)
  const digits = token.slice(prefix.length + textKeyLength, -secretDigits)
  if (!isTextKey(id) || !/^[0-9a-z]+$/.test(digits)) return undefined
  const family = await store.one(reading, { id })
  const generation = Number.parseInt(digits, 36)
  if (!family || !equalInConstantTime(tokenOf(key, family, generation), token)) return undefined
  return { family, generation }
}

/** What is left of the scopes that were allowed: the client may have lost one, an API may be gone. */
export const scopeLeft = (
  family: Pick<RefreshFamily, 'scope'>,
  client: Client,
  resources: ResourceDirectory,
): string[] =>
  family.scope.split(' ').filter(scope => mayHaveScope(client, scope) && isKnownScope(scope, resources))

/** Why nothing is given for this family any more, or undefined. */
export const familyEndedReason = (
  family: RefreshFamily,
  client: Client,
  settings: { refreshIdleTtl: number },
  { resources, now }: { resources: ResourceDirectory; now: Date },
): string | undefined => {
  const fallen = fallenReason(family, client, now)
  if (fallen !== undefined) return fallen
  if (family.expiresAt <= seconds(now)) return 'refresh_expired'
  if (family.rotatedAt + settings.refreshIdleTtl <= seconds(now)) return 'refresh_idle'
  if (!client.grantTypes.has('refresh_token')) return 'grant_type_removed'
  if (family.offline === 1 && !mayHaveScope(client, 'offline_access')) return 'offline_access_removed'
  return family.scope !== '' && scopeLeft(family, client, resources).length === 0
    ? 'scope_removed'
    : undefined
}

/** Seconds after a use in which a public client's token gives the same successor again. */
const grace = 10

export type RotationVerdict = 'rotates' | 'repeats' | 'reused'

/**
 * What a genuine token does. The present one rotates. The one before repeats its successor: for public clients within
 * the grace, for clients that authenticate until the successor is used, since a lost answer must not cost a sign-in
 * and the token alone is worth nothing (contracts.md section 6, Rotation). Anything else is reuse.
 */
export const judgeRotation = (
  family: Pick<RefreshFamily, 'generation' | 'rotatedAt'>,
  generation: number,
  { isPublic, now }: { isPublic: boolean; now: Date },
): RotationVerdict => {
  if (generation === family.generation) return 'rotates'
  if (generation !== family.generation - 1) return 'reused'
  return !isPublic || seconds(now) - family.rotatedAt <= grace ? 'repeats' : 'reused'
}

const rotating = statement<{ id: string; generation: number; next: number; now: number }>(
  'refresh_family.rotate',
  (knex, { id, generation, next, now }) =>
    knex('refresh_family').where({ id, generation }).update({ generation: next, rotated_at: now }),
)

/** The write, and guard, that makes the next generation the present one; the same number again only marks the use. */
export const rotateFamily = (
  family: Pick<RefreshFamily, 'id' | 'generation'>,
  next: number,
  now: Date,
): Write => write(rotating, { id: family.id, generation: family.generation, next, now: seconds(now) })

/** The token of a generation of a family. */
export const refreshTokenOf = (
  key: Buffer,
  family: Pick<RefreshFamily, 'id' | 'seed'>,
  generation: number,
): string => tokenOf(key, family, generation)

/** By age, to be asked with the longest life of all: an index on the end would cost each insert. */
export const cleanRefreshFamilies = cleanOlder('refresh_family')
