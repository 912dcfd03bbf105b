/** The table of signing keys: its rows, and the writes that make and move them. Private parts are encrypted. */
import { generateKeyPair, type KeyObject } from 'node:crypto'
import { changedFrom, readVersions } from '../store/change.ts'
import { GuardFailed, type Write, write } from '../store/commit.ts'
import type { Store } from '../store/database.ts'
import { seconds } from '../store/single-use.ts'
import { insertion, statement } from '../store/statement.ts'
import { randomText } from '../store/text-key.ts'
import type { SecretBox } from './secret-box.ts'

export const signingAlgorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const
export type SigningAlgorithm = (typeof signingAlgorithms)[number]

/** Whether an algorithm is one that we can sign with. */
export const isSigningAlgorithm = (alg: string): alg is SigningAlgorithm =>
  (signingAlgorithms as readonly string[]).includes(alg)

/**
 * `announced` is in the JWKS and does not sign yet, `active` signs, `retiring` is in the JWKS for what it
 * signed, `retired` is unpublished and verifies only an `id_token_hint`, `gone` verifies nothing.
 */
export type KeyState = 'announced' | 'active' | 'retiring' | 'retired' | 'gone'

/** A key's life. Times are integer seconds. */
export type KeyLife = {
  kid: string
  alg: SigningAlgorithm
  state: KeyState
  announced_at: number
  /** An operator wants it to sign as soon as caches have seen it, whatever the age of the active one. */
  requested_at: number | null
  active_at: number | null
  retiring_at: number | null
  retired_at: number | null
  gone_at: number | null
  /** Why it is gone before its time. */
  reason: string | null
}

export type KeyRow = KeyLife & {
  public_jwk: string
  /** Empty once the key signs no more. */
  private_box: string
}

const lifeColumns = [
  'kid',
  'alg',
  'state',
  'announced_at',
  'requested_at',
  'active_at',
  'retiring_at',
  'retired_at',
  'gone_at',
  'reason',
] as const
const keyColumns = [...lifeColumns, 'public_jwk', 'private_box'] as const

const inserting = insertion<KeyRow>('signing_key', keyColumns)
const reading = statement<Record<never, never>, KeyRow>('signing_key.read', knex =>
  knex('signing_key').select(keyColumns).orderBy('announced_at').orderBy('kid'),
)
const anyUser = statement<Record<never, never>, { id: string }>('signing_key.any-user', knex =>
  knex('user').select('id').limit(1),
)

type Move = Omit<KeyLife, 'alg'> & { from: string }

const moving = statement<Move>('signing_key.move', (knex, move) =>
  knex('signing_key').where({ kid: move.kid, state: move.from }).update(movedColumns(move)),
)
const movingErased = statement<Move>('signing_key.move-erased', (knex, move) =>
  knex('signing_key')
    .where({ kid: move.kid, state: move.from })
    .update({ ...movedColumns(move), private_box: '' }),
)
const resealing = statement<{ kid: string; old: string; box: string }>(
  'signing_key.reseal',
  (knex, { kid, old, box }) =>
    knex('signing_key').where({ kid, private_box: old }).update({ private_box: box }),
)

/** Named one by one: placeholders are there when they are asked for, and cannot be listed. */
const movedColumns = (move: Omit<Move, 'kid' | 'from'>) => ({
  state: move.state,
  announced_at: move.announced_at,
  requested_at: move.requested_at,
  active_at: move.active_at,
  retiring_at: move.retiring_at,
  retired_at: move.retired_at,
  gone_at: move.gone_at,
  reason: move.reason,
})

/** All keys there ever were, oldest first. */
export const listKeys = (store: Store): Promise<KeyRow[]> => store.all(reading, {})

/**
 * The write, and guard, that moves a key on. What signs no more loses its private part: nobody needs it, and a
 * stolen database then holds less.
 */
export const moveKey = (from: KeyState, to: KeyLife): Write => {
  const willSign = to.state === 'announced' || to.state === 'active'
  return write(willSign ? moving : movingErased, { kid: to.kid, from, ...movedColumns(to) })
}

type Generated = { publicKey: KeyObject; privateKey: KeyObject }

const generatePair = (alg: SigningAlgorithm, rsaBits: number): Promise<Generated> =>
  new Promise((resolve, reject) => {
    const done = (error: Error | null, publicKey: KeyObject, privateKey: KeyObject): void =>
      error ? reject(error) : resolve({ publicKey, privateKey })
    if (alg === 'ES256') generateKeyPair('ec', { namedCurve: 'P-256' }, done)
    else if (alg === 'EdDSA') generateKeyPair('ed25519', {}, done)
    else generateKeyPair('rsa', { modulusLength: rsaBits }, done)
  })

/** What a new key is made with. */
export type KeyMaking = { rsaBits: number; box: SecretBox; now: Date }

/**
 * Makes a key and the write that stores it. It counts only after `changed('key')` in the same commit.
 *
 * @param wanted `announced`, or `active` to sign at once
 */
export const newSigningKey = async (
  wanted: { alg: SigningAlgorithm; state: 'announced' | 'active'; requested?: boolean },
  making: KeyMaking,
): Promise<{ life: KeyLife; write: Write }> => {
  const { alg, state, requested = false } = wanted
  const { publicKey, privateKey } = await generatePair(alg, making.rsaBits)
  const kid = `${alg.toLowerCase()}-${randomText(16)}`
  const now = seconds(making.now)
  const life: KeyLife = {
    kid,
    alg,
    state,
    announced_at: now,
    requested_at: requested ? now : null,
    active_at: state === 'active' ? now : null,
    retiring_at: null,
    retired_at: null,
    gone_at: null,
    reason: null,
  }
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  return {
    life,
    write: write(inserting, {
      ...life,
      public_jwk: JSON.stringify(jwk),
      private_box: making.box.seal(pem, kid),
    }),
  }
}

/** The writes that put every private part under the first master key. */
export const resealSigningKeys = async (store: Store, box: SecretBox): Promise<Write[]> =>
  (await listKeys(store))
    .filter(row => row.private_box !== '' && !box.isCurrent(row.private_box))
    .map(({ kid, private_box: old }) =>
      write(resealing, { kid, old, box: box.seal(box.open(old, kid), kid) }),
    )

/** Keys are missing or cannot be decrypted: the server must not start, nor make new ones. */
export class KeyRingError extends Error {
  override name = 'KeyRingError'
}

/**
 * Makes the first keys of an empty database, one an algorithm. Several processes may call it at once; one wins. An
 * algorithm that is configured later gets its key by rotation, announced before it signs.
 *
 * @throws KeyRingError when there are users but no keys: something was lost, and new keys would hide it
 */
export const makeFirstKeys = async (
  store: Store,
  options: { algorithms: readonly string[]; rsaBits: number; box: SecretBox; now: () => Date },
): Promise<void> => {
  const { key: version } = await readVersions(store)
  if ((await listKeys(store)).length > 0) return
  if ((await store.one(anyUser, {})) !== undefined)
    throw new KeyRingError(
      'the database has users but no signing keys. Restore the table signing_key from a backup; new keys would hide the loss',
    )
  const making = { rsaBits: options.rsaBits, box: options.box, now: options.now() }
  const made = await Promise.all(
    options.algorithms.filter(isSigningAlgorithm).map(alg => newSigningKey({ alg, state: 'active' }, making)),
  )
  try {
    await store.commit([changedFrom('key', version), ...made.map(one => one.write)])
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error
    // Another process was faster: its keys are there now.
  }
}
